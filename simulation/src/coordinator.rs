//! A sender's seat at the coordinator: words travel, and an answer can be lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_core::QueueName;
use skein_core::fleet::Member;
use skein_core::memory::{MemoryCoordinator, MemoryFleet};
use skein_core::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Tenure};
use tokio::sync::watch;

use crate::flaw::Flaw;
use crate::random::Random;

/// One life's seat.
pub struct SimCoordinator {
    /// The seat. The world holds it too: a session outlives its process.
    pub seat: Arc<MemoryCoordinator>,
    /// The whole fleet, for the double that knows too much.
    pub fleet: MemoryFleet,
    /// Chance.
    pub random: Random,
    /// How many of a hundred answers are lost.
    pub lost_percent: u64,
    /// The double's flaw.
    pub flaw: Flaw,
    /// Every queue there is, for that double.
    pub queues: Vec<QueueName>,
    /// Whom it tells, in their order. (Receivers of one channel are woken in an order by chance.)
    pub told: Mutex<Vec<watch::Sender<Assignment>>>,
}

/// How often the double looks whether its neighbours' queues have changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl SimCoordinator {
    async fn call<T>(
        &self,
        said: impl Future<Output = Result<T, CoordinatorError>>,
    ) -> Result<T, CoordinatorError> {
        tokio::time::sleep(self.random.millis(1, 5)).await;
        let outcome = said.await;
        tokio::time::sleep(self.random.millis(0, 3)).await;
        if self.random.percent(self.lost_percent) {
            return Err(CoordinatorError::Away("the answer was lost".into()));
        }
        outcome
    }

    /// Passes on what the seat is told, for ever.
    pub async fn pass_on(self: Arc<Self>) {
        let mut own = self.seat.assignment();
        loop {
            if self.flaw == Flaw::AssignsTwice {
                // Either way it is looked at again.
                let _ = tokio::time::timeout(LOOK_EVERY, own.changed()).await;
            } else if own.changed().await.is_err() {
                return;
            }
            own.mark_unchanged();
            let now = self.now();
            for told in self.told.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                told.send_if_modified(|assignment| {
                    let differs = *assignment != now;
                    assignment.clone_from(&now);
                    differs
                });
            }
        }
    }

    fn now(&self) -> Assignment {
        let own = self.seat.assignment().borrow().clone();
        if self.flaw == Flaw::AssignsTwice { self.twice(&own) } else { own }
    }

    /// What this sender is told by a coordinator that assigns twice: its own queues, and those of its neighbour.
    fn twice(&self, own: &Assignment) -> Assignment {
        let mut queues = own.queues.clone();
        for queue in &self.queues {
            let Some(stored) = self.fleet.queue(queue) else { continue };
            let Some(owner) = stored.owner.clone() else { continue };
            let Ok(slots) = self.fleet.slot_map(&queue.pool) else { continue };
            if owner.member != self.seat.me().member
                && let Some(other) = OwnedQueue::of(&stored, &owner, &slots)
                && other.tenure == Tenure::Hold
            {
                queues.push(other);
            }
        }
        Assignment { queues, ..own.clone() }
    }
}

impl Coordinator for SimCoordinator {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        let told = watch::Sender::new(self.now());
        let receiver = told.subscribe();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        receiver
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.seat.standing()
    }

    fn describe(&self, member: Member) {
        self.seat.describe(member);
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.call(self.seat.settled(queue, epoch)).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        self.call(self.seat.release(queue, epoch, clean)).await
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        self.call(self.seat.reclaim(queue, epoch, predecessor_dead)).await
    }

    async fn leave(&self) {
        self.seat.leave().await;
    }
}
