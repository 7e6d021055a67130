//! Both sides of the account: what was taken from which queue, and what the ledger has taken in. What was acknowledged and has reached
//! neither the ledger nor anybody's memory is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};
use skein_core::fact::{Fact, Registration};
use skein_core::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use skein_core::{NotificationId, NotificationKey, PoolName, QueueName, Slot, Timestamp};

use super::{Metrics, PoolMetrics};

/// Who submitted.
const BY: [&str; 2] = ["front_door", "producer"];

/// The families.
pub(super) struct Account {
    taken: IntCounterVec,
    recorded: IntCounterVec,
    default_rows: IntGaugeVec,
}

/// What one queue's owner takes from it, by who submitted it.
pub struct Taken {
    front_door: IntCounter,
    producer: IntCounter,
}

impl Account {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let default_rows = IntGaugeVec::new(
            Opts::new(
                "skein_ledger_default_rows",
                "Rows of the ledger whose day has no partition, by table; beyond 1,000 they are not counted.",
            ),
            &["table"],
        )?;
        registry.register(Box::new(default_rows.clone()))?;
        Ok(Self {
            default_rows,
            taken: counters(
                "skein_notifications_taken_total",
                "Notifications taken from a queue for the first time, by who submitted them: front_door or producer.",
                &["pool", "queue", "by"],
            )?,
            recorded: counters(
                "skein_ledger_verdicts_total",
                "Final verdicts that the ledger has taken in; one that comes second is none.",
                &["pool"],
            )?,
        })
    }

    pub(super) fn begin(&self, pool: &PoolName) {
        self.recorded.with_label_values(&[pool.as_str()]);
        // Every pool has it; the others begin when they are attached to. So there is something to reckon with before.
        let first = QueueName { pool: pool.clone(), number: 0 }.to_string();
        for by in BY {
            self.taken.with_label_values(&[pool.as_str(), &first, by]);
        }
    }
}

impl PoolMetrics {
    /// Of what is taken from a queue of the pool, from 0 on.
    pub fn taken_from(&self, queue: &QueueName) -> Taken {
        let name = queue.to_string();
        let [front_door, producer] =
            BY.map(|who| self.all.account.taken.with_label_values(&[queue.pool.as_str(), &name, who]));
        Taken { front_door, producer }
    }
}

impl Metrics {
    /// So many rows of a table of the ledger stand in no day's partition; `None` if that can't be seen.
    pub fn default_rows(&self, table: &str, rows: Option<u64>) {
        let gauges = &self.account.default_rows;
        match rows {
            Some(rows) => gauges.with_label_values(&[table]).set(i64::try_from(rows).unwrap_or(i64::MAX)),
            None => drop(gauges.remove_label_values(&[table])),
        }
    }
}

impl Taken {
    /// So many of a message have never been here before.
    pub fn count(&self, from_front_door: bool, notifications: usize) {
        let counter = if from_front_door { &self.front_door } else { &self.producer };
        counter.inc_by(notifications as u64);
    }
}

/// A ledger of which it is counted what it has taken in, by its own word: whoever writes through it, at once or later.
#[derive(Clone)]
pub struct Counted<L> {
    inner: L,
    metrics: Arc<Metrics>,
}

impl<L: Ledger> Counted<L> {
    /// Counts what `inner` takes in.
    pub fn new(inner: L, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn count(&self, facts: &[Fact], recorded: &Recorded) {
        let mut pools: BTreeMap<&PoolName, u64> = BTreeMap::new();
        for (index, fact) in facts.iter().enumerate() {
            let Fact::Final(end) = fact else { continue };
            let refused = recorded.refused.iter().any(|refused| refused.index == index);
            if !refused && !recorded.late.contains(&index) {
                *pools.entry(&end.pool).or_default() += 1;
            }
        }
        for (pool, count) in pools {
            self.metrics.account.recorded.with_label_values(&[pool.as_str()]).inc_by(count);
        }
    }
}

impl<L: Ledger> Ledger for Counted<L> {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        let recorded = self.inner.record(facts).await?;
        self.count(facts, &recorded);
        Ok(recorded)
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        self.inner.look_up(asked).await
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        self.inner.gone(pool, slots).await
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        self.inner.repeats(pool, since).await
    }

    async fn register(&self, registrations: &[Registration]) -> Result<(), LedgerError> {
        self.inner.register(registrations).await
    }

    async fn trace(&self, id: NotificationId) -> Result<Trace, LedgerError> {
        self.inner.trace(id).await
    }

    async fn tally(&self, pool: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
        self.inner.tally(pool, since).await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.inner.ping().await
    }
}
