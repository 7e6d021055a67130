//! Coordinators that forget.

use tokio::sync::watch;

use crate::contract::coordinator::{CoordinatorHarness, PROMISES, all, each};
use crate::fleet::Member;
use crate::memory::StaticCoordinator;
use crate::pool::QueueName;
use crate::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing};

struct InMemory;

impl CoordinatorHarness for InMemory {
    type Coordinator = StaticCoordinator;

    async fn owning(&self, assignment: Assignment) -> StaticCoordinator {
        StaticCoordinator::new(assignment)
    }

    async fn assign(&self, coordinator: &StaticCoordinator, assignment: Assignment) {
        coordinator.set(assignment);
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    all(&InMemory).await.unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    StartsEmpty,
    AddsUp,
    KeepsTheFirst,
    ForgetsAtItsEnd,
}

struct Flawed {
    flaw: Flaw,
    channel: watch::Sender<Assignment>,
    inner: StaticCoordinator,
}

impl Coordinator for Flawed {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        self.channel.subscribe()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing()
    }

    fn describe(&self, member: Member) {
        self.inner.describe(member);
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.inner.settled(queue, epoch).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        self.inner.release(queue, epoch, clean).await
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        self.inner.reclaim(queue, epoch, predecessor_dead).await
    }
}

impl Drop for Flawed {
    fn drop(&mut self) {
        if self.flaw == Flaw::ForgetsAtItsEnd {
            self.channel.send_replace(Assignment::default());
        }
    }
}

impl CoordinatorHarness for Flaw {
    type Coordinator = Flawed;

    async fn owning(&self, assignment: Assignment) -> Flawed {
        let first = if *self == Self::StartsEmpty { Assignment::default() } else { assignment };
        let inner = StaticCoordinator::new(first.clone());
        Flawed { flaw: *self, channel: watch::Sender::new(first), inner }
    }

    async fn assign(&self, coordinator: &Flawed, assignment: Assignment) {
        coordinator.channel.send_if_modified(|current| match self {
            Self::AddsUp => {
                current.queues.extend(assignment.queues);
                true
            }
            Self::KeepsTheFirst => false,
            _ => {
                *current = assignment;
                true
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn doubles_are_refused() {
    let mut runs = Vec::new();
    for (flaw, broken) in [
        (Flaw::StartsEmpty, "first_value_is_the_assignment"),
        (Flaw::AddsUp, "every_change_is_seen_whole"),
        (Flaw::KeepsTheFirst, "late_reader_sees_the_last"),
        (Flaw::ForgetsAtItsEnd, "last_value_stands"),
    ] {
        runs.push((flaw, broken, each(&flaw).await));
    }
    super::assert_each_refuses(PROMISES, runs);
}
