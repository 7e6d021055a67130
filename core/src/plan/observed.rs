//! What the monitor has seen of the fleet: the plan's whole knowledge of the world, plain data.

use crate::fleet::{Member, Quarantine, QueueAssignment, Wish};
use crate::lease::BootMillis;

/// One full reading. Nothing depends on the order of its lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The broker.
    pub broker: BrokerSeen,
    /// Every member that has a session, each once.
    pub members: Vec<Seen>,
    /// Every queue, each once.
    pub queues: Vec<QueueSeen>,
    /// What operators want.
    pub wishes: Vec<Wish>,
    /// Who operators keep out.
    pub quarantines: Vec<Quarantine>,
}

/// The broker, as the monitor's own connection to it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrokerSeen {
    /// It has been there for as long as this monitor knows.
    #[default]
    Up,
    /// It was away, and came back.
    Back {
        /// When, by the monitor's boot clock.
        at: BootMillis,
    },
    /// It does not answer.
    Away,
}

/// A member with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it says of itself.
    pub member: Member,
    /// Its way to the broker.
    pub connection: Connection,
}

/// The connections of a member to the broker, by the broker's own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Nobody knows better: its presence connection has not closed since events are heard, or another is open.
    Open,
    /// Its presence connection is closed, and every other of this incarnation that is known. (What an earlier incarnation had says nothing of this one.)
    Closed {
        /// When the last one was, by the monitor's boot clock.
        at: BootMillis,
    },
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSeen {
    /// What is stored of it.
    pub assignment: QueueAssignment,
    /// Its load: the greater of what comes in and what is settled, notifications a second, over the last minute or so.
    pub per_second: u32,
    /// What waits in it. The deepest are given out first.
    pub depth: u64,
}
