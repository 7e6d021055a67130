//! What the pages say: the state of each attachment, pool and of the ledger. One log line for each change of state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use serde::Serialize;
use skein_core::seam::{Trouble, TroubleClass};
use skein_core::{PoolName, QueueName};

use crate::advice::CHAIN;
use crate::startup::Startup;

/// The state of a sender, readable from any thread.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<View>,
    /// By pool: the shards whose connections are in trouble, and why.
    transports: Mutex<BTreeMap<String, Shards>>,
    /// By pool: the shards that are paused, and why.
    paused: Mutex<BTreeMap<String, Shards>>,
    /// How it started.
    pub startup: Startup,
}

/// Shards of a pool that something keeps from writing, and what. A shard is a thread.
type Shards = hashbrown::HashMap<(ThreadId, Refused), String>;

/// Where APNs refuses a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// In its answers.
    Answering,
    /// When connecting; for connections' other troubles, too.
    Connecting,
}

/// Which way a pool went, all its shards together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Neither.
    None,
    /// The first shard was struck.
    Begun,
    /// The last shard is well again.
    Over,
}

fn turn(
    pools: &Mutex<BTreeMap<String, Shards>>,
    pool: &PoolName,
    refused: Refused,
    why: Option<&str>,
) -> Edge {
    let shard = (std::thread::current().id(), refused);
    let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
    let shards = pools.entry(pool.to_string()).or_default();
    let was = !shards.is_empty();
    match why {
        Some(why) => shards.insert(shard, why.to_owned()),
        None => shards.remove(&shard),
    };
    match (was, !shards.is_empty()) {
        (false, true) => Edge::Begun,
        (true, false) => Edge::Over,
        _ => Edge::None,
    }
}

fn first_of_each(pools: &Mutex<BTreeMap<String, Shards>>) -> BTreeMap<String, Option<String>> {
    let pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
    pools.iter().map(|(pool, shards)| (pool.clone(), shards.values().next().cloned())).collect()
}

/// A copy of the state.
#[derive(Debug, Default, Clone, Serialize)]
pub struct View {
    /// Why an owned queue is not attached, by queue; `None` if it is.
    pub queues: BTreeMap<String, Option<String>>,
    /// What keeps a pool's connections from writing, if anything does.
    pub transports: BTreeMap<String, Option<String>>,
    /// Why a pool is paused, if it is.
    pub paused: BTreeMap<String, Option<String>>,
    /// Why the ledger is away, if it is.
    pub ledger: Option<String>,
    /// It is leaving its queues.
    pub draining: bool,
}

impl View {
    /// What keeps it from being ready, in words; empty if it is ready.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if self.draining {
            troubles.push("draining".to_owned());
        }
        let named = |list: &BTreeMap<String, Option<String>>, kind: &str| -> Vec<String> {
            list.iter()
                .filter_map(|(name, why)| why.as_ref().map(|why| format!("{kind} {name}: {why}")))
                .collect()
        };
        troubles.extend(named(&self.queues, "queue"));
        troubles.extend(named(&self.transports, "APNs"));
        troubles.extend(named(&self.paused, "pool paused"));
        troubles.extend(self.ledger.iter().map(|why| format!("ledger: {why}")));
        troubles
    }
}

impl Status {
    fn change<T: PartialEq>(&self, place: impl FnOnce(&mut View) -> &mut T, new: T) -> bool {
        let mut view = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let old = place(&mut view);
        let changed = *old != new;
        if changed {
            *old = new;
        }
        changed
    }

    /// A copy.
    pub fn view(&self) -> View {
        let view = self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        View { transports: first_of_each(&self.transports), paused: first_of_each(&self.paused), ..view }
    }

    /// An owned queue is attached, or why not. One line when the first of all is lost, one when the last is back; which and why
    /// stands in `/readyz`.
    pub fn queue(&self, queue: &QueueName, why: Option<String>) {
        let mut view = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let was = view.queues.values().filter(|why| why.is_some()).count();
        let first = view.queues.insert(queue.to_string(), why.clone()).is_none();
        let is = view.queues.values().filter(|why| why.is_some()).count();
        match why {
            Some(why) if was == 0 && !first => {
                tracing::warn!(%queue, %why, "cut off from a queue; attaching anew, what was under way comes back");
            }
            None if was > 0 && is == 0 => {
                tracing::info!(queues = view.queues.len(), "every owned queue is attached")
            }
            _ => {}
        }
    }

    /// A queue is no longer owned.
    pub fn released(&self, queue: &QueueName) {
        let mut view = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        view.queues.remove(&queue.to_string());
        tracing::debug!(%queue, "left");
    }

    /// What keeps this shard's connections of a pool from writing, if anything but its credential does.
    pub fn pool(&self, pool: &PoolName, trouble: Option<&Trouble>) {
        let why = trouble.map(|trouble| &*trouble.why);
        match (turn(&self.transports, pool, Refused::Connecting, why), trouble) {
            (Edge::Begun, Some(Trouble { class: TroubleClass::Chain, why })) => {
                tracing::error!(%pool, %why, advice = CHAIN, "no connection to APNs");
            }
            (Edge::Begun, Some(Trouble { why, .. })) => tracing::warn!(%pool, %why, "no connection to APNs"),
            (Edge::Over, _) => tracing::info!(%pool, "connected to APNs again"),
            _ => {}
        }
    }

    /// Why this shard of a pool is paused, if it is, as answers or connections say. Says whether that began or ended for the
    /// pool: who asks raises the alarm.
    pub fn paused(&self, pool: &PoolName, refused: Refused, why: Option<&str>) -> Edge {
        turn(&self.paused, pool, refused, why)
    }

    /// Why the ledger is away, if it is.
    pub fn ledger(&self, why: Option<String>) {
        let away = why.is_some();
        let mut view = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let was = view.ledger.is_some();
        if away && !was {
            tracing::warn!(
                why = why.as_deref().unwrap_or_default(),
                "the ledger does not take facts; sending goes on until the permits are used up"
            );
        } else if was && !away {
            tracing::info!("the ledger takes facts again");
        }
        view.ledger = why;
    }

    /// It is leaving its queues.
    pub fn draining(&self) {
        self.change(|v| &mut v.draining, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_the_pool_s_not_its_shards() {
        let status = Status::default();
        let pool = PoolName::parse("im").unwrap();
        let elsewhere = |why: Option<&'static str>| {
            std::thread::scope(|scope| {
                scope.spawn(|| status.paused(&pool, Refused::Answering, why)).join().unwrap()
            })
        };
        assert_eq!(status.paused(&pool, Refused::Answering, None), Edge::None);
        assert_eq!(status.paused(&pool, Refused::Answering, Some("Forbidden")), Edge::Begun);
        assert_eq!(elsewhere(None), Edge::None);
        assert_eq!(status.view().troubles(), ["pool paused im: Forbidden"]);
        assert_eq!(status.paused(&pool, Refused::Answering, None), Edge::Over);
        assert!(status.view().troubles().is_empty());
        assert_eq!(
            (
                status.paused(&pool, Refused::Answering, Some("Forbidden")),
                status.paused(&pool, Refused::Answering, Some("again"))
            ),
            (Edge::Begun, Edge::None)
        );
    }

    #[test]
    fn a_pool_is_well_when_its_last_shard_is() {
        let status = Status::default();
        let pool = PoolName::parse("im").unwrap();
        let (to_shard, orders) = std::sync::mpsc::channel();
        let (report, edges) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let (status, pool) = (&status, &pool);
            scope.spawn(move || {
                orders
                    .iter()
                    .for_each(|why| report.send(status.paused(pool, Refused::Answering, why)).unwrap())
            });
            let other = |why: Option<&'static str>| {
                to_shard.send(why).unwrap();
                edges.recv().unwrap()
            };
            assert_eq!(other(Some("Forbidden")), Edge::Begun);
            assert_eq!(status.paused(pool, Refused::Answering, Some("Forbidden")), Edge::None);
            assert_eq!(other(None), Edge::None);
            assert_eq!(status.paused(pool, Refused::Answering, None), Edge::Over);
            drop(to_shard);
        });
    }
}
