//! What the ledger is told about an item: its final row, a note on the way, or a dead letter in its place.

use std::sync::Arc;
use std::time::Duration;

use skein_core::answer::Answer;
use skein_core::fact::{Cause, Final, Note, NoteKind};
use skein_core::retry_schedule::Attempts;
use skein_core::seam::{Clock, DeadLetter};
use skein_core::verdict::Scope;
use skein_core::{Evidence, FinalVerdict, Notification, Timestamp};

use crate::main_path::PoolShard;
use crate::metrics::zero::LEDGER_REFUSED;
use crate::work::Item;

impl<C: Clock> PoolShard<C> {
    pub(crate) fn final_fact(
        &self,
        item: &Item,
        verdict: FinalVerdict,
        cause: Cause,
        now: Timestamp,
    ) -> Final {
        let Notification { content, .. } = &item.notification;
        self.metrics.verdict(verdict, content.app.as_deref());
        self.concluded(item, verdict, &cause, now);
        Final {
            key: item.notification.key(),
            pool: self.pool.name.clone(),
            verdict,
            cause,
            status: 0,
            token: item.device,
            user: item.notification.user.as_deref().map(|u| self.options.fingerprint_key.text(u)),
            app: content.app.clone(),
            reference: content.reference.clone(),
            collapse: content.collapse_id.as_ref().map(|c| self.options.fingerprint_key.text(c.as_str())),
            submitted_at: content.submitted_at,
            at: now,
            queue: item.delivery.attachment.queue.number,
            attempts: item.attempts.total(),
            duration_us: 0,
            payload_bytes: u16::try_from(content.payload.len()).unwrap_or(u16::MAX),
            possible_copy: item.possible_copy,
            repeat: item.repeat,
            badge: item.notification.badge,
            gone_at: None,
            slot: item.notification.slot(),
            sender: Arc::clone(&self.options.member),
        }
    }

    pub(crate) fn note(
        &self,
        item: &Item,
        answer: &Answer,
        cause: Cause,
        status: u16,
        now: Timestamp,
        until: Timestamp,
    ) -> Note {
        Note {
            key: item.notification.key(),
            pool: self.pool.name.clone(),
            kind: if matches!(answer, Answer::InDoubt(_)) { NoteKind::InDoubt } else { NoteKind::Retry },
            cause,
            status,
            at: now,
            attempt: item.attempts.total(),
            until: Some(until),
            possible_copy: item.possible_copy,
            sender: Arc::clone(&self.options.member),
        }
    }
}

impl<C: Clock> PoolShard<C> {
    /// What is kept of a notification that is final and has come back more than once: it is a possible copy (P3), which none of the
    /// owners that it came back from can say any more.
    pub(crate) fn lost_owners(&self, item: &Item, now: Timestamp) -> Note {
        Note {
            key: item.notification.key(),
            pool: self.pool.name.clone(),
            kind: NoteKind::InDoubt,
            cause: "owners_lost".into(),
            status: 0,
            at: now,
            attempt: 0,
            until: None,
            possible_copy: true,
            sender: Arc::clone(&self.options.member),
        }
    }
}

/// The letter for a notification whose verdict the ledger can never store.
pub(crate) fn dead_letter(item: &Item, why: &str) -> DeadLetter {
    DeadLetter {
        queue: item.delivery.attachment.queue.clone(),
        kind: Arc::from(skein_core::wire::NOTIFICATION_V1),
        id: Some(item.notification.id),
        reason: LEDGER_REFUSED,
        detail: why.to_owned(),
        body: skein_core::wire::encode(&item.notification).unwrap_or_default().into(),
    }
}

/// Counts an answer.
pub(crate) fn count(attempts: &mut Attempts, answer: &Answer, scope: Scope) {
    let counter = match (answer, scope) {
        (Answer::InDoubt(_), _) => &mut attempts.in_doubt,
        (Answer::NotSent(_), _) => &mut attempts.not_sent,
        (_, Scope::Token) => &mut attempts.throttled,
        (_, Scope::Credential) => &mut attempts.credential,
        (_, Scope::Connection) => &mut attempts.connection,
        _ => &mut attempts.service,
    };
    *counter = counter.saturating_add(1);
}

/// The word and status that stand for an answer in ledger and log.
pub(crate) fn words(answer: &Answer) -> (Cause, u16) {
    match answer {
        Answer::NotSent(why) => (why.label().into(), 0),
        Answer::InDoubt(why) => (why.label().into(), 0),
        Answer::Reply(reply) => {
            let cause = match &reply.reason {
                Some(skein_core::Reason::Other(text)) => text.to_string().into(),
                Some(reason) => reason.label().into(),
                None => "".into(),
            };
            (cause, reply.status)
        }
    }
}

/// When a token was found gone: APNs' own word, or when the notification was sent.
pub(crate) fn gone_at(answer: &Answer, evidence: &Evidence, now: Timestamp) -> Timestamp {
    let sent_at = now.minus(Duration::from_micros(u64::from(evidence.duration_us)));
    match answer {
        // Clocks differ: one that lies ahead of ours would outlive a registration that comes next.
        Answer::Reply(reply) => reply.timestamp.map_or(sent_at, |at| at.min(now)),
        _ => sent_at,
    }
}

/// Whether writing again after this answer is load that APNs did not ask for, and that the pool's retry budget bounds. What was
/// not sent, or not looked at for want of a good credential, is none.
pub(crate) fn is_load(answer: &Answer, scope: Scope) -> bool {
    match answer {
        Answer::NotSent(_) => false,
        Answer::InDoubt(_) => true,
        Answer::Reply(_) => matches!(scope, Scope::Service | Scope::Token),
    }
}
