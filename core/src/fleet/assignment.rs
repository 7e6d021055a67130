//! The assignment of one queue: who owns it, under which epoch, and what its predecessor left behind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::member::{Incarnation, MemberId};
use crate::pool::QueueName;

/// Who owns a queue: one life of one member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The member.
    pub member: MemberId,
    /// Which life of it.
    pub incarnation: Incarnation,
}

/// What a sender's connection of its own is for, beside those to its queues: it stands as long as the sender does.
pub const PRESENCE: &str = "presence";

impl Owner {
    /// The name of this life's connections to the broker, up to the `/` and what each of them is for, such as its queue.
    pub fn connection_name(&self) -> String {
        format!("{}/{}", self.member, self.incarnation)
    }

    /// The life whose connection has this name, and what the connection is for. `None` if it is no sender's.
    pub fn of_connection(name: &str) -> Option<(Self, &str)> {
        let mut parts = name.splitn(3, '/');
        let member = MemberId::parse(parts.next()?).ok()?;
        let incarnation = Incarnation(parts.next()?.parse().ok()?);
        Some((Self { member, incarnation }, parts.next()?))
    }
}

/// The note an owner leaves when it goes by the one way to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The epoch it was written in. A note of an earlier epoch says nothing about the present owner.
    pub epoch: u64,
    /// Nothing that this owner, or any before it, has written can still be in doubt: the next owner needs no grace.
    pub clean: bool,
}

/// Why a queue last changed its owner, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It never had an owner.
    New,
    /// The owner's connection to the broker closed, and it did not come back within the restart grace.
    BrokerDead,
    /// The owner's session ended.
    SessionGone,
    /// The owner left on its own and named nobody.
    Released,
    /// The same member in a new life, or attached anew.
    Reclaimed,
    /// The owner drains.
    Drain,
    /// A successor takes the owner's place.
    Succession,
    /// The owner is quarantined.
    Quarantine,
    /// APNs does not answer the owner, or refuses its pool there, and serves another member.
    ApnsCutOff,
    /// The owner no longer has the credential of the pool.
    PoolNotServed,
    /// The load was uneven.
    Balance,
    /// An operator moved it. Balance leaves it where it is until `rebalance`.
    Operator,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 12] = [
        Self::New,
        Self::BrokerDead,
        Self::SessionGone,
        Self::Released,
        Self::Reclaimed,
        Self::Drain,
        Self::Succession,
        Self::Quarantine,
        Self::ApnsCutOff,
        Self::PoolNotServed,
        Self::Balance,
        Self::Operator,
    ];

    /// The word in metric, table and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::BrokerDead => "broker_dead",
            Self::SessionGone => "session_gone",
            Self::Released => "released",
            Self::Reclaimed => "reclaimed",
            Self::Drain => "drain",
            Self::Succession => "succession",
            Self::Quarantine => "quarantine",
            Self::ApnsCutOff => "apns_cut_off",
            Self::PoolNotServed => "pool_not_served",
            Self::Balance => "balance",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The assignment of one queue, as stored. It is changed only through [`super::Change`], each time by a write that is checked
/// against what was read; it is never deleted, since the epoch lives in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAssignment {
    /// Which queue.
    pub queue: QueueName,
    /// Grows by one with each new owner and each re-claim; 0 before the first. A counter of its own, never a version of the store,
    /// which restarts when a node is made again.
    pub epoch: u64,
    /// Who may send from it.
    pub owner: Option<Owner>,
    /// Whoever came before the present owner is known to write no more: it left a clean note, the kernel vouches for its end, or
    /// the owner has waited the grace out and said so ([`super::Change::Settled`]).
    pub predecessor_gone: bool,
    /// For how long the broker had known every connection of the predecessor to be closed when the present owner was made, in
    /// milliseconds: the grace counts from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended_ms: u64,
    /// How many deliveries may be unacked: a property of the queue, equal for all its owners. A second crash under a smaller
    /// prefetch than the first breaks the order, so it may grow, and shrinks only while the queue is released and empty.
    pub prefetch: u16,
    /// An operator holds it: its owner takes nothing from it, and it is not moved.
    #[serde(default)]
    pub paused: bool,
    /// What the last owner left behind.
    #[serde(default)]
    pub note: Option<Note>,
    /// The owner is asked to leave the queue, for this member.
    #[serde(default)]
    pub successor: Option<MemberId>,
    /// Why the owner is who it is, or why it is asked to leave.
    pub cause: Cause,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl QueueAssignment {
    /// A queue that nobody has owned.
    pub fn new(queue: QueueName, prefetch: u16) -> Self {
        Self {
            queue,
            epoch: 0,
            owner: None,
            predecessor_gone: false,
            ended_ms: 0,
            prefetch,
            paused: false,
            note: None,
            successor: None,
            cause: Cause::New,
        }
    }

    /// Whether its last owner released it, in this epoch, with nothing in doubt.
    pub fn released_clean(&self) -> bool {
        self.owner.is_none() && self.note.is_some_and(|note| note.clean && note.epoch == self.epoch)
    }

    /// Whether its owner is asked to leave it for this member, of which it is not a life itself.
    pub fn comes_to(&self, member: &MemberId) -> bool {
        let another = self.owner.as_ref().is_some_and(|owner| owner.member != *member);
        another && !self.paused && self.successor.as_ref() == Some(member)
    }

    /// Whether this life of this member owns it.
    pub fn is_owned_by(&self, owner: &Owner) -> bool {
        self.owner.as_ref() == Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PoolName;

    #[test]
    fn a_connection_tells_whose_it_is() {
        let owner = Owner {
            member: MemberId::parse("sender-1").unwrap(),
            incarnation: Incarnation(uuid::Uuid::from_u128(7)),
        };
        let name = format!("{}/im.q3", owner.connection_name());
        assert_eq!(Owner::of_connection(&name), Some((owner, "im.q3")));
        for other in ["im-backend", "sender-1/im.q3", "skein-gateway/1/2", "a/b/c"] {
            assert_eq!(Owner::of_connection(other), None, "{other}");
        }
    }

    #[test]
    fn one_json_form() {
        let queue = QueueName { pool: PoolName::parse("im").unwrap(), number: 3 };
        let fresh = QueueAssignment::new(queue, 200);
        let text = serde_json::to_string(&fresh).unwrap();
        assert!(text.starts_with(r#"{"queue":"im.q3","epoch":0,"owner":null,"#), "{text}");
        assert_eq!(serde_json::from_str::<QueueAssignment>(&text).unwrap(), fresh);
        assert!(!fresh.released_clean(), "P2: whoever sent before the first epoch left no note");
    }

    #[test]
    fn a_note_of_another_epoch_says_nothing() {
        let queue = QueueName { pool: PoolName::parse("im").unwrap(), number: 0 };
        let mut released = QueueAssignment { epoch: 4, ..QueueAssignment::new(queue, 200) };
        released.note = Some(Note { epoch: 3, clean: true });
        assert!(!released.released_clean());
        released.note = Some(Note { epoch: 4, clean: false });
        assert!(!released.released_clean());
        released.note = Some(Note { epoch: 4, clean: true });
        assert!(released.released_clean());
    }
}
