//! What one sender has said of itself, and what it knows of its queues. It outlives every session: in static mode it stands.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use skein_core::fleet::{Incarnation, Member, MemberId, Owner, QueueAssignment};
use skein_core::seam::{Assignment, Clock as _, OwnedQueue, Standing};
use skein_core::slot::{Slot, SlotMap};
use skein_core::{PoolName, QueueName};
use tokio::sync::watch;

use crate::clock::SystemClock;

/// A sender's seat.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) me: Owner,
    /// The earlier lives of this member that are dead for sure.
    pub(super) dead: Vec<Incarnation>,
    pub(super) described: watch::Sender<Member>,
    pub(super) assignment: watch::Sender<Assignment>,
    pub(super) standing: watch::Sender<Standing>,
    /// Who takes this life's place.
    pub(super) succeeded: watch::Sender<Option<Owner>>,
    slots: BTreeMap<PoolName, SlotMap>,
    /// Each queue's record, with the number of the transaction that wrote it.
    known: Mutex<BTreeMap<QueueName, (i64, QueueAssignment)>>,
}

impl Seat {
    pub(super) fn new(member: Member, dead: Vec<Incarnation>, slots: BTreeMap<PoolName, SlotMap>) -> Self {
        let away = Standing::Away { since: SystemClock.now(), why: "not joined yet".to_owned() };
        Self {
            me: member.owner(),
            dead,
            described: watch::Sender::new(member),
            assignment: watch::Sender::new(Assignment::default()),
            standing: watch::Sender::new(away),
            succeeded: watch::Sender::new(None),
            slots,
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes in records as they were read or written, with their transactions' numbers. An older one never replaces a newer one,
    /// whatever order they come in, and a queue that is known is never forgotten: nobody deletes its record.
    pub(super) fn learn(&self, records: impl IntoIterator<Item = (QueueAssignment, i64)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (assignment, written) in records {
            let newer = known.get(&assignment.queue).is_none_or(|(before, _)| *before < written);
            if newer {
                known.insert(assignment.queue.clone(), (written, assignment));
            }
        }
        if self.is_replaced() {
            return;
        }
        let comes = |stored: &&QueueAssignment| {
            stored.comes_to(&self.me.member) && self.slots.contains_key(&stored.queue.pool)
        };
        let known = || known.values().map(|(_, stored)| stored);
        let now = Assignment {
            queues: known().filter_map(|stored| self.owned(stored)).collect(),
            coming: known().filter(comes).map(|stored| stored.queue.clone()).collect(),
        };
        // Within the lock, so that what is told keeps the order in which it was learned.
        self.assignment.send_if_modified(|assignment| {
            let differs = *assignment != now;
            *assignment = now;
            differs
        });
    }

    /// What a record means to this sender.
    pub(super) fn owned(&self, stored: &QueueAssignment) -> Option<OwnedQueue> {
        OwnedQueue::of(stored, &self.me, self.slots.get(&stored.queue.pool)?)
    }

    /// Every queue that could be its own.
    pub(super) fn served(&self) -> Vec<QueueName> {
        let of = |(pool, slots): (&PoolName, &SlotMap)| {
            let (pool, last) = (pool.clone(), Slot::all().map(|slot| slots.queue(slot)).max());
            (0..=last.unwrap_or_default()).map(move |number| QueueName { pool: pool.clone(), number })
        };
        self.slots.iter().flat_map(of).collect()
    }

    /// The queues whose records it has read.
    pub(super) fn known(&self) -> Vec<QueueName> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// For whom this sender is asked to leave a queue, as far as it knows.
    pub(super) fn successor(&self, queue: &QueueName) -> Option<MemberId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(queue).and_then(|(_, stored)| stored.successor.clone())
    }

    /// Somebody takes this life's place, or does not any more.
    pub(super) fn succeeded_by(&self, other: Option<Owner>) {
        self.succeeded.send_if_modified(|succeeded| {
            let differs = *succeeded != other;
            *succeeded = other;
            differs
        });
    }

    pub(super) fn is_replaced(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Replaced(_))
    }

    /// How things stand; to be replaced is final.
    pub(super) fn stand(&self, now: Standing) {
        self.standing.send_if_modified(|standing| {
            let changes = *standing != now && !matches!(standing, Standing::Replaced(_));
            if changes {
                *standing = now;
            }
            changes
        });
    }

    /// Nothing is heard, since the first bad news.
    pub(super) fn away(&self, why: String) {
        let since = match &*self.standing.borrow() {
            Standing::Away { since, .. } => *since,
            _ => SystemClock.now(),
        };
        self.stand(Standing::Away { since, why });
    }

    /// A later life has taken this one's place: it owns nothing any more.
    pub(super) fn replaced_by(&self, other: Incarnation) {
        self.stand(Standing::Replaced(other));
        let _known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.assignment.send_replace(Assignment::default());
    }
}

#[cfg(test)]
mod tests {
    use skein_core::fleet::{Cause, Change};
    use uuid::Uuid;

    use super::*;

    fn seat() -> Seat {
        let text = r#"{"id":"s1","incarnation":"00000000-0000-0000-0000-000000000001","host":"h","version":"1",
            "pools":[],"connection_prefix":"s1","since":"2026-11-21T12:00:00Z"}"#;
        let pool = PoolName::parse("im").unwrap();
        Seat::new(serde_json::from_str(text).unwrap(), Vec::new(), BTreeMap::from([(pool, SlotMap::even(4))]))
    }

    fn assigned(queue: &str, to: &Owner) -> QueueAssignment {
        let to = to.clone();
        let change = Change::Assign { to, cause: Cause::New, predecessor_dead: false, ended_ms: 0 };
        QueueAssignment::new(QueueName::parse(queue).unwrap(), 100).apply(&change).unwrap()
    }

    #[test]
    fn an_older_record_never_comes_back() {
        let seat = seat();
        let mine = assigned("im.q1", &seat.me);
        let released = mine.apply(&Change::Release { by: seat.me.clone(), clean: true }).unwrap();
        seat.learn([(mine.clone(), 7)]);
        assert_eq!(seat.assignment.borrow().queues.len(), 1);
        seat.learn([(released, 9)]);
        assert!(seat.assignment.borrow().queues.is_empty());
        seat.learn([(mine, 7)]);
        assert!(seat.assignment.borrow().queues.is_empty(), "P2: what was read late is old");
        seat.learn([(assigned("im.q2", &seat.me), 3), (assigned("dev.q0", &seat.me), 4)]);
        let names: Vec<_> = seat.assignment.borrow().queues.iter().map(|q| q.queue.to_string()).collect();
        assert_eq!(names, ["im.q2"], "P5: a pool without settings is never its own");
    }

    #[test]
    fn who_is_replaced_owns_nothing_any_more() {
        let seat = seat();
        seat.learn([(assigned("im.q1", &seat.me), 7)]);
        let other =
            Owner { member: MemberId::parse("s1").unwrap(), incarnation: Incarnation(Uuid::from_u128(2)) };
        seat.replaced_by(other.incarnation);
        seat.learn([(assigned("im.q2", &seat.me), 8)]);
        seat.stand(Standing::Joined);
        assert!(seat.assignment.borrow().queues.is_empty());
        assert_eq!(*seat.standing.borrow(), Standing::Replaced(other.incarnation));
    }
}
