//! An engine that answers when it is let, and counts.

use std::sync::Arc;

use skein_core::seam::{Confirmation, Submit, SubmitError};
use skein_core::{Notification, PoolName};
use tokio::sync::Semaphore;

/// A permit of `begun` for each submission that has come; each waits for one of `gate`.
#[derive(Clone)]
pub struct Gated {
    pub begun: Arc<Semaphore>,
    pub gate: Arc<Semaphore>,
}

impl Default for Gated {
    fn default() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), gate: Arc::new(Semaphore::new(0)) }
    }
}

impl Submit for Gated {
    async fn submit(
        &self,
        _: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.begun.add_permits(1);
        self.gate.acquire().await.expect("open").forget();
        notifications.iter().map(|n| Ok(Confirmation { id: n.id })).collect()
    }

    async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit(pool, notifications).await
    }
}
