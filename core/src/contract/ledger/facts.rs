//! Facts to try a ledger with.

use std::time::Duration;

use crate::fact::{Fact, Final, Note, NoteKind, Registration, SubmittedBatch};
use crate::id::{NotificationId, NotificationKey};
use crate::pool::PoolName;
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::token::{DeviceToken, Fingerprint, FingerprintKey};
use crate::verdict::FinalVerdict;

/// One notification for a device token that nobody used before, and the facts about it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its pool.
    pub pool: PoolName,
    /// Its id and generation.
    pub key: NotificationKey,
    /// Its device token.
    pub token: DeviceToken,
    /// When it was made: the present, in whole milliseconds.
    pub at: Timestamp,
}

impl Sample {
    /// A notification of a pool.
    pub fn new(pool: &PoolName) -> Self {
        let id = NotificationId::now();
        let token = DeviceToken::from_bytes(NotificationId::now().as_bytes());
        let token = token.unwrap_or_else(|_| unreachable!("16 bytes are a device token"));
        Self { pool: pool.clone(), key: NotificationKey { id, generation: 0 }, token, at: id.at() }
    }

    /// Another notification for the same device token.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { token: self.token.clone(), ..Self::new(&self.pool) }
    }

    /// Its device token's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        FingerprintKey::new([7; 32]).token(&self.token)
    }

    /// Some time after it was made.
    pub fn after(&self, millis: u64) -> Timestamp {
        self.at.plus(Duration::from_millis(millis))
    }

    /// A final verdict with every field filled that any verdict has, written once, judged 100 ms after the making.
    pub fn end(&self, verdict: FinalVerdict) -> Final {
        Final {
            key: self.key,
            pool: self.pool.clone(),
            verdict,
            cause: "BadTopic".into(),
            status: 400,
            token: self.fingerprint(),
            user: Some(Fingerprint([1; 16])),
            app: Some("im".into()),
            reference: Some("message 7".into()),
            collapse: Some(Fingerprint([2; 16])),
            submitted_at: Some(self.at),
            at: self.after(100),
            queue: 3,
            attempts: 1,
            duration_us: 50_000,
            payload_bytes: 321,
            possible_copy: false,
            repeat: false,
            badge: None,
            gone_at: None,
            slot: Slot::of(&self.token),
            sender: "sender-1".into(),
        }
    }

    /// The same, as a fact.
    pub fn ends(&self, verdict: FinalVerdict) -> Fact {
        fact(self.end(verdict))
    }

    /// It was accepted.
    pub fn accepted(&self) -> Final {
        Final { cause: "".into(), status: 200, ..self.end(FinalVerdict::Accepted) }
    }

    /// APNs declared its token gone, with or without a time.
    pub fn token_gone(&self, gone_at: Option<Timestamp>) -> Final {
        let end = self.end(FinalVerdict::TokenInvalid);
        Final { cause: "Unregistered".into(), status: 410, gone_at, ..end }
    }

    /// A note, some time after the making.
    pub fn note(&self, kind: NoteKind, after_ms: u64) -> Note {
        Note {
            key: self.key,
            pool: self.pool.clone(),
            kind,
            cause: "TooManyRequests".into(),
            status: 429,
            at: self.after(after_ms),
            attempt: 1,
            until: Some(self.after(after_ms + 1000)),
            possible_copy: false,
            sender: "sender-1".into(),
        }
    }

    /// A batch that it is part of.
    pub fn submitted(&self, others: &[NotificationId], after_ms: u64) -> Fact {
        let ids = [&[self.key.id], others].concat();
        Fact::Submitted(Box::new(SubmittedBatch { pool: self.pool.clone(), at: self.after(after_ms), ids }))
    }

    /// Its device registers.
    pub fn registration(&self, at: Timestamp) -> Registration {
        Registration {
            pool: self.pool.clone(),
            token: self.token.clone(),
            fingerprint: self.fingerprint(),
            user: Some(Fingerprint([1; 16])),
            app: Some("im".into()),
            at,
        }
    }
}

/// A final verdict as a fact.
pub(super) fn fact(end: Final) -> Fact {
    Fact::Final(Box::new(end))
}

/// A note as a fact.
pub(super) fn note(note: Note) -> Fact {
    Fact::Note(Box::new(note))
}
