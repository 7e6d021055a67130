//! When a pool is paused: its credential is refused, in an answer or when connecting.

use skein_core::answer::Answer;
use skein_core::seam::{Clock, Trouble, TroubleClass};

use crate::advice::{CERTIFICATE, advice};
use crate::breaker::Change;
use crate::facts::words;
use crate::main_path::PoolShard;
use crate::status::{Edge, Refused};

impl<C: Clock> PoolShard<C> {
    /// The breaker stopped the pool, or it writes again.
    pub(crate) fn tell(&self, change: Change, answer: &Answer) {
        let cause = words(answer).0;
        match change {
            Change::None => {}
            Change::Stopped => self.paused(Refused::Answering, Some((&cause, Some(advice(answer))))),
            Change::Resumed => self.paused(Refused::Answering, None),
        }
    }

    /// What keeps connections from writing: a credential that APNs refuses pauses the pool, the rest is tried again.
    pub(crate) fn look_at(&self, trouble: Option<&Trouble>) {
        use TroubleClass as Class;
        // A stopped pool has no connection between its probes.
        let is_stopped = self.work.borrow().breaker.is_open();
        let (cause, elsewhere) = match trouble {
            None => (None, None),
            Some(Trouble { class: Class::Network, .. }) if is_stopped => (None, None),
            Some(Trouble { class: Class::NoCredential, why }) => (Some((&**why, None)), None),
            Some(Trouble { class: Class::Credential, why }) => (Some((&**why, Some(CERTIFICATE))), None),
            Some(Trouble { class: Class::Chain | Class::Network, .. }) => (None, trouble),
        };
        self.paused(Refused::Connecting, cause);
        self.status.pool(&self.pool.name, elsewhere);
    }

    /// Why the pool is paused, and what can be done; one alarm and one line for all its shards. Without advice, the alarm was
    /// raised elsewhere.
    fn paused(&self, refused: Refused, why: Option<(&str, Option<&str>)>) {
        match self.status.paused(&self.pool.name, refused, why.map(|(cause, _)| cause)) {
            Edge::None => {}
            Edge::Begun => {
                if let Some((cause, Some(advice))) = why {
                    tracing::error!(pool = %self.pool.name, %cause, advice, "APNs refuses the credential or its settings: the pool is paused and its queue kept");
                }
                self.metrics.paused(true);
            }
            Edge::Over => {
                tracing::info!(pool = %self.pool.name, "the pool writes again");
                self.metrics.paused(false);
            }
        }
    }
}
