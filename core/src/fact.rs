//! What the ledger is told: facts, appended. The state of a notification is a fold over them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{NotificationId, NotificationKey};
use crate::notification::Badge;
use crate::pool::PoolName;
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::token::{DeviceToken, Fingerprint};
use crate::verdict::FinalVerdict;

/// The longest cause, in bytes.
pub const CAUSE_BYTES_MAX: usize = 64;

/// One fact for the ledger. As JSON it waits in the facts queue while the ledger is away; fields that a reader does not know
/// are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The end of a generation of a notification. At most one stands; the first wins, a later one becomes a note.
    Final(Box<Final>),
    /// What happened on the way: a retry, an answer in doubt. Support reads it; nothing depends on it.
    Note(Box<Note>),
    /// A batch was taken by the owner of its first item: its ids, so that reconciliation sees an item that reached nobody.
    Submitted(Box<SubmittedBatch>),
}

/// A final verdict with the notification's metadata: one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// Id and generation.
    pub key: NotificationKey,
    /// The pool.
    pub pool: PoolName,
    /// The verdict.
    pub verdict: FinalVerdict,
    /// Why: Apple's reason, or a word of Skein's own (`token_gone`, `expired`, `malformed` …); at most [`CAUSE_BYTES_MAX`] bytes.
    pub cause: Cause,
    /// The HTTP status of the last answer, 0 without one.
    pub status: u16,
    /// The device token's fingerprint.
    pub token: Fingerprint,
    /// The user's fingerprint.
    pub user: Option<Fingerprint>,
    /// The app, as the backend names it.
    pub app: Option<Box<str>>,
    /// The backend's own id.
    pub reference: Option<Box<str>>,
    /// The collapse id's fingerprint.
    pub collapse: Option<Fingerprint>,
    /// When the producer submitted it.
    pub submitted_at: Option<Timestamp>,
    /// When the verdict was judged.
    pub at: Timestamp,
    /// The queue it came from.
    pub queue: u16,
    /// How often it was handed to the transport.
    pub attempts: u16,
    /// From the last write to its answer, in microseconds.
    pub duration_us: u32,
    /// Payload size in bytes.
    pub payload_bytes: u16,
    /// APNs may have received it more than once (P3).
    pub possible_copy: bool,
    /// It came through a message that its producer marked as published before.
    pub repeat: bool,
    /// What it does to the badge count, applied only if this fact is the final one that stands.
    pub badge: Option<Badge>,
    /// With `token_invalid`: when APNs found the token gone, or when it was sent if APNs did not say.
    pub gone_at: Option<Timestamp>,
    /// Its slot.
    pub slot: Slot,
    /// The sender.
    pub sender: Arc<str>,
}

impl Final {
    /// With `token_invalid`: the time to hold against the last registration by the 410 rule ([`crate::verdict::is_gone`]).
    /// Without a time of APNs' own it is when the last write left.
    pub fn gone_since(&self) -> Option<Timestamp> {
        let sent_at = self.at.minus(Duration::from_micros(u64::from(self.duration_us)));
        (self.verdict == FinalVerdict::TokenInvalid).then(|| self.gone_at.unwrap_or(sent_at))
    }

    /// The note that is kept of it where another final verdict stands: its cause is led by its own verdict.
    pub fn late_note(&self) -> Note {
        let mut cause = format!("{}: {}", self.verdict.label(), self.cause);
        cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
        Note {
            key: self.key,
            pool: self.pool.clone(),
            kind: NoteKind::LateFinal,
            cause: Cause::Owned(cause),
            status: self.status,
            at: self.at,
            attempt: self.attempts,
            until: None,
            possible_copy: self.possible_copy,
            sender: Arc::clone(&self.sender),
        }
    }
}

/// Why a verdict: a word without allocation where it is one of ours or Apple's.
pub type Cause = std::borrow::Cow<'static, str>;

/// Something that happened on the way to a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Id and generation.
    pub key: NotificationKey,
    /// The pool.
    pub pool: PoolName,
    /// `retry`, `in_doubt` or `late_final` (a final that came second).
    pub kind: NoteKind,
    /// Why.
    pub cause: Cause,
    /// The HTTP status, 0 without one.
    pub status: u16,
    /// When.
    pub at: Timestamp,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// When it is written again, if it is held.
    pub until: Option<Timestamp>,
    /// APNs may have received it more than once (P3).
    pub possible_copy: bool,
    /// The sender.
    pub sender: Arc<str>,
}

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Held and written again; APNs did not process it.
    Retry,
    /// Written, and nobody can know what became of it; held and written again.
    InDoubt,
    /// A final verdict that came after another: kept, without effect.
    LateFinal,
}

impl NoteKind {
    /// The word in ledger and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::InDoubt => "in_doubt",
            Self::LateFinal => "late_final",
        }
    }

    /// The number in the ledger's column.
    pub const fn code(self) -> i16 {
        match self {
            Self::Retry => 1,
            Self::InDoubt => 2,
            Self::LateFinal => 3,
        }
    }

    /// Reads the ledger's column.
    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Retry, Self::InDoubt, Self::LateFinal].into_iter().find(|k| k.code() == code)
    }
}

/// The ids of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmittedBatch {
    /// The pool.
    pub pool: PoolName,
    /// When its first owner took it.
    pub at: Timestamp,
    /// Every id.
    pub ids: Vec<NotificationId>,
}

/// A device registers its token, or registers it anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The pool it is sent by.
    pub pool: PoolName,
    /// The token. Stored encrypted, found by its fingerprint.
    pub token: DeviceToken,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The user's fingerprint.
    pub user: Option<Fingerprint>,
    /// The app.
    pub app: Option<Box<str>>,
    /// By our clock, at each launch of the app.
    pub at: Timestamp,
}

#[cfg(test)]
#[path = "fact/tests.rs"]
mod tests;
