//! The ledger seam over the file.

use std::sync::Arc;

use skein_core::fact::{Fact, Registration};
use skein_core::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use skein_core::{DeviceToken, Fingerprint, NotificationId, NotificationKey, PoolName, Slot, Timestamp};
use tokio::sync::oneshot;

use super::fault::away;
use super::writer::{OtherOrder, RecordOrder, Waiting};
use super::{Engine, read, trace};

/// The ledger over the file. Clones share it.
#[derive(Clone)]
pub struct EmbeddedLedger {
    engine: Arc<Engine>,
}

impl EmbeddedLedger {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Puts an order on the writer's desk and waits for its answer.
    async fn order<T>(&self, put: impl FnOnce(&mut Waiting, oneshot::Sender<T>)) -> Result<T, LedgerError> {
        let closed = || LedgerError::Away("the file is closed".into());
        let (done, answer) = oneshot::channel();
        if !self.engine.desk.put(|waiting| put(waiting, done)) {
            return Err(closed());
        }
        answer.await.map_err(|_| closed())
    }

    /// The device token behind a fingerprint, if it ever registered.
    ///
    /// # Errors
    /// [`LedgerError`]; `Refused` if it was stored with another key.
    pub async fn reveal(&self, token: Fingerprint) -> Result<Option<DeviceToken>, LedgerError> {
        let sealed: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT token_sealed FROM device WHERE token = ?")
                .bind(token.0.to_vec())
                .fetch_optional(&self.engine.readers)
                .await
                .map_err(away)?;
        let open = |sealed: Vec<u8>| self.engine.cipher.open(&sealed, token);
        sealed.flatten().map(open).transpose().map_err(|error| LedgerError::Refused(error.to_string()))
    }

    /// Deletes facts of days before that of `keep_from`, in small transactions between the others. Gives how many rows went.
    ///
    /// # Errors
    /// [`LedgerError`]: some may be deleted; call it again.
    pub async fn drop_before(&self, keep_from: Timestamp) -> Result<u64, LedgerError> {
        const DAY_MILLIS: i64 = 86_400_000;
        let start_of_day = Timestamp::from_millis(i64::from(keep_from.day()) * DAY_MILLIS);
        let mut all = 0;
        loop {
            let forget = |w: &mut Waiting, done| w.others.push(OtherOrder::Forget(start_of_day, done));
            match self.order(forget).await?? {
                0 => return Ok(all),
                gone => all += gone,
            }
        }
    }
}

impl Ledger for EmbeddedLedger {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        if facts.is_empty() {
            return Ok(Recorded::default());
        }
        let facts = facts.to_vec();
        self.order(|waiting, done| waiting.records.push_back(RecordOrder { facts, done })).await?
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        read::look_up(&self.engine.readers, asked).await.map_err(away)
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        read::gone(&self.engine.readers, pool, slots).await.map_err(away)
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        read::repeats(&self.engine.readers, pool, since).await.map_err(away)
    }

    async fn register(&self, registrations: &[Registration]) -> Result<(), LedgerError> {
        let seal = |r: &Registration| Ok((r.clone(), self.engine.cipher.seal(&r.token, r.fingerprint)?));
        let rows: Result<Vec<_>, crate::token_cipher::DoesNotOpen> = registrations.iter().map(seal).collect();
        let rows = rows.map_err(|error| LedgerError::Away(error.to_string()))?;
        self.order(|waiting, done| waiting.others.push(OtherOrder::Register(rows, done))).await??;
        Ok(())
    }

    async fn trace(&self, id: NotificationId) -> Result<Trace, LedgerError> {
        trace::trace(&self.engine.readers, id).await.map_err(away)
    }

    async fn tally(&self, pool: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
        read::tally(&self.engine.readers, pool, since).await.map_err(away)
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        if self.engine.desk.is_closed() {
            return Err(LedgerError::Away("the file is closed".into()));
        }
        sqlx::query("SELECT 1").execute(&self.engine.readers).await.map_err(away)?;
        Ok(())
    }
}
