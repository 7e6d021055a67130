//! The facts queue seen from a sender: storing, and whether nothing waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use lapin::BasicProperties;
use serde::{Deserialize, Serialize};
use skein_core::fact::Fact;
use skein_core::seam::{BrokerError, LedgerError};
use skein_core::wire::{BODY_BYTES_MAX, CONTENT_TYPE};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::rabbitmq::RabbitBroker;
use crate::rabbitmq::arguments::{self, Holding};
use crate::rabbitmq::publisher::Publisher;
use crate::rabbitmq::topology::FACTS_QUEUE;

/// The AMQP `type` of a message of facts.
pub(super) const FACTS_V1: &str = "skein.facts.v1";
/// `{"facts":[` and `]}`.
const FRAME_BYTES: usize = 12;

/// Where facts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolState {
    /// Into the ledger.
    Present,
    /// Into the facts queue: the ledger is away.
    Away,
}

impl SpoolState {
    /// The word in metric and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Away => "away",
        }
    }
}

/// How it stands with the facts queue, for metric and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Where facts go now.
    pub state: SpoolState,
    /// Facts stored in the queue by this process.
    pub stored: u64,
    /// Facts written back from the queue by this process, whoever stored them.
    pub written_back: u64,
}

pub(super) struct Spool {
    pub(super) broker: RabbitBroker,
    away: AtomicBool,
    storing: AtomicUsize,
    stored: AtomicU64,
    written_back: AtomicU64,
    publisher: Mutex<Option<Publisher>>,
    /// Rung when there is something to write back.
    pub(super) bell: Notify,
}

#[derive(Serialize)]
struct Parcel<'a> {
    facts: &'a [Fact],
}

/// A message of facts, read.
#[derive(Deserialize)]
pub(super) struct Facts {
    pub(super) facts: Vec<Fact>,
}

impl Spool {
    pub(super) fn new(broker: RabbitBroker) -> Self {
        Self {
            broker,
            away: AtomicBool::new(false),
            storing: AtomicUsize::new(0),
            stored: AtomicU64::new(0),
            written_back: AtomicU64::new(0),
            publisher: Mutex::new(None),
            bell: Notify::new(),
        }
    }

    pub(super) fn status(&self) -> SpoolStatus {
        SpoolStatus {
            state: if self.is_away() { SpoolState::Away } else { SpoolState::Present },
            stored: self.stored.load(Ordering::Relaxed),
            written_back: self.written_back.load(Ordering::Relaxed),
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Acquire)
    }

    /// True if that is new.
    pub(super) fn went_away(&self) -> bool {
        !self.away.swap(true, Ordering::AcqRel)
    }

    /// True if that is new.
    pub(super) fn came_back(&self) -> bool {
        self.away.swap(false, Ordering::AcqRel)
    }

    pub(super) fn wrote_back(&self, facts: usize) {
        self.written_back.fetch_add(facts as u64, Ordering::Relaxed);
    }

    /// Stores facts in the queue; durable when it returns `Ok`.
    pub(super) async fn store(&self, facts: &[Fact]) -> Result<(), LedgerError> {
        let bodies = parcels(facts)?;
        let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_type(FACTS_V1.into())
            .with_delivery_mode(2);
        let _storing = Storing::new(&self.storing);
        let mut publisher = self.publisher().await.map_err(ledger_error)?;
        let Some(open) = publisher.as_ref() else { return Err(LedgerError::Away("not connected".into())) };
        let stored = open.publish(FACTS_QUEUE, properties, &bodies).await;
        if stored.is_err() {
            *publisher = None;
        }
        stored.map_err(ledger_error)?;
        self.stored.fetch_add(facts.len() as u64, Ordering::Relaxed);
        self.bell.notify_one();
        Ok(())
    }

    /// Whether no fact waits: none is being stored here, the queue is empty, and nobody has any of it in hand.
    pub(super) async fn is_empty(&self) -> Result<bool, LedgerError> {
        if self.is_away() || self.storing.load(Ordering::Acquire) > 0 {
            return Ok(false);
        }
        let holding = self.look().await.map_err(ledger_error)?;
        Ok(holding.ready == 0 && holding.consumers == 0)
    }

    /// What the queue holds.
    pub(super) async fn look(&self) -> Result<Holding, BrokerError> {
        let channel = self.publisher().await?.as_ref().map(Publisher::channel);
        // Others may ask meanwhile: the broker answers in one round trip, whoever is before.
        let looked = match &channel {
            Some(channel) => arguments::look_on(channel, FACTS_QUEUE).await,
            None => Err(BrokerError::Away("not connected".into())),
        };
        match looked {
            Ok(Some(holding)) => Ok(holding),
            Ok(None) => {
                Err(BrokerError::Refused(format!("queue {FACTS_QUEUE} is missing; run `skein cluster init`")))
            }
            Err(error) => {
                *self.publisher.lock().await = None;
                Err(error)
            }
        }
    }

    async fn publisher(&self) -> Result<MutexGuard<'_, Option<Publisher>>, BrokerError> {
        let mut publisher = self.publisher.lock().await;
        if publisher.as_ref().is_none_or(|p| !p.is_open()) {
            *publisher = None;
            self.broker.declared().await;
            *publisher = Some(Publisher::open(self.broker.link_options(), "facts").await?);
        }
        Ok(publisher)
    }
}

/// Counts a storing under way, whichever way it ends.
struct Storing<'a>(&'a AtomicUsize);

impl<'a> Storing<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn ledger_error(error: BrokerError) -> LedgerError {
    match error {
        BrokerError::Away(why) => LedgerError::Away(format!("and so is the facts queue: {why}")),
        BrokerError::Refused(why) => LedgerError::Away(format!("and the facts queue refuses: {why}")),
    }
}

/// Writes facts as bodies of at most [`BODY_BYTES_MAX`].
fn parcels(facts: &[Fact]) -> Result<Vec<Vec<u8>>, LedgerError> {
    let mut bodies = Vec::new();
    let mut pending = vec![facts];
    while let Some(part) = pending.pop() {
        let body = serde_json::to_vec(&Parcel { facts: part });
        let body = body.map_err(|e| LedgerError::Refused(format!("a fact cannot be written: {e}")))?;
        if body.len() + FRAME_BYTES <= BODY_BYTES_MAX || part.len() == 1 {
            bodies.push(body);
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            pending.extend([second, first]);
        }
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::fact::SubmittedBatch;
    use skein_core::{NotificationId, PoolName};

    #[test]
    fn bodies_are_bounded_and_lose_nothing() {
        let facts: Vec<Fact> = (0..40)
            .map(|_| {
                Fact::Submitted(Box::new(SubmittedBatch {
                    pool: PoolName::parse("im").unwrap(),
                    at: NotificationId::now().at(),
                    ids: (0..1000).map(|_| NotificationId::now()).collect(),
                }))
            })
            .collect();
        let bodies = parcels(&facts).unwrap();
        assert!(bodies.iter().all(|b| b.len() <= BODY_BYTES_MAX), "P8");
        let read: Vec<Fact> =
            bodies.iter().flat_map(|b| serde_json::from_slice::<Facts>(b).unwrap().facts).collect();
        assert_eq!(read, facts, "P1: in order and whole");
    }
}
