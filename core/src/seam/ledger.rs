//! The ledger seam: the durable record.

use serde::Serialize;

use crate::fact::{Fact, Registration};
use crate::id::{NotificationId, NotificationKey};
use crate::pool::PoolName;
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::token::Fingerprint;
use crate::verdict::FinalVerdict;

/// The durable record: facts appended, state derived.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Appends facts in one transaction, with what they change elsewhere (token gone, badge). When it returns `Ok`, all but the
    /// refused ones are durable. A final verdict of a generation that has one already becomes a note without effect; the same
    /// fact twice changes nothing.
    ///
    /// A `token_invalid` invalidates its token by the 410 rule ([`crate::verdict::is_gone`]) against the last registration.
    ///
    /// Cancelled, the batch is either recorded as a whole or not at all; record it again.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of the batch may be taken as durable.
    fn record(&self, facts: &[Fact]) -> impl Future<Output = Result<Recorded, LedgerError>> + Send;

    /// What is known of notifications and their tokens; one answer each, in the order asked.
    ///
    /// # Errors
    /// [`LedgerError::Away`] also while facts recorded elsewhere are not yet in the ledger.
    fn look_up(&self, asked: &[LookUp]) -> impl Future<Output = Result<Vec<Known>, LedgerError>> + Send;

    /// The short fingerprints ([`Fingerprint::short`]) of all tokens of the slots that are known gone: a filter whose hits are
    /// confirmed by [`Ledger::look_up`].
    ///
    /// # Errors
    /// As [`Ledger::look_up`].
    fn gone(
        &self,
        pool: &PoolName,
        slots: &[Slot],
    ) -> impl Future<Output = Result<Vec<u64>, LedgerError>> + Send;

    /// The keys that became final through a marked copy since `since`: their unmarked originals can still arrive.
    ///
    /// # Errors
    /// As [`Ledger::look_up`].
    fn repeats(
        &self,
        pool: &PoolName,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<NotificationKey>, LedgerError>> + Send;

    /// Stores registrations; a token that registers after it was found gone is valid again.
    fn register(
        &self,
        registrations: &[Registration],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Everything known about an id, oldest first; empty if nothing is.
    fn trace(&self, id: NotificationId) -> impl Future<Output = Result<Trace, LedgerError>> + Send;

    /// How many generations ended how, in a pool, since `since`: the ledger's side of the accounting identity.
    fn tally(
        &self,
        pool: &PoolName,
        since: Timestamp,
    ) -> impl Future<Output = Result<Tally, LedgerError>> + Send;

    /// Whether it answers: for `/readyz`.
    fn ping(&self) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// What is asked about one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookUp {
    /// Which.
    pub key: NotificationKey,
    /// Its device token.
    pub token: Fingerprint,
}

/// What the ledger knows about one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// The final verdict of this generation, if it has one.
    pub verdict: Option<FinalVerdict>,
    /// Its device token.
    pub device: DeviceState,
}

/// What the ledger knows about a device token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceState {
    /// Since when it is gone, if it is.
    pub gone_at: Option<Timestamp>,
    /// When it last registered, if it ever did.
    pub registered_at: Option<Timestamp>,
    /// Its badge count.
    pub badge: u32,
}

/// What a record call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Indices of facts that came second: another final verdict stands, or the same fact was there.
    pub late: Vec<usize>,
    /// Indices of `token_invalid` facts that invalidated their token.
    pub gone: Vec<usize>,
    /// Facts that can never be stored; the rest is. Their notifications go to the dead letters.
    pub refused: Vec<Refused>,
}

/// A fact that can never be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its index.
    pub index: usize,
    /// The database's word, without values.
    pub why: String,
}

/// The ledger did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Not reachable, out of space, or busy; it is tried again.
    #[error("the ledger is away: {0}")]
    Away(String),
    /// Reached, and unusable until somebody mends the cause named (schema, rights).
    #[error("the ledger refuses: {0}")]
    Refused(String),
}

/// Counts of final verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// By [`FinalVerdict::ALL`].
    pub by_verdict: [u64; 8],
    /// Generations recorded as possible copies.
    pub possible_copies: u64,
}

impl Tally {
    /// The count of one verdict.
    pub fn of(&self, verdict: FinalVerdict) -> u64 {
        FinalVerdict::ALL.iter().position(|v| *v == verdict).map_or(0, |i| self.by_verdict[i])
    }

    /// Adds to the count of one verdict.
    pub fn add(&mut self, verdict: FinalVerdict, count: u64) {
        if let Some(i) = FinalVerdict::ALL.iter().position(|v| *v == verdict) {
            self.by_verdict[i] += count;
        }
    }

    /// All final verdicts together.
    pub fn total(&self) -> u64 {
        self.by_verdict.iter().sum()
    }
}

/// Everything the ledger knows about an id.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trace {
    /// Oldest first.
    pub events: Vec<TraceEvent>,
}

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceEvent {
    /// When.
    pub at: Timestamp,
    /// `submitted`, a final verdict's label, or a note's label.
    pub what: &'static str,
    /// Which generation.
    pub generation: u16,
    /// The pool.
    pub pool: String,
    /// Why.
    pub cause: String,
    /// The HTTP status, 0 without one.
    pub status: u16,
    /// How often it was written, or which attempt this was.
    pub attempt: u16,
    /// From write to answer, in microseconds.
    pub duration_us: u32,
    /// APNs may have received it more than once.
    pub possible_copy: bool,
    /// The device token's fingerprint, where the row holds it.
    pub token: Option<String>,
    /// The user's fingerprint, where the row holds it.
    pub user: Option<String>,
    /// The app.
    pub app: Option<String>,
    /// The backend's own id.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// When the producer submitted it.
    pub submitted_at: Option<Timestamp>,
    /// The queue it came from.
    pub queue: Option<u16>,
    /// The sender.
    pub sender: Option<String>,
    /// When it is written again.
    pub until: Option<Timestamp>,
}
