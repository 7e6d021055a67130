//! The ledger over PostgreSQL.
//!
//! Facts are appended to day partitions keyed by the UUIDv7 itself, so that a key's day is found without another column.
//! A batch costs a handful of statements whatever its size: one `UNNEST` insert a table, and two for what changes at devices.
//!
//! A connection lost at commit leaves open whether the batch is recorded. Recording it again is harmless: its own rows are
//! reported in `late`, as the same facts, without a note and without a second effect on badge or token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use skein_core::fact::{Fact, Registration};
use skein_core::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use skein_core::{DeviceToken, Fingerprint, NotificationId, NotificationKey, PoolName, Slot, Timestamp};
use sqlx::PgPool;

use crate::token_cipher::TokenCipher;

mod columns;
mod cuts;
mod days;
mod devices;
mod fault;
mod options;
mod read;
mod record;
mod refusal;
mod statements;
mod trace;

pub use options::{PostgresOptions, TLS_VERIFIES};

use cuts::Cuts;
use fault::away;
use refusal::Refusal;

/// The ledger over PostgreSQL. Clones share its connections.
#[derive(Clone)]
pub struct PostgresLedger {
    pool: PgPool,
    cipher: Option<TokenCipher>,
    cuts: Arc<Cuts>,
    refusal: Refusal,
    /// The days whose partitions are known to exist.
    days: Arc<Mutex<BTreeSet<i32>>>,
}

impl std::fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresLedger").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}

impl PostgresLedger {
    /// Prepares a ledger without touching the network: connections are made when they are needed, so a sender starts while
    /// the database is away. [`PostgresLedger::migrate`] must have run once against the database, by any process.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] if the options cannot be read.
    pub fn new(options: PostgresOptions) -> Result<Self, LedgerError> {
        let cuts = Arc::new(Cuts::default());
        let refusal = options.refusal()?;
        let pool = options.into_pool(Arc::clone(&cuts))?;
        Ok(Self { pool, cipher: None, cuts, refusal, days: Arc::default() })
    }

    /// The same, able to store device tokens: who registers none needs no key.
    #[must_use]
    pub fn sealing(self, cipher: TokenCipher) -> Self {
        Self { cipher: Some(cipher), ..self }
    }

    /// Makes the schema, or brings it up to this version, and makes the partitions of the days around now. Safe to run from
    /// several processes at once: an advisory lock lets one pass at a time.
    ///
    /// # Errors
    /// [`LedgerError`]; `Refused` names what the database's user may not do.
    pub async fn migrate(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.make_schema().await?;
        self.make_days(now).await
    }

    /// Whether the schema is there, at exactly this version.
    ///
    /// # Errors
    /// [`LedgerError`] if the database cannot be asked.
    pub async fn is_current(&self) -> Result<bool, LedgerError> {
        let mut connection = self.refusal.explain(self.pool.acquire().await.map_err(away)).await?;
        Ok(days::is_current(&mut connection).await)
    }

    /// The schema alone: one question, where it is there. [`Self::make_days`] is to follow soon.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn make_schema(&self) -> Result<(), LedgerError> {
        self.refusal.explain(days::migrate(&self.pool).await).await
    }

    /// Makes the partitions from the day before now to `days::AHEAD` days after. A sender calls it now and then; ids of other
    /// days are provided for when they come.
    ///
    /// # Errors
    /// [`LedgerError`]: their rows go to the default partition until it succeeds.
    pub async fn make_days(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.ensure_days(now.day() - 1..=now.day() + days::AHEAD).await
    }

    /// Drops what is older than the day of `keep_from`. Gives the number of tables dropped.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn drop_before(&self, keep_from: Timestamp) -> Result<u64, LedgerError> {
        let dropped: i64 = sqlx::query_scalar("SELECT drop_days_before($1)")
            .bind(keep_from.day())
            .fetch_one(&self.pool)
            .await
            .map_err(away)?;
        self.known_days().retain(|day| *day >= keep_from.day());
        Ok(dropped.unsigned_abs())
    }

    /// The device token behind a fingerprint, if it ever registered.
    ///
    /// # Errors
    /// [`LedgerError`]; `Refused` if it was stored with another key, or there is none here.
    pub async fn reveal(&self, token: Fingerprint) -> Result<Option<DeviceToken>, LedgerError> {
        devices::reveal(&self.pool, self.cipher()?, token).await
    }

    /// Closes all connections, and waits until they are closed.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn cipher(&self) -> Result<&TokenCipher, LedgerError> {
        let none = || {
            LedgerError::Refused(
                "this process has no key for device tokens; set ledger.parking_key_file".into(),
            )
        };
        self.cipher.as_ref().ok_or_else(none)
    }

    fn known_days(&self) -> std::sync::MutexGuard<'_, BTreeSet<i32>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for PostgresLedger {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        if facts.is_empty() {
            return Ok(Recorded::default());
        }
        self.cuts.see(self.provide_days_of(facts).await)?;
        self.cuts.see(record::record(&self.pool, facts).await)
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        self.cuts.see(read::look_up(&self.pool, asked).await)
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        self.cuts.see(devices::gone(&self.pool, pool, slots).await)
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        self.cuts.see(read::repeats(&self.pool, pool, since).await)
    }

    async fn register(&self, registrations: &[Registration]) -> Result<(), LedgerError> {
        let cipher = self.cipher()?;
        self.cuts.see(devices::register(&self.pool, cipher, registrations).await)
    }

    async fn trace(&self, id: NotificationId) -> Result<Trace, LedgerError> {
        self.cuts.see(trace::trace(&self.pool, id).await)
    }

    async fn tally(&self, pool: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
        self.cuts.see(read::tally(&self.pool, pool, since).await)
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        let answer = sqlx::query("SELECT 1 FROM final_default LIMIT 0").execute(&self.pool).await;
        self.cuts.see(self.refusal.explain(answer.map(drop).map_err(away)).await)
    }
}
