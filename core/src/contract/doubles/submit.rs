//! Ways in with one flaw each.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::contract::submit::{PROMISES, SubmitHarness, all, each};
use crate::memory::MemoryBroker;
use crate::notification::Notification;
use crate::pool::PoolName;
use crate::seam::{Confirmation, Submit, SubmitError};
use crate::wire;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    AnswersBackwards,
    ConfirmsAndLoses,
    SendsBackwards,
    SendsOneByOne,
    RefusesLargeBatches,
    AnswersNothingWithSomething,
    ConfirmsAnyPool,
    ForgetsTheMark,
}

#[derive(Clone)]
struct Flawed {
    flaw: Flaw,
    broker: MemoryBroker,
}

impl Submit for Flawed {
    async fn submit(
        &self,
        pool: &PoolName,
        mut notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        let asked = notifications.clone();
        let confirmed = || asked.iter().map(|n| Ok(Confirmation { id: n.id })).collect();
        match self.flaw {
            Flaw::AnswersBackwards => {
                let mut outcomes = self.broker.submit(pool, notifications).await;
                outcomes.reverse();
                return outcomes;
            }
            Flaw::ConfirmsAndLoses if notifications.len() > 1 => {
                notifications.pop();
                self.broker.submit(pool, notifications).await;
                return confirmed();
            }
            Flaw::SendsBackwards => {
                notifications.reverse();
                self.broker.submit(pool, notifications).await;
                return confirmed();
            }
            Flaw::SendsOneByOne => {
                for one in notifications {
                    self.broker.submit(pool, vec![one]).await;
                }
                return confirmed();
            }
            Flaw::RefusesLargeBatches if notifications.len() > wire::BATCH_ITEMS_MAX => {
                return vec![Err(SubmitError::Rejected("too many")); notifications.len()];
            }
            Flaw::AnswersNothingWithSomething if notifications.is_empty() => {
                return vec![Err(SubmitError::Unknown)];
            }
            Flaw::ConfirmsAnyPool => {
                self.broker.submit(pool, notifications).await;
                return confirmed();
            }
            _ => {}
        }
        self.broker.submit(pool, notifications).await
    }

    async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        match self.flaw {
            Flaw::ForgetsTheMark => self.broker.submit(pool, notifications).await,
            _ => self.broker.submit_again(pool, notifications).await,
        }
    }
}

struct Harness {
    flawed: Flawed,
    pools: AtomicU16,
}

fn pool(number: u16) -> PoolName {
    PoolName::parse(&format!("p{number}")).unwrap()
}

impl Harness {
    fn new(flaw: Flaw) -> Self {
        let pools: Vec<PoolName> = (0..16).map(pool).collect();
        let broker = MemoryBroker::new(pools.iter().map(|pool| (pool, 4)));
        Self { flawed: Flawed { flaw, broker }, pools: AtomicU16::new(0) }
    }
}

impl SubmitHarness for Harness {
    type Submit = Flawed;
    type Broker = MemoryBroker;

    fn submit(&self) -> Flawed {
        self.flawed.clone()
    }

    fn broker(&self) -> MemoryBroker {
        self.flawed.broker.clone()
    }

    async fn fresh_pool(&self, queues: u16) -> PoolName {
        assert_eq!(queues, 4);
        pool(self.pools.fetch_add(1, Ordering::Relaxed))
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    all(&Harness::new(Flaw::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn doubles_are_refused() {
    let mut runs = Vec::new();
    for (flaw, broken) in [
        (Flaw::AnswersBackwards, "outcomes_are_in_the_order_given"),
        (Flaw::ConfirmsAndLoses, "confirmed_arrives_once_and_whole"),
        (Flaw::SendsBackwards, "order_of_a_token_is_kept"),
        (Flaw::SendsOneByOne, "shared_payload_goes_out_once_a_queue"),
        (Flaw::RefusesLargeBatches, "more_than_a_batch_is_taken"),
        (Flaw::AnswersNothingWithSomething, "nothing_is_nothing"),
        (Flaw::ConfirmsAnyPool, "unknown_pool_is_refused"),
        (Flaw::ForgetsTheMark, "again_arrives_marked"),
    ] {
        runs.push((flaw, broken, each(&Harness::new(flaw)).await));
    }
    super::assert_each_refuses(PROMISES, runs);
}
