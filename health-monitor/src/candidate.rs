//! Standing for the lead: a place in the row of monitors, kept for as long as the monitor lives.

use std::sync::Arc;
use std::time::Duration;

use skein_core::seam::{FleetStore, Lead};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::events::Events;

/// Between two attempts to get a place.
const AGAIN: Duration = Duration::from_millis(200);

/// A candidate. Dropped, it gives its place up, and the lead with it.
pub(crate) struct Candidate<L> {
    lead: watch::Receiver<Option<Arc<L>>>,
    task: JoinHandle<()>,
}

impl<L: Lead> Candidate<L> {
    /// Stands for the lead. Must be called within a runtime.
    pub fn stand<S: FleetStore<Lead = L>>(store: Arc<S>, name: String, events: Arc<Events>) -> Self {
        let (leads, lead) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                match store.lead().await {
                    Ok(lead) => {
                        let lead = Arc::new(lead);
                        events.leads(&name);
                        leads.send_replace(Some(Arc::clone(&lead)));
                        let why = lead.lost().await;
                        leads.send_replace(None);
                        events.deposed(&why);
                    }
                    Err(error) => events.no_candidate(&error.to_string()),
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        Self { lead, task }
    }

    /// The lead, if it is held.
    pub fn lead(&mut self) -> Option<Arc<L>> {
        self.lead.borrow_and_update().clone()
    }

    /// Waits until the lead is won or lost since it was last asked for. Cancellation safe.
    pub async fn changed(&mut self) {
        if self.lead.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl<L> Drop for Candidate<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
