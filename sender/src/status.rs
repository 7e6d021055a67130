//! What the pages say: the state of each attachment, pool and of the ledger. One log line for each change of state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use skein_core::{PoolName, QueueName};

/// The state of a sender, readable from any thread.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<View>,
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// What keeps a pool's connections from writing, if anything does.
    pub fn pool(&self, pool: &PoolName, why: Option<String>) {
        let mut view = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match view.transports.get_mut(pool.as_str()) {
            Some(old) if old.is_some() == why.is_some() => {}
            old => {
                match &why {
                    Some(why) => tracing::warn!(%pool, %why, "no connection to APNs"),
                    None if old.is_some() => tracing::info!(%pool, "connected to APNs again"),
                    None => {}
                }
                view.transports.insert(pool.to_string(), why);
            }
        }
    }

    /// Why a pool is paused, if it is.
    pub fn paused(&self, pool: &PoolName, why: Option<&str>) {
        let name = pool.to_string();
        self.change(|v| v.paused.entry(name).or_insert(None), why.map(str::to_owned));
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
