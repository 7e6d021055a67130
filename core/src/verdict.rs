//! What an answer means: [`judge`], pure, and exhaustive over every reason Apple documents.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Reply};
use crate::reason::Reason;
use crate::retry_schedule::{Attempts, RetrySchedule, SUSPECT_HOLD};
use crate::time::Timestamp;

/// The final verdicts: exactly one ends each generation of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalVerdict {
    /// APNs took it (200). Not a promise that the device got it.
    Accepted,
    /// APNs declared the device token gone.
    TokenInvalid,
    /// Refused for good, or every attempt used up.
    Failed,
    /// Its own time passed before it was written.
    Expired,
    /// A newer one with the same collapse id took its place before it was written.
    Superseded,
    /// Not to be sent: the token is known gone, or a rule forbids it.
    Suppressed,
    /// Withdrawn by the caller before it was written.
    Cancelled,
    /// Could not be read or stored.
    Dead,
}

impl FinalVerdict {
    /// Every final verdict, in the order of the accounting identity.
    pub const ALL: [Self; 8] = [
        Self::Suppressed,
        Self::Accepted,
        Self::Failed,
        Self::Expired,
        Self::Superseded,
        Self::TokenInvalid,
        Self::Cancelled,
        Self::Dead,
    ];

    /// The word in ledger, metric, log and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::TokenInvalid => "token_invalid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// The number in the ledger's column. Never reused for another meaning.
    pub const fn code(self) -> i16 {
        match self {
            Self::Accepted => 1,
            Self::TokenInvalid => 2,
            Self::Failed => 3,
            Self::Expired => 4,
            Self::Superseded => 5,
            Self::Suppressed => 6,
            Self::Cancelled => 7,
            Self::Dead => 8,
        }
    }

    /// Reads the ledger's column.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.code() == code)
    }
}

/// What an answer means for its notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The end of it.
    Final(FinalVerdict),
    /// Held at the head of its lane, then written again.
    Retry {
        /// How long it is held at least.
        after: Duration,
    },
}

/// Whom an answer speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This notification alone.
    Message,
    /// This device token.
    Token,
    /// The connection it was written on.
    Connection,
    /// The credential, so the whole pool.
    Credential,
    /// APNs itself.
    Service,
}

/// What an answer asks of the pool. Which answers end a connection is the transport's own knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolAction {
    /// Nothing.
    None,
    /// Write nothing until a probe succeeds, and alarm: the credential or its settings are wrong.
    Pause,
    /// Count it: many of these mean a wrong environment or topic, which harms every token.
    SuspectSettings,
    /// It may be about its connection alone; when a second connection says so too, pause: it is the key, or the clock.
    SuspectCredential,
}

/// The meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// For the notification.
    pub verdict: Verdict,
    /// Whom it speaks about.
    pub scope: Scope,
    /// For the pool.
    pub pool: PoolAction,
}

impl Judgement {
    /// The same answer in a pool that is stopped. What is suspect then speaks about the settings rather than about its
    /// notification, which is kept until the pool is well again.
    #[must_use]
    pub fn while_stopped(self) -> Self {
        match self.pool {
            PoolAction::SuspectSettings => {
                Self { verdict: Verdict::Retry { after: SUSPECT_HOLD }, scope: Scope::Credential, ..self }
            }
            PoolAction::None | PoolAction::Pause | PoolAction::SuspectCredential => self,
        }
    }
}

/// Decides what an answer means. `attempts` counts what happened before this answer, without it; `held` is how long the
/// notification has been in this sender.
///
/// Source of each row: Apple, *Handling notification responses from APNs*; RFC 9113 §6.8 and §8.7.
pub fn judge(answer: &Answer, attempts: &Attempts, schedule: &RetrySchedule, held: Duration) -> Judgement {
    let may_hold = attempts.counted() + 1 < schedule.attempts_max;
    let retry = |list: &[Duration], used: u16, scope, pool| Judgement {
        verdict: match list.get(usize::from(used)) {
            Some(after) if may_hold && held + *after <= schedule.hold_max => Verdict::Retry { after: *after },
            _ => Verdict::Final(FinalVerdict::Failed),
        },
        scope,
        pool,
    };
    match answer {
        Answer::Reply(reply) => judge_reply(reply, attempts, schedule, retry),
        Answer::InDoubt(_) => {
            retry(&schedule.transport, attempts.in_doubt, Scope::Connection, PoolAction::None)
        }
        Answer::NotSent(_) => {
            let step = usize::from(attempts.not_sent).min(schedule.transport.len().saturating_sub(1));
            let after = schedule.transport.get(step).copied().unwrap_or_default();
            Judgement { verdict: Verdict::Retry { after }, scope: Scope::Connection, pool: PoolAction::None }
        }
    }
}

fn judge_reply(
    reply: &Reply,
    attempts: &Attempts,
    schedule: &RetrySchedule,
    retry: impl Fn(&[Duration], u16, Scope, PoolAction) -> Judgement,
) -> Judgement {
    use Reason as R;
    let end = |verdict, scope, pool| Judgement { verdict: Verdict::Final(verdict), scope, pool };
    let message = end(FinalVerdict::Failed, Scope::Message, PoolAction::None);
    let settings = end(FinalVerdict::Failed, Scope::Message, PoolAction::SuspectSettings);
    let gone = end(FinalVerdict::TokenInvalid, Scope::Token, PoolAction::None);
    let service = retry(&schedule.service, attempts.service, Scope::Service, PoolAction::None);
    let wait =
        |scope, pool| Judgement { verdict: Verdict::Retry { after: schedule.credential }, scope, pool };

    if reply.status == 200 {
        return end(FinalVerdict::Accepted, Scope::Message, PoolAction::None);
    }
    match reply.reason.as_ref() {
        Some(
            R::BadCollapseId
            | R::BadExpirationDate
            | R::BadMessageId
            | R::BadPriority
            | R::DuplicateHeaders
            | R::InvalidPushType
            | R::MissingDeviceToken
            | R::PayloadEmpty
            | R::PayloadTooLarge
            | R::BadPath
            | R::MethodNotAllowed,
        ) => message,
        Some(
            R::BadDeviceToken
            | R::BadTopic
            | R::MissingTopic
            | R::DeviceTokenNotForTopic
            | R::TopicDisallowed,
        ) => settings,
        Some(R::Forbidden) => end(FinalVerdict::Failed, Scope::Credential, PoolAction::Pause),
        Some(
            R::BadCertificate
            | R::BadCertificateEnvironment
            | R::MissingProviderToken
            | R::BadEnvironmentKeyIdInToken,
        ) => wait(Scope::Credential, PoolAction::Pause),
        Some(
            R::ExpiredProviderToken
            | R::InvalidProviderToken
            | R::UnrelatedKeyIdInToken
            | R::TooManyProviderTokenUpdates,
        ) => wait(Scope::Connection, PoolAction::SuspectCredential),
        Some(R::IdleTimeout) => {
            retry(&schedule.transport, attempts.connection, Scope::Connection, PoolAction::None)
        }
        Some(R::ExpiredToken | R::Unregistered) => gone,
        Some(R::TooManyRequests) => {
            retry(&schedule.throttle, attempts.throttled, Scope::Token, PoolAction::None)
        }
        Some(R::InternalServerError | R::ServiceUnavailable | R::Shutdown) => service,
        None | Some(R::Other(_)) => match reply.status {
            410 => gone,
            429 => retry(&schedule.throttle, attempts.throttled, Scope::Token, PoolAction::None),
            403 => wait(Scope::Credential, PoolAction::Pause),
            // What stands between us and APNs speaks so, not APNs itself.
            300..=399 | 407 | 408 | 421 | 500.. => service,
            _ => message,
        },
    }
}

/// The 410 rule: whether a token that APNs declared gone is invalidated. `timestamp` is APNs' own, `sent_at` stands in
/// where it is missing; a registration after it keeps the token (Apple: *Handling notification responses from APNs*).
pub fn is_gone(timestamp: Option<Timestamp>, sent_at: Timestamp, registered_at: Option<Timestamp>) -> bool {
    registered_at.is_none_or(|at| at < timestamp.unwrap_or(sent_at))
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
