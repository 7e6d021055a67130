//! One sender's seat in a fleet in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::fleet::{MemoryFleet, State};
use crate::fleet::{Change, Incarnation, Member, Owner, QueueAssignment};
use crate::pool::QueueName;
use crate::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Tenure, Word};
use crate::time::Timestamp;

/// A sender's coordinator over a [`MemoryFleet`]. Dropped, it leaves the fleet, as an orderly end does.
#[derive(Debug)]
pub struct MemoryCoordinator {
    fleet: MemoryFleet,
    seat: Arc<Seat>,
}

/// What a sender has said, and what it was told last. The fleet brings it up to date within each of its own changes.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) me: Owner,
    /// The earlier lives of this member that are dead for sure.
    dead: Vec<Incarnation>,
    /// It has had its place: what those lives owned is claimed with it, once.
    once: AtomicBool,
    described: watch::Sender<Member>,
    cut: watch::Sender<bool>,
    assignment: watch::Sender<Assignment>,
    standing: watch::Sender<Standing>,
}

impl Seat {
    /// Tells the sender how things stand. A member whose session has ended joins anew; one whose place is taken never does.
    pub(super) fn tell(&self, state: &mut State) {
        if state.is_away() || *self.cut.borrow() {
            self.stand(Standing::Away { since: Timestamp::default(), why: "it does not answer".to_owned() });
            return;
        }
        if let Some(other) =
            state.members.get(&self.me.member).filter(|m| m.incarnation != self.me.incarnation)
        {
            self.stand(Standing::Replaced(other.incarnation));
        }
        let replaced = matches!(*self.standing.borrow(), Standing::Replaced(_));
        if !replaced {
            state.members.insert(self.me.member.clone(), self.described.borrow().clone());
            if !self.once.swap(true, Ordering::Relaxed) {
                self.inherit(state);
            }
            self.stand(Standing::Joined);
        }
        let now = if replaced { Assignment::default() } else { state.assignment_of(&self.me) };
        self.assignment.send_if_modified(|assignment| {
            let differs = *assignment != now;
            *assignment = now;
            differs
        });
    }

    /// Claims what the dead lives of this member own.
    fn inherit(&self, state: &mut State) {
        let change = Change::Reclaim { by: self.me.clone(), predecessor_dead: true };
        for owned in state.assignment_of(&self.me).queues {
            let inherited = matches!(&owned.tenure, Tenure::Inherited(life) if self.dead.contains(life));
            // Who attaches to nothing claims nothing.
            if inherited
                && !owned.paused
                && let Ok(claimed) = state.get(&owned.queue).map(|stored| stored.apply(&change))
                && let Ok(claimed) = claimed
            {
                state.set(claimed);
            }
        }
    }

    /// To be replaced is final.
    fn stand(&self, now: Standing) {
        self.standing.send_if_modified(|standing| {
            let changes = *standing != now && !matches!(standing, Standing::Replaced(_));
            if changes {
                *standing = now;
            }
            changes
        });
    }
}

impl MemoryCoordinator {
    pub(super) fn join(fleet: MemoryFleet, member: Member) -> Self {
        Self::join_after(fleet, member, Vec::new())
    }

    /// Joins as [`MemoryFleet::join`] does, where these earlier lives of the member are dead for sure: what they own is claimed with the
    /// place itself.
    pub fn join_after(fleet: MemoryFleet, member: Member, dead: Vec<Incarnation>) -> Self {
        let me = member.owner();
        let away = Standing::Away { since: Timestamp::default(), why: "not joined yet".to_owned() };
        let seat = Arc::new(Seat {
            me: me.clone(),
            dead,
            once: AtomicBool::new(false),
            described: watch::Sender::new(member.clone()),
            cut: watch::Sender::new(false),
            assignment: watch::Sender::new(Assignment::default()),
            standing: watch::Sender::new(away),
        });
        fleet.modify(|state| {
            state.members.insert(me.member.clone(), member);
            state.seats.push(Arc::downgrade(&seat));
        });
        Self { fleet, seat }
    }

    /// Who this sender is.
    pub fn me(&self) -> &Owner {
        &self.seat.me
    }

    /// Cuts this sender alone off from the coordinator, or heals the cut. Its session lives on until [`MemoryFleet::expire`].
    pub fn set_away(&self, away: bool) {
        self.seat.cut.send_replace(away);
        self.fleet.modify(|_| {});
    }

    /// Whether this sender alone is cut off.
    pub fn is_away(&self) -> bool {
        *self.seat.cut.borrow()
    }

    /// Gives the seat up, and the membership with it.
    fn stand_up(&self) {
        self.fleet.modify(|state| {
            let me = &self.seat.me;
            let mine =
                state.members.get(&me.member).is_some_and(|member| member.incarnation == me.incarnation);
            if mine {
                state.members.remove(&me.member);
            }
            state.seats.retain(|seat| !seat.ptr_eq(&Arc::downgrade(&self.seat)));
        });
    }

    fn say(&self, queue: &QueueName, word: Word, epoch: u64) -> Result<QueueAssignment, CoordinatorError> {
        if let Standing::Replaced(other) = &*self.seat.standing.borrow() {
            return Err(CoordinatorError::Overtaken(format!("{other} has taken this member's place")));
        }
        if *self.seat.cut.borrow() {
            return Err(CoordinatorError::Away("it does not answer".to_owned()));
        }
        self.fleet.write(|state| {
            let current = state.get(queue)?;
            let heir = current.successor.as_ref().and_then(|heir| state.members.get(heir));
            let heir = heir.filter(|heir| !heir.draining).map(Member::owner);
            match word.of(&self.seat.me, epoch, current, heir)? {
                None => Ok(current.clone()),
                Some(next) => Ok(state.set(next).assignment),
            }
        })
    }
}

impl Drop for MemoryCoordinator {
    fn drop(&mut self) {
        self.stand_up();
    }
}

impl Coordinator for MemoryCoordinator {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        self.seat.assignment.subscribe()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.seat.standing.subscribe()
    }

    fn describe(&self, member: Member) {
        let me = self.seat.me.clone();
        self.seat.described.send_replace(Member { id: me.member, incarnation: me.incarnation, ..member });
        self.fleet.modify(|_| {});
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.say(queue, Word::Settled, epoch).map(drop)
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        self.say(queue, Word::Released { clean }, epoch).map(drop)
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        let claimed = self.say(queue, Word::Reclaimed { predecessor_dead }, epoch)?;
        let slots = self.fleet.slot_map(&queue.pool)?;
        OwnedQueue::of(&claimed, &self.seat.me, &slots)
            .ok_or_else(|| CoordinatorError::Overtaken("it is another's".to_owned()))
    }

    async fn leave(&self) {
        self.stand_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Cause;
    use crate::pool::PoolName;

    fn member(incarnation: u128) -> Member {
        let text = format!(
            r#"{{"id":"s1","incarnation":"{}","host":"h","version":"1","pools":[],"connection_prefix":"s1","since":"2026-11-21T12:00:00Z"}}"#,
            uuid::Uuid::from_u128(incarnation)
        );
        serde_json::from_str(&text).unwrap()
    }

    fn queue(number: u16) -> QueueName {
        QueueName { pool: PoolName::parse("im").unwrap(), number }
    }

    #[test]
    fn what_dead_lives_own_is_claimed_with_the_place_once() {
        let fleet = MemoryFleet::new();
        let (dead, unknown, now) = (member(1), member(2), member(3));
        let owned = |number, by: &Member| {
            let cause = Cause::New;
            let change = Change::Assign { to: by.owner(), cause, predecessor_dead: false, ended_ms: 0 };
            let mut settled = QueueAssignment::new(queue(number), 100).apply(&change).unwrap();
            settled.predecessor_gone = true;
            settled
        };
        fleet.put(owned(0, &dead));
        fleet.put(owned(1, &unknown));
        fleet.put(QueueAssignment { paused: true, ..owned(2, &dead) });
        fleet.set_away(true);
        let seat = MemoryCoordinator::join_after(fleet.clone(), now.clone(), vec![dead.incarnation]);
        assert!(seat.assignment().borrow().queues.is_empty(), "nobody has heard of it yet");
        fleet.set_away(false);
        let told: Vec<_> = seat
            .assignment()
            .borrow()
            .queues
            .iter()
            .map(|q| (q.epoch, q.predecessor_gone, q.tenure.clone()))
            .collect();
        let inherited = |life: &Member| Tenure::Inherited(life.incarnation);
        let promised = [(2, true, Tenure::Hold), (1, true, inherited(&unknown)), (1, true, inherited(&dead))];
        assert_eq!(
            told, promised,
            "P2: only what is proven dead is claimed, and nothing that is not attached to"
        );
        fleet.put(owned(3, &dead));
        assert_eq!(fleet.queue(&queue(3)).unwrap().epoch, 1, "once");
    }
}
