//! A ledger that stays durable while its database is away: facts wait, confirmed, in the quorum queue `skein.facts`, never on a
//! local disk that can be lost with its host; they are written when the database is back, first final wins.
//!
//! While facts wait there, or may, whatever is asked before a write (look-ups, what is gone, what was repeated) answers *away*: it could
//! be untrue. A process attaches to the queue
//! only while it writes back, so that "no message and no consumer" means that nothing waits, in no process.

use std::sync::Arc;
use std::time::Duration;

use skein_core::fact::{Fact, Registration};
use skein_core::id::{NotificationId, NotificationKey};
use skein_core::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use skein_core::{PoolName, Slot, Timestamp};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::RabbitBroker;
use crate::patience::within;

mod drain;
mod spool;

use spool::Spool;
pub use spool::{SpoolState, SpoolStatus};

/// How long the database may take for one batch or look-up before it counts as away, and facts go to the queue instead.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A ledger over a database ledger and the facts queue.
#[derive(Clone)]
pub struct SpooledLedger<L> {
    inner: L,
    spool: Arc<Spool>,
    _draining: Arc<Ended>,
}

/// Ends the task that writes back with the last handle.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<L: Ledger> SpooledLedger<L> {
    /// Over `inner`, with the queue on this broker; begins to write back what waits there.
    ///
    /// # Panics
    /// Outside of a tokio runtime, on which its connections live.
    pub fn new(inner: L, broker: RabbitBroker) -> Self {
        let spool = Arc::new(Spool::new(broker));
        let draining = tokio::spawn(drain::run(inner.clone(), Arc::clone(&spool)));
        Self { inner, spool, _draining: Arc::new(Ended(draining)) }
    }

    /// How it stands with the facts queue.
    pub fn status(&self) -> SpoolStatus {
        self.spool.status()
    }

    /// Makes sure that no fact waits elsewhere: without it the database's answer could be untrue.
    async fn whole(&self) -> Result<(), LedgerError> {
        if self.spool.is_empty().await? {
            return Ok(());
        }
        Err(LedgerError::Away("facts wait in the facts queue until they are written back".into()))
    }

    /// Asks the database, unless it is known to be away: then nobody waits for its connect timeout once more.
    async fn ask<T>(&self, asked: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        if self.spool.is_away() {
            return Err(LedgerError::Away("its facts wait in the facts queue".into()));
        }
        let answer = within(ANSWER_LIMIT, asked)
            .await
            .unwrap_or_else(|| Err(LedgerError::Away("it does not answer".into())));
        if let Err(LedgerError::Away(why)) = &answer
            && self.spool.went_away()
        {
            warn!(why, "the ledger is away: facts wait in the facts queue");
        }
        answer
    }

    async fn spool(&self, facts: &[Fact], why: &str) -> Result<Recorded, LedgerError> {
        if self.spool.went_away() {
            warn!(why, "the ledger is away: facts wait in the facts queue");
        }
        self.spool.store(facts).await?;
        Ok(Recorded::default())
    }
}

impl<L: Ledger> Ledger for SpooledLedger<L> {
    /// Besides the seam's promise: durable in the facts queue counts. What came late, and which tokens are gone, is not known
    /// then, and reported as nothing.
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        if self.spool.is_away() {
            return self.spool(facts, "").await;
        }
        match within(ANSWER_LIMIT, self.inner.record(facts)).await {
            Some(Err(LedgerError::Away(why))) => self.spool(facts, &why).await,
            Some(recorded) => recorded,
            None => self.spool(facts, "it does not answer").await,
        }
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        self.whole().await?;
        self.ask(self.inner.look_up(asked)).await
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        self.whole().await?;
        self.ask(self.inner.gone(pool, slots)).await
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        self.whole().await?;
        self.ask(self.inner.repeats(pool, since)).await
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
