//! The coordinator seam: which queues this sender owns.

use tokio::sync::watch;

use crate::pool::QueueName;
use crate::slot::SlotMap;

/// Says which queues this sender owns. Level-based: each value is the whole assignment.
pub trait Coordinator: Send + Sync + 'static {
    /// The assignment, now and whenever it changes. When the sender of the channel is dropped, the last value stands.
    fn assignment(&self) -> watch::Receiver<Assignment>;
}

/// The queues that this sender owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Each once.
    pub queues: Vec<OwnedQueue>,
}

/// One owned queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedQueue {
    /// Which.
    pub queue: QueueName,
    /// The growing number that fences its owner.
    pub epoch: u64,
    /// The queue's own prefetch, equal for all its owners.
    pub prefetch: u16,
    /// Which slots live where in its pool.
    pub slots: SlotMap,
    /// Whether the predecessor is known to write no more: it left a clean note, or its end is proven. If not, the grace is
    /// waited for first.
    pub predecessor_gone: bool,
}
