//! What the plan says: moves, each with its cause and its reason; what it holds back and why; which wishes are answered.

use crate::fleet::{Cause, Change, MemberId, Owner, WishId};
use crate::lease::BootMillis;
use crate::pool::QueueName;

/// What should happen now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Changes of assignments, the most urgent first. Each is a checked write against the epoch it names.
    pub moves: Vec<Move>,
    /// What is not done, and why.
    pub held: Vec<Held>,
    /// Wishes that need not stand any longer: delete them.
    pub answered: Vec<Answered>,
    /// How each member stands, in the order of their ids.
    pub members: Vec<Standing>,
    /// When time alone will change the plan: plan again then, if nothing was observed before.
    pub wake: Option<BootMillis>,
}

/// One change of one queue's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which queue.
    pub queue: QueueName,
    /// The epoch it was decided on: the write is void if the stored one differs.
    pub epoch: u64,
    /// Who owns it now.
    pub from: Option<Owner>,
    /// What to write.
    pub change: Change,
    /// Why, in one word; `None` where an operator's word is carried out (pause, resume) or a request is taken back.
    pub cause: Option<Cause>,
    /// Why, in a sentence for `--dry-run` and the page.
    pub why: String,
    /// After the write, close the connections that `from` still has to the broker: it may be frozen and not know.
    pub kick: bool,
}

impl Move {
    /// The member that the queue goes to, or is meant for.
    pub fn to(&self) -> Option<&MemberId> {
        match &self.change {
            Change::Assign { to, .. } => Some(&to.member),
            Change::Ask { successor, .. } => Some(successor),
            _ => None,
        }
    }

    /// Whether it takes the queue from one member and gives it to another, at once or by asking. (An assignment after a release is
    /// the second half of a move that was counted when it was asked for.)
    pub fn changes_member(&self) -> bool {
        match (&self.from, self.to()) {
            (Some(from), Some(to)) => from.member != *to,
            _ => false,
        }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldFor {
    /// More than half of the fleet is gone at once: an operator decides.
    HalfGone,
    /// The broker is away, or was until just now.
    Broker,
    /// A member may be restarting in place.
    Restart,
    /// A member flaps and is kept out for a while.
    Flapping,
    /// Queues without anybody who could take them.
    Nobody,
    /// The same, and all who served them have left in order or are leaving: a planned stop.
    Stopped,
    /// New queues wait for the fleet to assemble.
    Joining,
    /// A successor is not ready.
    Successor,
    /// A member that is leaving owns paused queues, which stay with it.
    Paused,
    /// An owner takes long to leave.
    Slow,
}

impl HeldFor {
    /// The word in metric, table and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::HalfGone => "half_gone",
            Self::Broker => "broker",
            Self::Restart => "restart",
            Self::Flapping => "flapping",
            Self::Nobody => "nobody",
            Self::Stopped => "stopped",
            Self::Joining => "joining",
            Self::Successor => "successor",
            Self::Paused => "paused",
            Self::Slow => "slow",
        }
    }

    /// Whether a person must look.
    pub const fn alarms(self) -> bool {
        matches!(self, Self::HalfGone | Self::Nobody | Self::Slow)
    }
}

/// Something that is not done now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// In one word.
    pub what: HeldFor,
    /// In a sentence, with what the operator can do where there is something.
    pub why: String,
}

/// A wish that need not stand any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Which.
    pub wish: WishId,
    /// How it ended.
    pub answer: Answer,
}

/// How a wish ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Fulfilled,
    /// It can't be, or another one took its place.
    Refused {
        /// Why.
        why: String,
    },
}

/// How a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub member: MemberId,
    /// In one word.
    pub state: State,
    /// How many queues it owns or is about to.
    pub queues: usize,
    /// Their load, notifications a second, each queue counted at least at the policy's floor.
    pub load: u64,
}

/// The states of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes its share.
    Present,
    /// It joined a moment ago.
    Joining,
    /// Its connection is closed; it may be restarting in place.
    Suspect,
    /// Its connection stayed closed.
    BrokerDead,
    /// Its session is gone.
    SessionGone,
    /// It hands its queues over.
    Leaving,
    /// It came and went too often and gets no queues for a while.
    Flapping,
}

impl State {
    /// The word in metric, table and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Joining => "joining",
            Self::Suspect => "suspect",
            Self::BrokerDead => "broker_dead",
            Self::SessionGone => "session_gone",
            Self::Leaving => "leaving",
            Self::Flapping => "flapping",
        }
    }
}
