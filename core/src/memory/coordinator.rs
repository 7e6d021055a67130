//! Ownership without a control plane: one process owns all, or what its configuration lists.

use tokio::sync::watch;

use crate::pool::{PoolName, QueueName};
use crate::seam::{Assignment, Coordinator, OwnedQueue};
use crate::slot::SlotMap;

/// The epoch of every queue that is owned without a control plane: nobody counts owners, so nothing is fenced by it. What
/// keeps two owners apart is the engine: the embedded one locks its file, a broker serves a single consumer.
const STATIC_EPOCH: u64 = 1;

/// A coordinator that says what it was told. In the embedded engine that is *this process owns all*; in a cluster without a
/// monitor it is the list of queues in the sender's configuration. Tests change it with [`StaticCoordinator::set`].
#[derive(Debug, Clone)]
pub struct StaticCoordinator {
    assignment: watch::Sender<Assignment>,
}

impl StaticCoordinator {
    /// This process owns every queue of these pools, each pool with its number of queues (1 to [`crate::slot::SLOTS`]). Its
    /// predecessor is known to be gone, so no grace is waited for: the caller holds what makes it the only one (the lock on
    /// the engine's file).
    pub fn owns_all<'a>(pools: impl IntoIterator<Item = (&'a PoolName, u16)>, prefetch: u16) -> Self {
        let mut queues = Vec::new();
        for (pool, count) in pools {
            let slots = SlotMap::even(count);
            queues.extend((0..count).map(|number| OwnedQueue {
                queue: QueueName { pool: pool.clone(), number },
                epoch: STATIC_EPOCH,
                prefetch,
                slots: slots.clone(),
                predecessor_gone: true,
            }));
        }
        Self::new(Assignment { queues })
    }

    /// This process owns the queues that its configuration lists, each with how its pool's slots are bound. Nobody vouches
    /// for their last owners, so the grace is waited for. A queue listed twice is owned once.
    pub fn owns_listed(listed: impl IntoIterator<Item = (QueueName, SlotMap)>, prefetch: u16) -> Self {
        let mut queues: Vec<OwnedQueue> = Vec::new();
        for (queue, slots) in listed {
            if queues.iter().all(|owned| owned.queue != queue) {
                let epoch = STATIC_EPOCH;
                queues.push(OwnedQueue { queue, epoch, prefetch, slots, predecessor_gone: false });
            }
        }
        Self::new(Assignment { queues })
    }

    /// This process owns what the assignment says.
    pub fn new(assignment: Assignment) -> Self {
        Self { assignment: watch::Sender::new(assignment) }
    }

    /// Replaces the assignment.
    pub fn set(&self, assignment: Assignment) {
        self.assignment.send_replace(assignment);
    }
}

impl Coordinator for StaticCoordinator {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(number: u16) -> QueueName {
        QueueName { pool: PoolName::parse("im").unwrap(), number }
    }

    #[test]
    fn all_queues_or_those_listed() {
        let (im, dev) = (PoolName::parse("im").unwrap(), PoolName::parse("dev").unwrap());
        let all = StaticCoordinator::owns_all([(&im, 3), (&dev, 1)], 200).assignment().borrow().clone();
        let names: Vec<String> = all.queues.iter().map(|q| q.queue.to_string()).collect();
        assert_eq!(names, ["im.q0", "im.q1", "im.q2", "dev.q0"]);
        assert!(all.queues.iter().all(|q| q.predecessor_gone && q.prefetch == 200 && q.epoch == 1));

        let listed = [4, 2, 4].map(|n| (queue(n), SlotMap::even(8)));
        let some = StaticCoordinator::owns_listed(listed, 100).assignment().borrow().clone();
        assert_eq!(some.queues.iter().map(|q| q.queue.number).collect::<Vec<_>>(), [4, 2]);
        assert!(some.queues.iter().all(|q| !q.predecessor_gone));
    }
}
