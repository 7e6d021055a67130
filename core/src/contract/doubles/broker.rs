//! Brokers with one flaw each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::contract::broker::{BrokerHarness, PROMISES, all, each};
use crate::lease::{BootMillis, Lease};
use crate::memory::{Keeping, MemoryBroker, MemoryInbox, Message, PausedClock};
use crate::pool::{PoolName, QueueName};
use crate::seam::{Broker, BrokerError, Clock, DeadLetter, Delivery, Inbox};
use crate::time::Timestamp;
use crate::wire;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    HandsOutBackwards,
    DropsTheMark,
    WaitsForAFullTake,
    TakesAllThereIs,
    LosesWhenCancelled,
    CountsTagsDown,
    IgnoresThePrefetch,
    RequeuesToTheBack,
    ForgetsRedelivered,
    SettlesAfterTheCut,
    NoticesOnlyByTaking,
    SettlesNothing,
    SettlesTheUntouched,
    StaysWhenDropped,
    StealsTheQueue,
    ReturnsOftenReturnedLast,
    BuriesNothing,
    LeaseOutlives,
}

#[derive(Clone)]
struct Flawed {
    flaw: Flaw,
    broker: MemoryBroker,
}

struct FlawedInbox {
    flaw: Flaw,
    inner: Option<MemoryInbox>,
    lease: Arc<Lease>,
    untouched: Vec<Delivery>,
    /// Deliveries in an order of its own.
    reordered: VecDeque<Delivery>,
}

impl FlawedInbox {
    fn inner(&mut self) -> &mut MemoryInbox {
        self.inner.as_mut().expect("an attachment until it is dropped")
    }
}

impl FlawedInbox {
    async fn take_reordered(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        if self.reordered.is_empty() {
            let mut all = self.inner().take(usize::MAX).await?;
            match self.flaw {
                Flaw::RequeuesToTheBack => all.sort_by_key(|d| d.redelivered),
                _ => all.sort_by_key(|d| d.returns.max(1)),
            }
            self.reordered.extend(all);
        }
        let count = most.min(self.reordered.len());
        Ok(self.reordered.drain(..count).collect())
    }
}

impl Drop for FlawedInbox {
    fn drop(&mut self) {
        if self.flaw == Flaw::StaysWhenDropped {
            std::mem::forget(self.inner.take());
        }
    }
}

impl Broker for Flawed {
    type Inbox = FlawedInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<FlawedInbox, BrokerError> {
        let prefetch = match self.flaw {
            Flaw::IgnoresThePrefetch => 0,
            _ => prefetch,
        };
        if self.flaw == Flaw::StealsTheQueue {
            self.broker.cut(queue);
        }
        let inner = self.broker.attach(queue, prefetch).await?;
        let lease = if self.flaw == Flaw::LeaseOutlives { Arc::new(Lease::forever()) } else { inner.lease() };
        Ok(FlawedInbox {
            flaw: self.flaw,
            inner: Some(inner),
            lease,
            untouched: Vec::new(),
            reordered: VecDeque::new(),
        })
    }
}

impl Inbox for FlawedInbox {
    async fn take(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        let flaw = self.flaw;
        let inner = self.inner();
        let mut taken = match flaw {
            Flaw::TakesAllThereIs => inner.take(usize::MAX).await?,
            Flaw::RequeuesToTheBack | Flaw::ReturnsOftenReturnedLast => self.take_reordered(most).await?,
            _ => inner.take(most).await?,
        };
        while flaw == Flaw::WaitsForAFullTake && taken.len() < most {
            taken.extend(self.inner().take(most - taken.len()).await?);
        }
        match flaw {
            Flaw::HandsOutBackwards => taken.reverse(),
            Flaw::LosesWhenCancelled => tokio::task::yield_now().await,
            _ => {}
        }
        for delivery in &mut taken {
            match flaw {
                Flaw::DropsTheMark => delivery.repeat = false,
                Flaw::ForgetsRedelivered => (delivery.redelivered, delivery.returns) = (false, 0),
                Flaw::CountsTagsDown => delivery.tag = u64::MAX - delivery.tag,
                _ => {}
            }
        }
        self.untouched.extend(taken.iter().cloned());
        Ok(taken)
    }

    async fn cut(&mut self) -> BrokerError {
        if self.flaw == Flaw::NoticesOnlyByTaking {
            std::future::pending::<()>().await;
        }
        self.inner().cut().await
    }

    async fn settle(&mut self, tags: &mut Vec<u64>) -> Result<(), BrokerError> {
        self.untouched.retain(|d| !tags.contains(&d.tag));
        match self.flaw {
            Flaw::SettlesNothing => tags.clear(),
            Flaw::SettlesAfterTheCut => {
                self.inner().settle(tags).await.ok();
            }
            _ => return self.inner().settle(tags).await,
        }
        Ok(())
    }

    async fn bury(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        if self.flaw == Flaw::BuriesNothing { Ok(()) } else { self.inner().bury(letter).await }
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    async fn leave(mut self) {
        if self.flaw == Flaw::SettlesTheUntouched {
            let waiting = tokio::time::timeout(Duration::ZERO, self.inner().take(usize::MAX)).await;
            let waiting = waiting.ok().and_then(Result::ok).unwrap_or_default();
            let mut tags = self.untouched.drain(..).chain(waiting).map(|d| d.tag).collect();
            self.inner().settle(&mut tags).await.ok();
        }
    }
}

struct Harness {
    flawed: Flawed,
    clock: PausedClock,
    pool: PoolName,
    queues: AtomicU16,
}

impl Harness {
    fn new(flaw: Flaw, with_leases: bool) -> Self {
        let clock = PausedClock::starting_at(Timestamp::from_secs(1_795_000_000));
        let pool = PoolName::parse("im").unwrap();
        let pools = [(&pool, 64)];
        let broker = if with_leases {
            let (length, every) = (Duration::from_millis(700), Duration::from_millis(200));
            MemoryBroker::with_leases(pools, Keeping::new(clock.clone(), length, every))
        } else {
            MemoryBroker::new(pools)
        };
        let flawed = Flawed { flaw, broker };
        Self { flawed, clock, pool, queues: AtomicU16::new(0) }
    }
}

impl BrokerHarness for Harness {
    type Broker = Flawed;

    fn broker(&self) -> Flawed {
        self.flawed.clone()
    }

    fn boot(&self) -> BootMillis {
        self.clock.boot()
    }

    async fn fresh_queue(&self) -> QueueName {
        QueueName { pool: self.pool.clone(), number: self.queues.fetch_add(1, Ordering::Relaxed) }
    }

    async fn publish(&self, queue: &QueueName, body: &[u8], repeat: bool) {
        let body = Bytes::copy_from_slice(body);
        let message = Message { kind: wire::NOTIFICATION_V1.into(), body, repeat };
        self.flawed.broker.inject(queue, message).unwrap();
    }

    async fn cut(&self, queue: &QueueName, _: &mut FlawedInbox) {
        self.flawed.broker.cut(queue);
    }

    async fn dead_letters(&self, queue: &QueueName) -> Vec<Bytes> {
        let letters = self.flawed.broker.dead_letters();
        letters.into_iter().filter(|l| l.queue == *queue).map(|l| l.body).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    for with_leases in [false, true] {
        all(&Harness::new(Flaw::None, with_leases)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn doubles_are_refused() {
    let mut runs = Vec::new();
    for (flaw, broken) in [
        (Flaw::HandsOutBackwards, "order_is_that_of_publishing"),
        (Flaw::DropsTheMark, "message_arrives_as_published"),
        (Flaw::WaitsForAFullTake, "take_does_not_wait_for_more"),
        (Flaw::TakesAllThereIs, "take_keeps_to_its_bound"),
        (Flaw::LosesWhenCancelled, "take_is_cancellation_safe"),
        (Flaw::CountsTagsDown, "tags_grow"),
        (Flaw::IgnoresThePrefetch, "prefetch_bounds_the_unsettled"),
        (Flaw::RequeuesToTheBack, "cut_returns_to_the_front_in_order"),
        (Flaw::ForgetsRedelivered, "cut_marks_as_redelivered"),
        (Flaw::SettlesAfterTheCut, "cut_ends_the_attachment"),
        (Flaw::NoticesOnlyByTaking, "cut_is_noticed_without_taking"),
        (Flaw::SettlesNothing, "settled_never_comes_back"),
        (Flaw::SettlesTheUntouched, "leave_returns_the_untouched"),
        (Flaw::StaysWhenDropped, "drop_returns_everything"),
        (Flaw::StealsTheQueue, "second_attachment_waits"),
        (Flaw::ReturnsOftenReturnedLast, "second_cut_keeps_the_order"),
        (Flaw::BuriesNothing, "bury_stores"),
        (Flaw::LeaseOutlives, "lease_ends_with_the_cut"),
    ] {
        runs.push((flaw, broken, each(&Harness::new(flaw, false)).await));
    }
    super::assert_each_refuses(PROMISES, runs);
}

#[tokio::test(start_paused = true)]
async fn p2_the_lease_of_a_frozen_owner_runs_out_by_itself() {
    let harness = Harness::new(Flaw::None, true);
    let queue = harness.fresh_queue().await;
    harness.publish(&queue, b"a", false).await;
    let broker = &harness.flawed.broker;
    let mut frozen = broker.attach(&queue, 10).await.unwrap();
    let taken = frozen.take(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(frozen.lease().is_open(harness.boot()), "kept by its round trips");
    broker.cut_unseen(&queue);
    let mut next = broker.attach(&queue, 10).await.unwrap();
    assert!(next.take(1).await.unwrap()[0].redelivered);
    assert!(frozen.lease().is_open(harness.boot()), "nobody can tell a frozen owner");
    assert_eq!(frozen.settle(&mut vec![taken[0].tag]).await, Ok(()), "into the void");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!frozen.lease().is_open(harness.boot()));
    drop(frozen);
    assert_eq!(broker.depth(&queue).unsettled, 1, "still the next owner's");
}
