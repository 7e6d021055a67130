//! The promises of [`Coordinator`].

use super::{Outcome, require, same, suite, works};
use crate::pool::{PoolName, QueueName};
use crate::seam::{Assignment, Coordinator, OwnedQueue, Tenure};
use crate::slot::SlotMap;

/// What the suite needs of an implementation's test.
pub trait CoordinatorHarness {
    /// The implementation.
    type Coordinator: Coordinator;

    /// A coordinator of a sender that owns this.
    fn owning(&self, assignment: Assignment) -> impl Future<Output = Self::Coordinator>;

    /// Whoever decides, decides this for the sender.
    fn assign(&self, coordinator: &Self::Coordinator, assignment: Assignment) -> impl Future<Output = ()>;
}

suite!(CoordinatorHarness:
    first_value_is_the_assignment,
    every_change_is_seen_whole,
    late_reader_sees_the_last,
    last_value_stands,
);

/// The queues of these numbers, as a sender owns them.
pub fn owned(numbers: &[u16], epoch: u64) -> Result<Assignment, String> {
    let pool = works("pool name", PoolName::parse("im"))?;
    let queues = numbers.iter().map(|number| OwnedQueue {
        queue: QueueName { pool: pool.clone(), number: *number },
        epoch,
        prefetch: 100,
        slots: SlotMap::even(16),
        predecessor_gone: true,
        grace_served: Default::default(),
        left_clean: false,
        paused: false,
        tenure: Tenure::Hold,
    });
    Ok(Assignment { queues: queues.collect(), ..Assignment::default() })
}

/// Waits until a reader sees an assignment. Order of queues is of no account.
async fn sees<C: Coordinator>(coordinator: &C, wanted: &Assignment) -> Outcome {
    let mut reader = coordinator.assignment();
    let sorted = |a: &Assignment| {
        let mut queues = a.queues.clone();
        queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        queues
    };
    works("assignment", reader.wait_for(|seen| sorted(seen) == sorted(wanted)).await).map(drop)
}

/// A reader finds the assignment there, or soon.
pub async fn first_value_is_the_assignment<H: CoordinatorHarness>(harness: &H) -> Outcome {
    let wanted = owned(&[0, 3], 1)?;
    sees(&harness.owning(wanted.clone()).await, &wanted).await
}

/// Each value is the whole assignment: what is not in it is not owned any more, and no queue is in it twice.
pub async fn every_change_is_seen_whole<H: CoordinatorHarness>(harness: &H) -> Outcome {
    let coordinator = harness.owning(owned(&[0, 3], 1)?).await;
    for (numbers, epoch) in [(&[0, 3, 5][..], 2), (&[5], 3), (&[], 4), (&[5, 7], 5)] {
        let wanted = owned(numbers, epoch)?;
        harness.assign(&coordinator, wanted.clone()).await;
        sees(&coordinator, &wanted).await?;
        let seen = coordinator.assignment().borrow().clone();
        let mut names: Vec<_> = seen.queues.iter().map(|q| &q.queue).collect();
        names.sort();
        require(names.windows(2).all(|pair| pair[0] != pair[1]), || format!("twice in {names:?}"))?;
    }
    Ok(())
}

/// Level, not edge: who comes late, or reads seldom, sees the last assignment.
pub async fn late_reader_sees_the_last<H: CoordinatorHarness>(harness: &H) -> Outcome {
    let coordinator = harness.owning(owned(&[0], 1)?).await;
    let mut seldom = coordinator.assignment();
    seldom.borrow_and_update();
    for epoch in 2..5 {
        harness.assign(&coordinator, owned(&[0, 1], epoch)?).await;
    }
    let wanted = owned(&[0, 1], 4)?;
    works("change", seldom.wait_for(|seen| *seen == wanted).await).map(drop)?;
    sees(&coordinator, &wanted).await
}

/// P7: when the coordinator is gone, what it said last stands.
pub async fn last_value_stands<H: CoordinatorHarness>(harness: &H) -> Outcome {
    let wanted = owned(&[2], 1)?;
    let coordinator = harness.owning(wanted.clone()).await;
    sees(&coordinator, &wanted).await?;
    let reader = coordinator.assignment();
    drop(coordinator);
    same("the last value", reader.borrow().clone(), wanted)
}
