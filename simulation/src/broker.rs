//! A sender's way to the broker: deliveries and settlements travel, a silent cut is noticed late, the lease is kept by round trips
//! of the sender's own.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use skein_core::lease::Lease;
use skein_core::memory::{Beat, MemoryBroker, MemoryInbox, Message, PausedClock, Pulse};
use skein_core::seam::{Broker, BrokerError, Clock, DeadLetter, Delivery, Inbox};
use skein_core::{QueueName, wire};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::flaw::Flaw;
use crate::links::Links;
use crate::random::Random;
use crate::witness::{LifeId, Witness};

/// How long the right to write outlives a round trip.
pub const LEASE: Duration = Duration::from_millis(700);
/// How often a round trip is made.
const BEAT_EVERY: Duration = Duration::from_millis(200);
/// How long round trips stay unanswered before an attachment is given up.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
/// How often a cut link is looked at.
const LINK_LOOK: Duration = Duration::from_millis(50);

/// One life's way to the broker.
#[derive(Clone)]
pub struct SimBroker {
    /// The broker, as this life's client.
    pub inner: MemoryBroker,
    /// Its clock.
    pub clock: PausedClock,
    /// The life.
    pub life: LifeId,
    /// Its links.
    pub links: Arc<Links>,
    /// Sees who is served.
    pub witness: Witness,
    /// Chance.
    pub random: Random,
    /// How long deliveries are on their way at most, in milliseconds.
    pub delay: Arc<AtomicU64>,
    /// The double's flaw.
    pub flaw: Flaw,
    /// For the broker that requeues to the back: how often each body came back.
    pub requeued: Arc<Mutex<HashMap<Bytes, u32>>>,
}

fn cut() -> BrokerError {
    BrokerError::Away("the connection is lost".into())
}

impl Broker for SimBroker {
    type Inbox = SimInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<SimInbox, BrokerError> {
        tokio::time::sleep(self.random.millis(1, 8)).await;
        if self.links.is_broker_cut() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Err(cut());
        }
        self.links.reopen();
        let inner = self.inner.attach(queue, prefetch).await?;
        self.witness.attached(self.life, queue);
        let state = Arc::new(State::default());
        let beats = keep_lease(self.clone(), inner.pulse(), inner.lease(), Arc::clone(&state));
        tokio::task::spawn_local(beats);
        Ok(SimInbox {
            way: self.clone(),
            queue: queue.clone(),
            inner: Some(inner),
            state,
            arrived: None,
            acks: VecDeque::new(),
        })
    }
}

/// What an inbox and its round trips share.
#[derive(Default)]
struct State {
    lost: AtomicBool,
    dropped: AtomicBool,
    changed: Notify,
}

impl State {
    fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

async fn keep_lease(way: SimBroker, pulse: Pulse, lease: Arc<Lease>, state: Arc<State>) {
    let mut silent: Option<Instant> = None;
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        if state.dropped.load(Ordering::Relaxed) {
            return;
        }
        let began = way.clock.boot();
        tokio::time::sleep(way.random.millis(1, 4)).await;
        let cut = way.links.is_broker_cut();
        let beat = if cut { Beat::Unanswered } else { pulse.beat(began) };
        if way.flaw == Flaw::LeaseNeverEnds && beat != Beat::Ended {
            lease.renew(began, LEASE);
        }
        match beat {
            Beat::Renewed => silent = None,
            Beat::Unanswered => {
                let since = *silent.get_or_insert_with(Instant::now);
                if since.elapsed() >= SILENCE_MAX {
                    return state.lose();
                }
            }
            Beat::Ended => return state.lose(),
        }
    }
}

/// One attachment, over one life's way.
pub struct SimInbox {
    way: SimBroker,
    queue: QueueName,
    inner: Option<MemoryInbox>,
    state: Arc<State>,
    /// Deliveries on their way, and when they are here.
    arrived: Option<(Instant, Vec<Delivery>)>,
    /// Settlements on their way, and when they are there.
    acks: VecDeque<(Instant, Vec<u64>)>,
}

impl SimInbox {
    fn is_lost(&self) -> bool {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Settlements that have arrived are the broker's.
    async fn flush(&mut self, all: bool) -> Result<(), BrokerError> {
        if self.way.links.is_broker_cut() {
            return Ok(());
        }
        let Some(inner) = &mut self.inner else { return Err(cut()) };
        while self.acks.front().is_some_and(|(at, _)| all || *at <= Instant::now()) {
            let Some((_, mut tags)) = self.acks.pop_front() else { break };
            inner.settle(&mut tags).await?;
        }
        Ok(())
    }

    /// Waits until something is here or lost: deliveries if `most` is not 0.
    async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            if self.is_lost() {
                return Err(cut());
            }
            self.flush(false).await?;
            let now = Instant::now();
            let is_cut = self.way.links.is_broker_cut();
            if most > 0
                && !is_cut
                && let Some((_, deliveries)) = self.arrived.take_if(|(at, _)| *at <= now)
            {
                self.way.took(&deliveries);
                return Ok(deliveries);
            }
            let due = self.acks.front().map(|(at, _)| *at);
            let here = self.arrived.as_ref().map(|(at, _)| *at).filter(|_| most > 0);
            let look = if is_cut { Some(now + LINK_LOOK) } else { due.into_iter().chain(here).min() };
            let takes = most > 0 && self.arrived.is_none() && !is_cut;
            let Some(inner) = &mut self.inner else { return Err(cut()) };
            let news = async {
                match (is_cut, takes) {
                    (true, _) => std::future::pending().await,
                    (_, true) => inner.take(most).await,
                    (_, false) => Err(inner.cut().await),
                }
            };
            let taken = tokio::select! {
                biased;
                () = self.state.changed.notified() => continue,
                taken = news => taken?,
                () = tokio::time::sleep_until(look.unwrap_or(now)), if look.is_some() => continue,
            };
            let deliveries = self.way.flawed(inner, &self.queue, taken).await?;
            let most_late = self.way.delay.load(Ordering::Relaxed);
            let here = Instant::now() + Duration::from_millis(self.way.random.below(most_late + 1));
            self.arrived = Some((here, deliveries)).filter(|(_, some)| !some.is_empty());
        }
    }
}

impl SimBroker {
    fn took(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            let decoded = wire::decode(&delivery.kind, &delivery.body, self.clock.now(), |_| true);
            for one in decoded.iter().flat_map(|decoded| &decoded.items) {
                self.witness.took(self.life, one.id);
            }
        }
    }

    /// A broker that requeues to the back: what comes back goes behind what waits, and is served again as redelivered.
    async fn flawed(
        &self,
        inner: &mut MemoryInbox,
        queue: &QueueName,
        mut taken: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, BrokerError> {
        if self.flaw != Flaw::RequeuesToTheBack {
            return Ok(taken);
        }
        let back: Vec<Delivery> = taken.extract_if(.., |delivery| delivery.redelivered).collect();
        for delivery in back {
            *self.requeued().entry(delivery.body.clone()).or_default() += 1;
            inner.settle(&mut vec![delivery.tag]).await?;
            let message = Message { kind: delivery.kind, body: delivery.body, repeat: delivery.repeat };
            self.inner.inject(queue, message)?;
        }
        for delivery in &mut taken {
            delivery.returns = self.requeued().get(&delivery.body).copied().unwrap_or(0);
            delivery.redelivered = delivery.returns > 0;
        }
        Ok(taken)
    }

    fn requeued(&self) -> std::sync::MutexGuard<'_, HashMap<Bytes, u32>> {
        self.requeued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox for SimInbox {
    async fn take(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.next(most.max(1)).await
    }

    async fn cut(&mut self) -> BrokerError {
        // Without room for deliveries it returns only when it is cut.
        self.next(0).await.err().unwrap_or_else(cut)
    }

    async fn settle(&mut self, tags: &mut Vec<u64>) -> Result<(), BrokerError> {
        let tags = std::mem::take(tags);
        self.acks.push_back((Instant::now() + self.way.random.millis(0, 15), tags));
        if self.is_lost() { Err(cut()) } else { self.flush(false).await }
    }

    async fn bury(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        match &mut self.inner {
            Some(inner) if !self.way.links.is_broker_cut() => inner.bury(letter).await,
            _ => Err(cut()),
        }
    }

    fn lease(&self) -> Arc<Lease> {
        self.inner.as_ref().map(MemoryInbox::lease).unwrap_or_default()
    }

    async fn leave(mut self) {
        tokio::time::sleep(self.way.random.millis(1, 5)).await;
        // Cut off, the settlements are lost, and what they settled comes back.
        let _ = self.flush(true).await;
    }
}

impl Drop for SimInbox {
    fn drop(&mut self) {
        self.state.dropped.store(true, Ordering::Relaxed);
        if let Some(inner) = self.inner.take().filter(|_| self.way.links.is_broker_cut()) {
            inner.lease().end();
            self.way.links.forget(inner);
        }
    }
}
