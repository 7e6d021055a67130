//! Attaching to a queue of the file.

use std::sync::Arc;

use skein_core::QueueName;
use skein_core::seam::{Broker, BrokerError};

use super::Engine;
use super::inbox::EmbeddedInbox;

/// The broker seam over the file. Clones share it.
#[derive(Clone)]
pub struct EmbeddedBroker {
    engine: Arc<Engine>,
}

impl EmbeddedBroker {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

impl Broker for EmbeddedBroker {
    type Inbox = EmbeddedInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<EmbeddedInbox, BrokerError> {
        let queue = self.engine.queue(queue).ok_or_else(|| {
            BrokerError::Refused(format!("no queue {queue} in this file; see the pools of the settings"))
        })?;
        let consumer = Arc::clone(&queue.consumer).lock_owned().await;
        // Settlements of the attachment before are done first, so that what it settled does not come again.
        self.engine.desk.barrier().await;
        if self.engine.desk.is_closed() {
            return Err(BrokerError::Away("the file is closed".into()));
        }
        Ok(EmbeddedInbox::begin(Arc::clone(&self.engine), Arc::clone(queue), consumer, prefetch))
    }
}
