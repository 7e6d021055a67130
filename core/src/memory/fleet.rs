//! The coordinator of a fleet in memory: members, queues, wishes and the leader latch, shared by the senders and the monitors of
//! one process. For tests, and for the simulation of a fleet, which cuts members off and ends their sessions by hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::seat::{MemoryCoordinator, Seat};
use crate::fleet::{
    Because, Decided, Decision, Keep, Member, MemberId, Owner, Policy, Quarantine, QueueAssignment, Wanted,
    Wish, WishId,
};
use crate::pool::{PoolName, QueueName};
use crate::seam::{
    Applied, Assignment, CoordinatorError, DECISIONS_MAX, FleetStore, FleetView, Lead, OwnedQueue, Planned,
    StoredQueue, wishes_max,
};
use crate::slot::SlotMap;
use crate::time::Timestamp;

/// A fleet's store. Each clone is a handle of its own, as a monitor or a command has one.
#[derive(Debug)]
pub struct MemoryFleet {
    pub(super) state: watch::Sender<State>,
    /// The revision of this handle's last [`FleetStore::read`].
    seen: AtomicU64,
}

/// All that is stored.
#[derive(Debug, Default)]
pub(super) struct State {
    revision: u64,
    away: bool,
    pub(super) members: BTreeMap<MemberId, Member>,
    queues: BTreeMap<QueueName, StoredQueue>,
    slots: BTreeMap<PoolName, SlotMap>,
    wishes: BTreeMap<WishId, Wish>,
    quarantines: BTreeMap<MemberId, Quarantine>,
    /// The latest first.
    decisions: VecDeque<Decision>,
    policy: Policy,
    pub(super) seats: Vec<Weak<Seat>>,
    /// The monitors, in the order in which they came; the first leads.
    latch: VecDeque<u64>,
    tickets: u64,
    made: u64,
}

impl Default for MemoryFleet {
    fn default() -> Self {
        Self::of(watch::Sender::new(State::default()))
    }
}

impl Clone for MemoryFleet {
    fn clone(&self) -> Self {
        Self::of(self.state.clone())
    }
}

impl MemoryFleet {
    fn of(state: watch::Sender<State>) -> Self {
        Self { state, seen: AtomicU64::new(u64::MAX) }
    }

    /// A fleet without members and queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops or begins to answer; for everybody.
    pub fn set_away(&self, away: bool) {
        self.modify(|state| state.away = away);
    }

    /// A sender joins, and takes the place of an earlier life of its own. Needs no runtime.
    pub fn join(&self, member: Member) -> MemoryCoordinator {
        MemoryCoordinator::join(self.clone(), member)
    }

    /// The session of a member ends: what a monitor sees of a sender that is dead, frozen or cut off for long enough.
    pub fn expire(&self, member: &MemberId) {
        self.modify(|state| {
            state.members.remove(member);
        });
    }

    /// Ends the leadership of whoever leads, as when its session ends.
    pub fn depose(&self) {
        self.modify(|state| {
            state.latch.pop_front();
        });
    }

    /// What is stored of a queue.
    pub fn queue(&self, queue: &QueueName) -> Option<QueueAssignment> {
        self.state.borrow().queues.get(queue).map(|stored| stored.assignment.clone())
    }

    /// Stores an assignment as it is, whatever was there before: for tests that begin in the middle.
    pub fn put(&self, assignment: QueueAssignment) {
        self.modify(|state| {
            state.slots.entry(assignment.queue.pool.clone()).or_insert_with(|| SlotMap::even(16));
            state.set(assignment);
        });
    }

    /// Which slots live where in a pool.
    ///
    /// # Errors
    /// [`CoordinatorError::Refused`] if there is no such pool.
    pub fn slot_map(&self, pool: &PoolName) -> Result<SlotMap, CoordinatorError> {
        let unknown = || CoordinatorError::Refused(format!("there is no pool {pool}"));
        self.state.borrow().slots.get(pool).cloned().ok_or_else(unknown)
    }

    pub(super) fn modify(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| {
            change(state);
            state.told();
        });
    }

    /// Changes the store, unless it is away or the change says no.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, CoordinatorError>,
    ) -> Result<T, CoordinatorError> {
        let mut outcome = Err(CoordinatorError::Away("it does not answer".to_owned()));
        self.state.send_if_modified(|state| {
            if !state.away {
                outcome = change(state);
            }
            if outcome.is_ok() {
                state.told();
            }
            outcome.is_ok()
        });
        outcome
    }
}

impl State {
    /// Every change ends so: each sender is told within it.
    fn told(&mut self) {
        self.revision += 1;
        let seats: Vec<_> = self.seats.iter().filter_map(Weak::upgrade).collect();
        seats.iter().for_each(|seat| seat.tell(self));
    }

    fn decided(&mut self, because: Because, at: Timestamp, decided: Decided) {
        self.decisions.push_front(Decision { by: because.by, at, reason: because.reason, decided });
        self.decisions.truncate(DECISIONS_MAX);
    }

    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    pub(super) fn get(&self, queue: &QueueName) -> Result<&QueueAssignment, CoordinatorError> {
        let unknown = || CoordinatorError::Refused(format!("there is no queue {queue}"));
        self.queues.get(queue).map(|stored| &stored.assignment).ok_or_else(unknown)
    }

    pub(super) fn set(&mut self, assignment: QueueAssignment) -> StoredQueue {
        self.made += 1;
        let stored = StoredQueue { version: i64::try_from(self.made).unwrap_or(i64::MAX), assignment };
        self.queues.insert(stored.assignment.queue.clone(), stored.clone());
        stored
    }

    /// What one life of a member owns, and what comes to it.
    pub(super) fn assignment_of(&self, me: &Owner) -> Assignment {
        let of = |stored: &StoredQueue| {
            OwnedQueue::of(&stored.assignment, me, self.slots.get(&stored.assignment.queue.pool)?)
        };
        let comes = |stored: &&StoredQueue| stored.assignment.comes_to(&me.member);
        Assignment {
            queues: self.queues.values().filter_map(of).collect(),
            coming: self.queues.values().filter(comes).map(|s| s.assignment.queue.clone()).collect(),
        }
    }

    fn apply(&mut self, planned: &Planned) -> Option<StoredQueue> {
        let stored = self.queues.get(&planned.on.assignment.queue)?;
        if stored.version != planned.on.version {
            return None;
        }
        let next = stored.assignment.apply(&planned.change).ok()?;
        Some(self.set(next))
    }
}

impl FleetStore for MemoryFleet {
    type Lead = MemoryLead;

    async fn lead(&self) -> Result<MemoryLead, CoordinatorError> {
        let ticket = self.write(|state| {
            state.tickets += 1;
            state.latch.push_back(state.tickets);
            Ok(state.tickets)
        })?;
        let place = MemoryLead { fleet: self.clone(), ticket };
        let mut state = self.state.subscribe();
        let over = |state: &State| !state.latch.contains(&ticket) || state.latch.front() == Some(&ticket);
        // This handle holds a sender, so the channel is open.
        let led = state.wait_for(over).await.is_ok_and(|state| state.latch.front() == Some(&ticket));
        if led { Ok(place) } else { Err(CoordinatorError::Away("the session has ended".to_owned())) }
    }

    async fn read(&self) -> Result<FleetView, CoordinatorError> {
        let state = self.state.borrow();
        if state.away {
            return Err(CoordinatorError::Away("it does not answer".to_owned()));
        }
        self.seen.store(state.revision, Ordering::Relaxed);
        Ok(FleetView {
            members: state.members.values().cloned().collect(),
            queues: state.queues.values().cloned().collect(),
            wishes: state.wishes.values().cloned().collect(),
            quarantines: state.quarantines.values().cloned().collect(),
            policy: state.policy.clone(),
        })
    }

    async fn changed(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        // This handle holds a sender, so the channel is open.
        let _ = self.state.subscribe().wait_for(|state| state.revision != seen).await;
    }

    async fn init(&self) -> Result<(), CoordinatorError> {
        self.write(|_| Ok(()))
    }

    async fn seed(&self, pool: &PoolName, queues: u16, prefetch: u16) -> Result<(), CoordinatorError> {
        self.write(|state| {
            state.slots.insert(pool.clone(), SlotMap::even(queues));
            for number in 0..queues {
                let queue = QueueName { pool: pool.clone(), number };
                if !state.queues.contains_key(&queue) {
                    state.set(QueueAssignment::new(queue, prefetch));
                }
            }
            Ok(())
        })
    }

    async fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> Result<WishId, CoordinatorError> {
        self.write(|state| {
            if state.wishes.len() >= wishes_max(&wanted) {
                return Err(CoordinatorError::Refused(
                    "too many wishes wait or stand; is a monitor running, and is so much paused or drained?"
                        .to_owned(),
                ));
            }
            state.made += 1;
            let (id, because, at) = (WishId(state.made), because.into(), Timestamp::default());
            let wish = Wish {
                id,
                by: because.by.clone(),
                at,
                reason: because.reason.clone(),
                wanted: wanted.clone(),
            };
            state.wishes.insert(id, wish);
            state.decided(because, at, Decided::Wish(wanted));
            Ok(id)
        })
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), CoordinatorError> {
        self.write(|state| {
            let because = Because { by: quarantine.by.clone(), reason: quarantine.why.clone() };
            let kept = Keep::Quarantine { member: quarantine.member.clone() };
            state.decided(because, quarantine.since, Decided::Keep(kept));
            state.quarantines.insert(quarantine.member.clone(), quarantine);
            Ok(())
        })
    }

    async fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> Result<(), CoordinatorError> {
        self.write(|state| {
            if state.quarantines.remove(member).is_some() {
                let lifted = Keep::Lift { member: member.clone() };
                state.decided(because.into(), Timestamp::default(), Decided::Keep(lifted));
            }
            Ok(())
        })
    }

    async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        let state = self.state.borrow();
        if state.away {
            return Err(CoordinatorError::Away("it does not answer".to_owned()));
        }
        Ok(state.decisions.iter().cloned().collect())
    }

    async fn set_policy(&self, policy: &Policy) -> Result<(), CoordinatorError> {
        self.write(|state| {
            state.policy = policy.clone();
            Ok(())
        })
    }
}

/// Leadership of a [`MemoryFleet`].
#[derive(Debug)]
pub struct MemoryLead {
    fleet: MemoryFleet,
    ticket: u64,
}

impl MemoryLead {
    fn write<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, CoordinatorError>,
    ) -> Result<T, CoordinatorError> {
        self.fleet.write(|state| {
            if state.latch.front() != Some(&self.ticket) {
                return Err(CoordinatorError::Overtaken("this monitor does not lead any more".to_owned()));
            }
            change(state)
        })
    }
}

impl Lead for MemoryLead {
    fn is_certain(&self) -> bool {
        let state = self.fleet.state.borrow();
        !state.away && state.latch.front() == Some(&self.ticket)
    }

    async fn lost(&self) -> String {
        let mut state = self.fleet.state.subscribe();
        // This handle holds a sender, so the channel is open.
        let _ = state.wait_for(|state| state.latch.front() != Some(&self.ticket)).await;
        "the session has ended".to_owned()
    }

    async fn apply(&self, changes: &[Planned]) -> Result<Applied, CoordinatorError> {
        self.write(|state| {
            let mut applied = Applied::default();
            for planned in changes {
                match state.apply(planned) {
                    Some(changed) => applied.changed.push(changed),
                    None => applied.stale.push(planned.on.assignment.queue.clone()),
                }
            }
            Ok(applied)
        })
    }

    async fn fulfilled(&self, wishes: &[WishId]) -> Result<(), CoordinatorError> {
        self.write(|state| {
            state.wishes.retain(|id, _| !wishes.contains(id));
            Ok(())
        })
    }
}

impl Drop for MemoryLead {
    fn drop(&mut self) {
        self.fleet.modify(|state| state.latch.retain(|ticket| *ticket != self.ticket));
    }
}
