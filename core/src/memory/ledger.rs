//! A ledger in memory that fails on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ledger_state::LedgerState;
use crate::fact::{Fact, Registration};
use crate::id::{NotificationId, NotificationKey};
use crate::pool::PoolName;
use crate::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use crate::slot::Slot;
use crate::time::Timestamp;

/// A ledger in memory. Clones share it. It keeps what it is told as long as it lives, for the checker.
#[derive(Clone, Default)]
pub struct MemoryLedger {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: LedgerState,
    faults: Faults,
}

#[derive(Default)]
struct Faults {
    is_away: bool,
    is_behind: bool,
    fail_next: usize,
    lose_answers: usize,
    delay: Duration,
}

impl Shared {
    /// The state, if nothing of it is still elsewhere.
    fn whole(&self) -> Result<&LedgerState, LedgerError> {
        if self.faults.is_behind {
            return Err(LedgerError::Away("facts recorded elsewhere are not yet here".into()));
        }
        Ok(&self.state)
    }
}

fn away() -> LedgerError {
    LedgerError::Away("switched off".into())
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes away, or comes back: every call fails meanwhile, and nothing is recorded.
    pub fn set_away(&self, away: bool) {
        self.shared().faults.is_away = away;
    }

    /// Facts recorded elsewhere are not yet here, or are: whatever a sender asks before it writes fails meanwhile, recording goes on.
    pub fn set_behind(&self, behind: bool) {
        self.shared().faults.is_behind = behind;
    }

    /// The next `calls`, of any kind, fail; nothing of them is recorded.
    pub fn fail_next(&self, calls: usize) {
        self.shared().faults.fail_next = calls;
    }

    /// The next `calls` of [`Ledger::record`] commit, and their caller is told that they failed: a connection that dies between
    /// commit and answer.
    pub fn lose_answers(&self, calls: usize) {
        self.shared().faults.lose_answers = calls;
    }

    /// How long each call takes from now on, by tokio's clock, before it does anything.
    pub fn set_delay(&self, delay: Duration) {
        self.shared().faults.delay = delay;
    }

    /// Every fact that stands, in the order of recording; late finals as the notes they became.
    pub fn facts(&self) -> Vec<Fact> {
        self.shared().state.facts().to_vec()
    }

    /// The generations of a pool that are recorded as possible copies, on their final row or a note.
    pub fn possible_copies(&self, pool: &PoolName) -> BTreeSet<NotificationKey> {
        self.shared().state.possible_copies(pool, Timestamp::from_millis(i64::MIN))
    }

    /// Waits as long as calls take, then does its part unless a fault comes first.
    async fn call<T>(
        &self,
        part: impl FnOnce(&mut Shared) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let delay = self.shared().faults.delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut shared = self.shared();
        if shared.faults.is_away {
            return Err(away());
        }
        if shared.faults.fail_next > 0 {
            shared.faults.fail_next -= 1;
            return Err(away());
        }
        part(&mut shared)
    }
}

impl Ledger for MemoryLedger {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        self.call(|shared| {
            let recorded = shared.state.record(facts);
            if shared.faults.lose_answers > 0 {
                shared.faults.lose_answers -= 1;
                return Err(LedgerError::Away("the connection was lost before the answer".into()));
            }
            Ok(recorded)
        })
        .await
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        self.call(|shared| {
            let state = shared.whole()?;
            Ok(asked.iter().map(|one| state.look_up(one)).collect())
        })
        .await
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        self.call(|shared| Ok(shared.whole()?.gone(pool, slots))).await
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        self.call(|shared| Ok(shared.whole()?.repeats(pool, since))).await
    }

    async fn register(&self, registrations: &[Registration]) -> Result<(), LedgerError> {
        self.call(|shared| {
            shared.state.register(registrations);
            Ok(())
        })
        .await
    }

    async fn trace(&self, id: NotificationId) -> Result<Trace, LedgerError> {
        self.call(|shared| Ok(shared.state.trace(id))).await
    }

    async fn tally(&self, pool: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
        self.call(|shared| Ok(shared.state.tally(pool, since))).await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.call(|_| Ok(())).await
    }
}
