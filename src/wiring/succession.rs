//! Taking the place of a sender that runs: once this one is ready it says so; the fleet hands that one's queues over, and that one ends.

use std::sync::Arc;
use std::time::Duration;

use skein_backends::zookeeper::ZooKeeperCoordinator;
use skein_core::fleet::{MemberId, Owner};
use tokio::sync::watch;

/// How often the predecessor is looked for, and looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whose place is taken, for as long as that one is there.
pub struct Succession {
    predecessor: Option<MemberId>,
    of: watch::Sender<Option<Owner>>,
}

impl Succession {
    /// Of nobody, if there is no predecessor.
    pub fn new(predecessor: Option<MemberId>) -> Self {
        Self { predecessor, of: watch::Sender::new(None) }
    }

    /// Whose place is taken now.
    pub fn of(&self) -> watch::Receiver<Option<Owner>> {
        self.of.subscribe()
    }

    /// Says that this sender is ready to take its predecessor's place, and goes on saying so until that one is gone. A later life of
    /// the same member is another one. Ends then; or at once, if nobody is there.
    pub async fn run(&self, coordinator: &Arc<ZooKeeperCoordinator>) {
        let Some(predecessor) = &self.predecessor else { return };
        let mut first = None;
        loop {
            match coordinator.life_of(predecessor).await {
                Ok(Some(life)) if first.as_ref().is_none_or(|first| *first == life) => {
                    if first.is_none() {
                        tracing::info!(%predecessor, "ready to take its place; its queues come one after the other");
                        self.of.send_replace(Some(life.clone()));
                    }
                    first = Some(life);
                }
                Ok(_) => {
                    self.of.send_replace(None);
                    match first {
                        Some(_) => tracing::info!(%predecessor, "its place is taken; it is gone"),
                        None => {
                            tracing::warn!(%predecessor, "nobody of that name is in the fleet; this sender is one more")
                        }
                    }
                    return;
                }
                Err(error) => tracing::debug!(%error, "the predecessor is looked for again"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
