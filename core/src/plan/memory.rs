//! What the plan must remember from one call to the next: goes in, comes out, is nobody else's.

use std::collections::{BTreeMap, BTreeSet};

use super::apns_trouble::ApnsTrouble;
use crate::fleet::{Incarnation, MemberId};
use crate::lease::BootMillis;
use crate::pool::{PoolName, QueueName};

/// The history that hysteresis, debounce and back-off need. A new leader may begin with an empty one: it then waits a little longer
/// than needed. A monitor that does not lead can keep its own warm by planning and throwing the plan away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Each member that is present, owns something, or was lost lately.
    pub(super) members: BTreeMap<MemberId, Remembered>,
    /// Since when the load is uneven, by the first pool of each group of pools that share members.
    pub(super) uneven: BTreeMap<PoolName, Uneven>,
    /// The lost members whose queues an operator has released from the half-gone hold.
    pub(super) released: BTreeSet<MemberId>,
    /// Since when the half-gone guard holds.
    pub(super) half_gone_since: Option<BootMillis>,
    /// Until when closed connections prove nothing: so many closed that it was the broker.
    pub(super) broker_doubted_until: BootMillis,
    /// Since when an owner is asked to leave, by queue and epoch.
    pub(super) asked: BTreeMap<QueueName, (u64, BootMillis)>,
}

/// What is remembered of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Remembered {
    /// The life seen last.
    pub incarnation: Option<Incarnation>,
    /// Since when it is present in this life.
    pub since: BootMillis,
    /// Since when it is lost.
    pub lost_since: Option<BootMillis>,
    /// It owned queues when it was lost.
    pub lost_queues: bool,
    /// It was leaving when it was seen last: its end is no loss.
    pub was_leaving: bool,
    /// When it was lost, within the flap window.
    pub losses: Vec<BootMillis>,
    /// How often its back-off has doubled, plus one; 0 is none.
    pub flap_level: u32,
    /// It gets no queues before.
    pub out_until: BootMillis,
    /// The pools that APNs fails there, or did lately.
    pub apns_trouble: Vec<ApnsTrouble>,
}

/// An uneven load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uneven {
    /// Since when.
    pub since: BootMillis,
    /// Queues are being moved until it is even.
    pub acting: bool,
}
