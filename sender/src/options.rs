//! What a sender is told: bounds with their units. Defaults live in `config/default.toml`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::Windows;
use skein_core::{Content, FingerprintKey, PoolName};

use crate::permits::Permits;
use crate::spans::Spans;

/// The settings of a sender.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its stable name in the fleet.
    pub member: Arc<str>,
    /// Sending threads.
    pub shards: usize,
    /// The most items in lanes, of all pools together; each pool and shard has its even part.
    pub held_max: usize,
    /// The most bytes of them, shared in the same way.
    pub held_bytes_max: usize,
    /// When a notification is written again.
    pub retry: RetrySchedule,
    /// How long an owner waits whose predecessor may still write.
    pub grace: Duration,
    /// How long those that need a look-up are held while the ledger is away.
    pub away_hold: Duration,
    /// How long ids made final through a marked copy are remembered.
    pub id_memory: Duration,
    /// How many of them at most, a pool and shard.
    pub id_memory_max: usize,
    /// Retries as a share of first writes, and how many a second whatever the traffic.
    pub retry_budget: (f64, u32),
    /// Where a suspect is noted before it is decoded; without it no message is quarantined.
    pub state_folder: Option<PathBuf>,
    /// How often a message has come back before it is a suspect.
    pub quarantine_after: u32,
    /// The shortest and longest wait before attaching anew.
    pub backoff: (Duration, Duration),
    /// The most facts in one transaction.
    pub record_rows_max: usize,
    /// The pools.
    pub pools: Vec<PoolOptions>,
    /// The key of all fingerprints.
    pub fingerprint_key: FingerprintKey,
    /// Where spans of sampled traces go; without it none are made.
    pub spans: Option<Arc<dyn Spans>>,
}

/// The settings of one pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Its name.
    pub name: PoolName,
    /// The topics it may send for, each with or without the suffix of a push type; empty allows any. APNs answers a foreign topic
    /// with a refusal that speaks about the whole credential, so one is not sent.
    pub topics: Vec<String>,
    /// Whether a newer notification with the same collapse id supersedes an older one waiting in the same lane.
    pub collapse: bool,
    /// What each shard's transport may have open; without them, what it was made with.
    pub windows: Option<Windows>,
}

impl PoolOptions {
    /// Whether the pool may send this.
    pub fn covers(&self, content: &Content) -> bool {
        let bundle = content.topic.strip_suffix(content.push_type.topic_suffix()).unwrap_or(&content.topic);
        self.topics.is_empty() || self.topics.iter().any(|topic| *topic == *content.topic || topic == bundle)
    }
}

/// What may change of a pool while it runs: whoever acts by it asks each time.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// When a notification is written again.
    pub retry: RetrySchedule,
    /// How long those that need a look-up are held while the ledger is away.
    pub away_hold: Duration,
    /// How often a message has come back before it is a suspect.
    pub quarantine_after: u32,
    /// The shortest and longest wait before attaching anew.
    pub backoff: (Duration, Duration),
    /// The pool's own.
    pub pool: PoolOptions,
}

impl Options {
    /// What may change of this pool.
    pub fn tuned(&self, pool: &PoolOptions) -> Tuned {
        Tuned {
            retry: self.retry.clone(),
            away_hold: self.away_hold,
            quarantine_after: self.quarantine_after,
            backoff: self.backoff,
            pool: pool.clone(),
        }
    }

    /// Each pool's and shard's part of what may be held, at least one item.
    pub fn permits(&self) -> Permits {
        let (items, bytes) = self.held();
        Permits::new(items, bytes)
    }

    /// The same, in items and bytes.
    pub fn held(&self) -> (usize, usize) {
        let parts = self.shards.max(1) * self.pools.len().max(1);
        ((self.held_max / parts).max(1), (self.held_bytes_max / parts).max(1))
    }
}
