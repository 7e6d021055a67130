//! The coordinator seam, the monitors' side: the whole fleet as it is stored, what operators want, and the one monitor that leads.

use crate::fleet::{
    Because, Change, Decision, Member, MemberId, Policy, Quarantine, QueueAssignment, Wanted, Wish, WishId,
};
use crate::pool::{PoolName, QueueName};
use crate::seam::CoordinatorError;

/// Where the fleet is stored. Any number of monitors and commands read it; one monitor leads.
pub trait FleetStore: Send + Sync + 'static {
    /// Leadership, held.
    type Lead: Lead;

    /// Waits until this monitor leads. Cancellation safe: its place in the row is given back.
    ///
    /// # Errors
    /// When the store is away or refuses; begin again.
    fn lead(&self) -> impl Future<Output = Result<Self::Lead, CoordinatorError>> + Send;

    /// The whole fleet, now. Each queue is read as one; two queues may be read at two instants, which the checks on writing cover.
    ///
    /// # Errors
    /// When the store is away or refuses.
    fn read(&self) -> impl Future<Output = Result<FleetView, CoordinatorError>> + Send;

    /// Waits until something may have changed since the last [`FleetStore::read`] of this handle. Cancellation safe. It may return
    /// early, and an event may be lost with a connection: read again every few seconds all the same.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// The monitors that are there, by name; the first leads. Empty where the store keeps no names.
    ///
    /// # Errors
    /// When the store is away or refuses.
    fn monitors(&self) -> impl Future<Output = Result<Vec<String>, CoordinatorError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Makes what is missing of the store, with its rights. May be said again.
    ///
    /// # Errors
    /// When the store is away or refuses.
    fn init(&self) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// Makes the queues of a pool that are not known yet, unowned. Those that are there stay as they are. May be said again.
    ///
    /// # Errors
    /// When the store is away or refuses.
    fn seed(
        &self,
        pool: &PoolName,
        queues: u16,
        prefetch: u16,
    ) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// Writes a wish down for the leading monitor, and who said it and why among the decisions.
    ///
    /// # Errors
    /// When the store is away (it may have been written) or refuses; [`CoordinatorError::Refused`] at [`WISHES_MAX`].
    fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> impl Future<Output = Result<WishId, CoordinatorError>> + Send;

    /// Keeps a member out, until it is lifted, and keeps the word among the decisions. Said again, the last word stands.
    ///
    /// # Errors
    /// When the store is away (it may have been written) or refuses.
    fn quarantine(&self, quarantine: Quarantine)
    -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// Lifts a quarantine; nothing happens if there is none.
    ///
    /// # Errors
    /// When the store is away (it may be lifted) or refuses.
    fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// What operators decided, the latest first: each wish, each quarantine and the end of it; at most [`DECISIONS_MAX`]. Empty where
    /// the store has no place for them.
    ///
    /// # Errors
    /// When the store is away or refuses.
    fn decisions(&self) -> impl Future<Output = Result<Vec<Decision>, CoordinatorError>> + Send;

    /// Replaces the policy.
    ///
    /// # Errors
    /// When the store is away (it may be replaced) or refuses.
    fn set_policy(&self, policy: &Policy) -> impl Future<Output = Result<(), CoordinatorError>> + Send;
}

/// Leadership. Dropped, it is given up.
pub trait Lead: Send + Sync + 'static {
    /// Whether it is certain, at this moment, that no other monitor leads: to be asked before each act that is no checked write.
    fn is_certain(&self) -> bool;

    /// Waits until this monitor does not lead any more, and says why. Cancellation safe.
    fn lost(&self) -> impl Future<Output = String> + Send;

    /// Changes queues, each checked against the version it was decided on and against this leadership; in bounded transactions, so
    /// the first of them may stand when a later one fails.
    ///
    /// # Errors
    /// [`CoordinatorError::Overtaken`] if this monitor does not lead any more. When the store is away: what of it was done is
    /// not known; read again.
    fn apply(&self, changes: &[Planned]) -> impl Future<Output = Result<Applied, CoordinatorError>> + Send;

    /// Deletes wishes that are fulfilled; those that are gone already are passed over.
    ///
    /// # Errors
    /// As [`Lead::apply`].
    fn fulfilled(&self, wishes: &[WishId]) -> impl Future<Output = Result<(), CoordinatorError>> + Send;
}

/// The most wishes that may wait to be fulfilled or stand.
pub const WISHES_MAX: usize = 1000;

/// How many may be there when this one is added: as many again for what ends a pause or a drain.
pub const fn wishes_max(wanted: &Wanted) -> usize {
    if wanted.ends_another() { 2 * WISHES_MAX } else { WISHES_MAX }
}

/// The most decisions of operators that are kept; the oldest go first.
pub const DECISIONS_MAX: usize = 100;

/// The fleet, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetView {
    /// Who is there, by id.
    pub members: Vec<Member>,
    /// Every queue, by name.
    pub queues: Vec<StoredQueue>,
    /// What operators want, in the order in which they said so.
    pub wishes: Vec<Wish>,
    /// Who is kept out, by id.
    pub quarantines: Vec<Quarantine>,
    /// How to decide.
    pub policy: Policy,
}

/// A queue's assignment and the version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredQueue {
    /// What is stored.
    pub assignment: QueueAssignment,
    /// Grows with each write of this record; for [`Planned::on`] alone.
    pub version: i64,
}

/// A change of one queue that was decided on a version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it was decided on.
    pub on: StoredQueue,
    /// What is to change.
    pub change: Change,
}

/// What became of the changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The queues that were changed, as they are now, in the order given.
    pub changed: Vec<StoredQueue>,
    /// Those that were not, since their record had changed, or the change does not apply to it.
    pub stale: Vec<QueueName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_pause_finds_room_where_pauses_fill_it() {
        let queue = QueueName { pool: crate::PoolName::parse("im").expect("a name"), number: 0 };
        let pause = Wanted::Pause { queue: queue.clone() };
        assert!(wishes_max(&Wanted::Resume { queue }) > wishes_max(&pause));
        assert_eq!(wishes_max(&Wanted::Rebalance), WISHES_MAX);
    }
}
