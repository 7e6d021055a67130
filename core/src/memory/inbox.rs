//! An attachment to a queue in memory.

use std::sync::{Arc, Weak};

use super::broker::Shared;
use super::queue::{Queue, Standing};
use crate::lease::{BootMillis, Lease};
use crate::pool::QueueName;
use crate::seam::{BrokerError, DeadLetter, Delivery, Inbox};

/// An attachment to a queue of a [`super::MemoryBroker`]. Dropping it is a cut, as when its process dies.
pub struct MemoryInbox {
    shared: Arc<Shared>,
    queue: QueueName,
    attachment: u64,
    lease: Arc<Lease>,
}

/// The round trips of an attachment on its own channel, which keep its lease.
#[derive(Clone)]
pub struct Pulse {
    shared: Weak<Shared>,
    lease: Weak<Lease>,
    queue: QueueName,
    attachment: u64,
}

/// What a round trip came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The broker serves the attachment; its lease is renewed.
    Renewed,
    /// No answer: the broker has given the attachment up.
    Unanswered,
    /// The attachment has ended.
    Ended,
}

impl Pulse {
    /// One round trip that is answered now and began at `began`.
    pub fn beat(&self, began: BootMillis) -> Beat {
        let (Some(shared), Some(lease)) = (self.shared.upgrade(), self.lease.upgrade()) else {
            return Beat::Ended;
        };
        let standing = shared.state().queue(&self.queue).map(|q| q.standing(self.attachment));
        match (standing, &shared.keeping) {
            (Ok(Standing::Active), Some(keeping)) => {
                lease.renew(began, keeping.length);
                Beat::Renewed
            }
            (Ok(Standing::Active), None) => Beat::Renewed,
            (Ok(Standing::GivenUp), _) => Beat::Unanswered,
            (Ok(Standing::Waiting | Standing::Ended) | Err(_), _) => Beat::Ended,
        }
    }
}

fn cut() -> BrokerError {
    BrokerError::Away("the attachment was cut".into())
}

impl MemoryInbox {
    pub(super) fn new(shared: Arc<Shared>, queue: QueueName, attachment: u64, lease: Arc<Lease>) -> Self {
        Self { shared, queue, attachment, lease }
    }

    /// Waits until this is the attachment being served.
    pub(super) async fn is_served(&self) -> Result<(), BrokerError> {
        self.until(|queue, attachment| match queue.standing(attachment) {
            Standing::Waiting => None,
            Standing::Active | Standing::GivenUp => Some(Ok(())),
            Standing::Ended => Some(Err(cut())),
        })
        .await??;
        self.keep_lease();
        Ok(())
    }

    /// Waits until `ready` gives something.
    async fn until<T>(&self, mut ready: impl FnMut(&mut Queue, u64) -> Option<T>) -> Result<T, BrokerError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = ready(self.shared.state().queue(&self.queue)?, self.attachment) {
                return Ok(found);
            }
            changed.await;
        }
    }

    /// The round trips that keep its lease.
    pub fn pulse(&self) -> Pulse {
        Pulse {
            shared: Arc::downgrade(&self.shared),
            lease: Arc::downgrade(&self.lease),
            queue: self.queue.clone(),
            attachment: self.attachment,
        }
    }

    /// Renews the lease as long as the broker serves this attachment.
    fn keep_lease(&self) {
        let Some(keeping) = self.shared.keeping.clone() else { return };
        self.lease.renew(keeping.boot(), keeping.length);
        let Some(every) = keeping.every else { return };
        let pulse = self.pulse();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                if pulse.beat(keeping.boot()) != Beat::Renewed {
                    break;
                }
            }
        });
    }
}

impl Inbox for MemoryInbox {
    async fn take(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.until(|queue, attachment| match queue.standing(attachment) {
            Standing::Active => Some(queue.take(most.max(1))).filter(|taken| !taken.is_empty()).map(Ok),
            Standing::Waiting | Standing::GivenUp => None,
            Standing::Ended => Some(Err(cut())),
        })
        .await?
    }

    async fn cut(&mut self) -> BrokerError {
        let ended = self.until(|queue, attachment| match queue.standing(attachment) {
            Standing::Ended => Some(cut()),
            Standing::Active | Standing::Waiting | Standing::GivenUp => None,
        });
        ended.await.unwrap_or_else(|error| error)
    }

    async fn settle(&mut self, tags: &mut Vec<u64>) -> Result<(), BrokerError> {
        let tags = std::mem::take(tags);
        self.shared.change(|state| {
            let queue = state.queue(&self.queue)?;
            match queue.standing(self.attachment) {
                Standing::Active => {
                    queue.settle(&tags).map_err(|_| BrokerError::Away("unknown delivery tag".into()))
                }
                Standing::GivenUp => Ok(()),
                Standing::Waiting | Standing::Ended => Err(cut()),
            }
        })
    }

    async fn bury(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        self.shared.change(|state| {
            if state.queue(&self.queue)?.standing(self.attachment) != Standing::Active {
                return Err(cut());
            }
            state.dead_letters.push(letter);
            Ok(())
        })
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    async fn leave(self) {}
}

impl Drop for MemoryInbox {
    fn drop(&mut self) {
        self.lease.end();
        self.shared.change(|state| {
            if let Ok(queue) = state.queue(&self.queue) {
                queue.end(self.attachment);
            }
        });
    }
}
