//! A sender's way to the ledger: calls take time, a commit goes on when its caller is dead, ends can stay unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skein_core::fact::{Fact, Registration};
use skein_core::memory::MemoryLedger;
use skein_core::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use skein_core::{NotificationId, NotificationKey, PoolName, Slot, Timestamp};

use crate::flaw::Flaw;
use crate::links::Links;
use crate::random::Random;
use crate::witness::Witness;

/// How slow the ledger is for everybody, in milliseconds.
#[derive(Debug, Default)]
pub struct Pace {
    /// Every call takes so much longer.
    pub calls: AtomicU64,
    /// Commits take so much longer still: what was sent is committed though its sender is dead, and late.
    pub commits: AtomicU64,
    /// So many commits stand, and whoever sent them is told that they failed.
    pub lost_answers: AtomicU64,
}

/// One life's way to the ledger.
#[derive(Clone)]
pub struct SimLedger {
    /// The ledger.
    pub inner: MemoryLedger,
    /// Its pace.
    pub pace: Arc<Pace>,
    /// The life's links.
    pub links: Arc<Links>,
    /// Sees what is durable.
    pub witness: Witness,
    /// Chance.
    pub random: Random,
    /// The double's flaw.
    pub flaw: Flaw,
}

fn cut() -> LedgerError {
    LedgerError::Away("the way is cut".into())
}

impl SimLedger {
    fn call_time(&self) -> Duration {
        Duration::from_millis(self.pace.calls.load(Ordering::Relaxed)) + self.random.millis(1, 6)
    }

    async fn there(&self) -> Result<(), LedgerError> {
        tokio::time::sleep(self.call_time()).await;
        if self.links.is_ledger_cut() { Err(cut()) } else { Ok(()) }
    }

    fn back<T>(&self, answer: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if answer.is_err() || self.links.is_ledger_cut() {
            self.witness.seen().ledger_failed = true;
        }
        if self.links.is_ledger_cut() { Err(cut()) } else { answer }
    }
}

impl Ledger for SimLedger {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        self.there().await?;
        if self.flaw == Flaw::Forgets && self.random.percent(4) {
            return Ok(Recorded::default());
        }
        let commit =
            Duration::from_millis(self.pace.commits.load(Ordering::Relaxed)) + self.random.millis(1, 8);
        let (inner, witness, facts) = (self.inner.clone(), self.witness.clone(), facts.to_vec());
        let pace = Arc::clone(&self.pace);
        let committed = async move {
            tokio::time::sleep(commit).await;
            let recorded = inner.record(&facts).await?;
            witness.durable(&facts, &recorded);
            let less = |lost: u64| lost.checked_sub(1);
            match pace.lost_answers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
                Ok(_) => Err(LedgerError::Away("the answer was lost".into())),
                Err(_) => Ok(recorded),
            }
        };
        if self.flaw == Flaw::AnswersEarly {
            tokio::spawn(committed);
            return Ok(Recorded::default());
        }
        // What was sent is committed whatever becomes of its sender.
        let recorded = tokio::spawn(committed).await.unwrap_or_else(|_| Err(cut()));
        self.back(recorded)
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        let known = match self.there().await {
            Ok(()) => self.inner.look_up(asked).await,
            Err(error) => Err(error),
        };
        tokio::time::sleep(self.random.millis(0, 3)).await;
        self.back(known)
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        let gone = match self.there().await {
            Ok(()) => self.inner.gone(pool, slots).await,
            Err(error) => Err(error),
        };
        self.back(gone)
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        let repeats = match self.there().await {
            Ok(()) => self.inner.repeats(pool, since).await,
            Err(error) => Err(error),
        };
        self.back(repeats)
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
