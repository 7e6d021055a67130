//! The rules of a change, each with what would go wrong without it.

use uuid::Uuid;

use super::*;
use crate::fleet::Incarnation;
use crate::pool::{PoolName, QueueName};

fn owner(name: &str, life: u128) -> Owner {
    Owner { member: MemberId::parse(name).unwrap(), incarnation: Incarnation(Uuid::from_u128(life)) }
}

#[test]
fn the_grace_counts_from_the_brokers_word() {
    let assign = |to: &Owner, ended_ms| Change::Assign {
        to: to.clone(),
        cause: Cause::BrokerDead,
        predecessor_dead: false,
        ended_ms,
    };
    let (a, b) = (owner("a", 1), owner("b", 1));
    let first = after(fresh(), &[assign(&a, 0)]);
    let in_grace = after(first.clone(), &[assign(&b, 520)]);
    assert_eq!(in_grace.ended_ms, 0, "P2: a was still waiting for the one before it");
    let settled = after(first, &[Change::Settled { by: a }]);
    let second = after(settled, &[assign(&b, 520)]);
    assert_eq!((second.ended_ms, second.predecessor_gone), (520, false));
    let again = after(second, &[Change::Reclaim { by: b, predecessor_dead: false }]);
    assert_eq!(again.ended_ms, 0, "P2: another predecessor, another grace");
}

fn fresh() -> QueueAssignment {
    QueueAssignment::new(QueueName { pool: PoolName::parse("im").unwrap(), number: 0 }, 200)
}

fn assign(to: &Owner) -> Change {
    Change::Assign { to: to.clone(), cause: Cause::SessionGone, predecessor_dead: false, ended_ms: 0 }
}

fn after(mut assignment: QueueAssignment, changes: &[Change]) -> QueueAssignment {
    for change in changes {
        assignment = assignment.apply(change).unwrap();
    }
    assignment
}

#[test]
fn a_clean_note_spares_the_grace_once() {
    let (a, b, c) = (owner("a", 1), owner("b", 1), owner("c", 1));
    let held = after(fresh(), &[assign(&a), Change::Settled { by: a.clone() }]);
    let released = after(held, &[Change::Release { by: a, clean: true }]);
    assert!(released.released_clean() && released.owner.is_none());
    let handed = after(released, &[assign(&b)]);
    assert_eq!((handed.epoch, handed.predecessor_gone), (2, true));
    let seized = after(handed, &[assign(&c)]);
    assert_eq!((seized.epoch, seized.predecessor_gone), (3, false), "P2: the old note says nothing of b");
}

#[test]
fn who_leaves_within_its_grace_vouches_for_nobody() {
    let (a, b, c) = (owner("a", 1), owner("b", 1), owner("c", 1));
    let taken = after(fresh(), &[assign(&a), Change::Settled { by: a }, assign(&b)]);
    let left = after(taken.clone(), &[Change::Release { by: b.clone(), clean: true }, assign(&c)]);
    assert!(!left.predecessor_gone, "P2: b left cleanly, but a may still write");
    let settled = after(taken, &[Change::Settled { by: b.clone() }, Change::Release { by: b, clean: true }]);
    assert!(after(settled, &[assign(&c)]).predecessor_gone);
}

#[test]
fn the_file_lock_proves_one_death_only() {
    let (a, b, b2) = (owner("a", 1), owner("b", 1), owner("b", 2));
    let reclaim = Change::Reclaim { by: b2.clone(), predecessor_dead: true };
    let within_grace = after(fresh(), &[assign(&a), assign(&b), reclaim.clone()]);
    assert_eq!((within_grace.epoch, within_grace.predecessor_gone), (3, false), "P2: a may still write");
    let settled = after(fresh(), &[assign(&b), Change::Settled { by: b }, reclaim]);
    assert_eq!((settled.epoch, settled.predecessor_gone), (2, true));
    assert!(settled.is_owned_by(&b2));
}

#[test]
fn only_the_owner_speaks_for_the_queue() {
    let (a, a2, b) = (owner("a", 1), owner("a", 2), owner("b", 1));
    let held = after(fresh(), &[assign(&a)]);
    let refused = Err(Refused::NotTheOwner);
    assert_eq!(held.apply(&Change::Release { by: a2.clone(), clean: true }), refused, "not this life's");
    assert_eq!(held.apply(&Change::Settled { by: b.clone() }), refused);
    assert_eq!(held.apply(&Change::Reclaim { by: b.clone(), predecessor_dead: true }), refused);
    assert_eq!(fresh().apply(&Change::Reclaim { by: a2, predecessor_dead: true }), refused);
    let ask = Change::Ask { successor: b.member, cause: Cause::Drain };
    assert_eq!(fresh().apply(&ask), Err(Refused::NoOwner));
    assert_eq!(held.apply(&ask).unwrap().epoch, held.epoch, "to be asked is not to lose it");
}

#[test]
fn a_restart_forgets_no_request() {
    let (a, a2, b) = (owner("a", 1), owner("a", 2), owner("b", 1));
    let asked = [assign(&a), Change::Ask { successor: b.member.clone(), cause: Cause::Drain }];
    let reclaimed = after(after(fresh(), &asked), &[Change::Reclaim { by: a2, predecessor_dead: true }]);
    assert_eq!((reclaimed.successor, reclaimed.cause), (Some(b.member), Cause::Drain));
}

#[test]
fn prefetch_grows_and_shrinks_only_when_released_and_empty() {
    let a = owner("a", 1);
    let to = |to, empty| Change::Prefetch { to, empty };
    let held = after(fresh(), &[assign(&a), Change::Settled { by: a.clone() }]);
    assert_eq!(held.apply(&to(300, false)).unwrap().prefetch, 300);
    assert_eq!(held.apply(&to(100, true)), Err(Refused::PrefetchWouldShrink), "P2: an owner may take more");
    let released = after(held, &[Change::Release { by: a, clean: true }]);
    assert_eq!(released.apply(&to(100, false)), Err(Refused::PrefetchWouldShrink));
    assert_eq!(released.apply(&to(100, true)).unwrap().prefetch, 100);
    assert_eq!(released.apply(&to(0, true)).unwrap().prefetch, 1);
}

#[test]
fn a_hand_over_is_a_release_and_an_assignment_in_one() {
    let (a, b, c) = (owner("a", 1), owner("b", 4), owner("c", 1));
    let asked = Change::Ask { successor: b.member.clone(), cause: Cause::Drain };
    let held = after(fresh(), &[assign(&a), asked]);
    let over = |to: &Owner, clean| Change::HandOver { by: a.clone(), to: to.clone(), clean };
    for settled in [false, true] {
        let held =
            if settled { after(held.clone(), &[Change::Settled { by: a.clone() }]) } else { held.clone() };
        for clean in [false, true] {
            let at_once = after(held.clone(), &[over(&b, clean)]);
            let to = b.clone();
            let given = Change::Assign { to, cause: Cause::Drain, predecessor_dead: false, ended_ms: 0 };
            let by_and_by = after(held.clone(), &[Change::Release { by: a.clone(), clean }, given]);
            assert_eq!(at_once, by_and_by);
            assert_eq!(
                at_once.predecessor_gone,
                settled && clean,
                "P2: the grace is spared by the same proof"
            );
        }
    }
    assert_eq!(held.apply(&over(&c, true)), Err(Refused::NotTheSuccessor), "P2: whom the monitor named");
    let by = c.clone();
    let stranger = Change::HandOver { by, to: b.clone(), clean: true };
    assert_eq!(held.apply(&stranger), Err(Refused::NotTheOwner));
    let paused = after(held.clone(), &[Change::Pause]);
    assert_eq!(paused.apply(&over(&b, true)), Err(Refused::NotTheSuccessor), "it is not moved");
    let withdrawn = after(held, &[Change::Withdraw]);
    assert_eq!(withdrawn.apply(&over(&b, true)), Err(Refused::NotTheSuccessor));
}
