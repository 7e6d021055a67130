//! What operators want of the fleet: written by the command line and the page, read by the leading monitor.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::member::MemberId;
use crate::pool::QueueName;
use crate::time::Timestamp;

/// The number of a wish: grows in the order in which wishes were made (the store's sequence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WishId(pub u64);

/// A wish, as stored. It stands until the plan calls it fulfilled; then the monitor deletes it. What holds something (a drain, a
/// pause) is fulfilled when a later wish takes it back: till then it says who holds it, since when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Its number.
    pub id: WishId,
    /// Who made it.
    pub by: String,
    /// When, by that one's wall clock. For people; no decision reads it.
    pub at: Timestamp,
    /// Why; empty where nobody asked for it, or an older version did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What an operator can want.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Wanted {
    /// The member hands its queues over and gets no more. Stands until undrained.
    Drain {
        /// Which.
        member: MemberId,
    },
    /// The opposite of [`Wanted::Drain`].
    Undrain {
        /// Which.
        member: MemberId,
    },
    /// Nothing is taken from the queue, and it stays where it is. Stands until resumed.
    Pause {
        /// Which.
        queue: QueueName,
    },
    /// The opposite of [`Wanted::Pause`].
    Resume {
        /// Which.
        queue: QueueName,
    },
    /// The queue goes to this member, and balance leaves it there.
    Move {
        /// Which.
        queue: QueueName,
        /// To whom.
        to: MemberId,
    },
    /// Balance now, without waiting for hysteresis; queues that operators moved may move again.
    Rebalance,
    /// More than half of the fleet is gone: give its queues to who is left.
    ReleaseHold,
}

impl Wanted {
    /// Whether it ends what another wish keeps up: that has to find room where others find none.
    pub const fn ends_another(&self) -> bool {
        matches!(self, Self::Undrain { .. } | Self::Resume { .. })
    }
}

impl Wish {
    /// By whom, since when and why, for people.
    pub fn whose(&self) -> String {
        let why = if self.reason.is_empty() { "no reason is given" } else { &self.reason };
        format!("by {} since {}: {why}", self.by, self.at)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain { member } => write!(f, "drain {member}"),
            Self::Undrain { member } => write!(f, "undrain {member}"),
            Self::Pause { queue } => write!(f, "pause {queue}"),
            Self::Resume { queue } => write!(f, "resume {queue}"),
            Self::Move { queue, to } => write!(f, "move {queue} to {to}"),
            Self::Rebalance => f.write_str("rebalance"),
            Self::ReleaseHold => f.write_str("release the hold"),
        }
    }
}

/// A member that operators want kept out: its queues are handed over, and it gets none until the quarantine is lifted. (Members
/// that flap are kept out by the plan itself, for a growing while; that is no quarantine.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Which member.
    pub member: MemberId,
    /// Who put it there.
    pub by: String,
    /// Why.
    pub why: String,
    /// Since when, by that one's wall clock. For people; no decision reads it.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_json_form() {
        let text = r#"{"id":7,"by":"ops","at":"2026-11-21T12:00:00Z","wanted":{"do":"move","queue":"im.q3","to":"s2"}}"#;
        let wish: Wish = serde_json::from_str(text).unwrap();
        let queue = QueueName::parse("im.q3").unwrap();
        assert_eq!(wish.wanted, Wanted::Move { queue, to: MemberId::parse("s2").unwrap() });
        assert_eq!(
            serde_json::to_string(&wish).unwrap(),
            text,
            "an older version's is read, and no reason is written as before"
        );
        let with_reason = Wish { reason: "bad disk".to_owned(), ..wish };
        let text = serde_json::to_string(&with_reason).unwrap();
        assert_eq!(serde_json::from_str::<Wish>(&text).unwrap(), with_reason);
        let release = serde_json::to_string(&Wanted::ReleaseHold).unwrap();
        assert_eq!(release, r#"{"do":"release_hold"}"#);
    }
}
