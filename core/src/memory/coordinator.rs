//! Ownership without a control plane: one process owns all, or what its configuration lists.

use tokio::sync::watch;

use crate::fleet::Member;
use crate::pool::{PoolName, QueueName};
use crate::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Tenure};
use crate::slot::SlotMap;

/// The epoch of every queue that is owned without a control plane: nobody counts owners, so nothing is fenced by it. What
/// keeps two owners apart is the engine: the embedded one locks its file, a broker serves a single consumer.
const STATIC_EPOCH: u64 = 1;

/// A coordinator that says what it was told. In the embedded engine that is *this process owns all*; in a cluster without a
/// monitor it is the list of queues in the sender's configuration. Tests change it with [`StaticCoordinator::set`].
#[derive(Debug, Clone)]
pub struct StaticCoordinator {
    assignment: watch::Sender<Assignment>,
    standing: watch::Sender<Standing>,
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
                grace_served: Default::default(),
                left_clean: false,
                paused: false,
                tenure: Tenure::Hold,
            }));
        }
        Self::new(Assignment { queues, ..Assignment::default() })
    }

    /// This process owns the queues that its configuration lists, each with how its pool's slots are bound. Nobody vouches
    /// for their last owners, so the grace is waited for. A queue listed twice is owned once.
    pub fn owns_listed(listed: impl IntoIterator<Item = (QueueName, SlotMap)>, prefetch: u16) -> Self {
        let mut queues: Vec<OwnedQueue> = Vec::new();
        for (queue, slots) in listed {
            if queues.iter().all(|owned| owned.queue != queue) {
                queues.push(OwnedQueue {
                    queue,
                    epoch: STATIC_EPOCH,
                    prefetch,
                    slots,
                    predecessor_gone: false,
                    grace_served: Default::default(),
                    left_clean: false,
                    paused: false,
                    tenure: Tenure::Hold,
                });
            }
        }
        Self::new(Assignment { queues, ..Assignment::default() })
    }

    /// This process owns what the assignment says.
    pub fn new(assignment: Assignment) -> Self {
        Self { assignment: watch::Sender::new(assignment), standing: watch::Sender::new(Standing::Alone) }
    }

    fn owned(&self, queue: &QueueName, epoch: u64) -> Result<OwnedQueue, CoordinatorError> {
        let assignment = self.assignment.borrow();
        let owned = assignment.queues.iter().find(|owned| owned.queue == *queue && owned.epoch == epoch);
        owned.cloned().ok_or_else(|| CoordinatorError::Overtaken("it is not assigned here".to_owned()))
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

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// There is nobody to be told.
    fn describe(&self, _member: Member) {}

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.owned(queue, epoch)?;
        self.assignment.send_modify(|assignment| {
            let settled = assignment.queues.iter_mut().filter(|owned| owned.queue == *queue);
            settled.for_each(|owned| owned.predecessor_gone = true);
        });
        Ok(())
    }

    /// Nobody takes it over: it is this process's again at its next start.
    async fn release(&self, queue: &QueueName, epoch: u64, _clean: bool) -> Result<(), CoordinatorError> {
        self.owned(queue, epoch).map(drop)
    }

    /// Nobody else can claim it: it stays as it is, with what is known now of its predecessor.
    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        let owned = self.owned(queue, epoch)?;
        Ok(OwnedQueue { predecessor_gone: owned.predecessor_gone && predecessor_dead, ..owned })
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
