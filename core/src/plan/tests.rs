//! The rules of the plan, one small fleet each.

mod apns_trouble;

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::fleet::{
    Change, Health, Incarnation, Load, Member, MemberId, Owner, QueueAssignment, ServedPool, Wanted, Wish,
    WishId,
};
use crate::pool::{PoolName, QueueName};
use crate::time::Timestamp;

struct Fleet {
    observed: Observed,
    memory: Memory,
    policy: Policy,
    now: BootMillis,
}

fn id(name: &str) -> MemberId {
    MemberId::parse(name).unwrap()
}

fn queue(number: u16) -> QueueName {
    QueueName { pool: PoolName::parse("im").unwrap(), number }
}

impl Fleet {
    /// Settled members that share the queues of one pool in turn.
    fn settled(names: &[&str], queues: u16) -> Self {
        let observed = Observed::default();
        let now = BootMillis(1_000_000);
        let mut fleet = Self { observed, memory: Memory::default(), policy: Policy::default(), now };
        for name in names {
            fleet.join(name);
        }
        for number in 0..queues {
            let mut assignment = QueueAssignment::new(queue(number), 200);
            let owner = &fleet.observed.members[usize::from(number) % names.len()].member;
            (assignment.epoch, assignment.owner) = (1, Some(owner.owner()));
            fleet.observed.queues.push(QueueSeen { assignment, per_second: 100, depth: 0 });
        }
        assert!(fleet.plan().moves.is_empty());
        fleet.later(10_000);
        assert!(fleet.plan().moves.is_empty());
        fleet
    }

    fn join(&mut self, name: &str) -> Owner {
        let member = Member {
            id: id(name),
            incarnation: Incarnation(Uuid::from_u128(1)),
            holds_lock: true,
            host: String::new(),
            zone: None,
            version: String::new(),
            pools: vec![ServedPool { pool: queue(0).pool, apns: Health::Healthy }],
            ledger: Health::Healthy,
            broker: Default::default(),
            report: Default::default(),
            load: Load::default(),
            draining: false,
            succeeds: None,
            connection_prefix: String::new(),
            since: Timestamp::default(),
        };
        let owner = member.owner();
        self.observed.members.push(Seen { member, connection: Connection::Open });
        owner
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now.plus(Duration::from_millis(ms));
    }

    fn plan(&mut self) -> Plan {
        let (planned, memory) =
            plan(&self.observed, &self.policy, std::mem::take(&mut self.memory), self.now);
        self.memory = memory;
        planned
    }

    /// Carries a plan out; owners that are asked leave at once. Returns how often a queue went from one member to another.
    fn act(&mut self) -> usize {
        let mut moves = 0;
        loop {
            let planned = self.plan();
            self.observed.wishes.retain(|wish| planned.answered.iter().all(|a| a.wish != wish.id));
            if planned.moves.is_empty() {
                return moves;
            }
            moves += planned.moves.iter().filter(|m| m.changes_member()).count();
            for m in planned.moves {
                let found = self.observed.queues.iter_mut().find(|q| q.assignment.queue == m.queue).unwrap();
                found.assignment = found.assignment.apply(&m.change).unwrap();
                if let (Change::Ask { .. }, Some(by)) = (&m.change, found.assignment.owner.clone()) {
                    found.assignment = found.assignment.apply(&Change::Release { by, clean: true }).unwrap();
                }
            }
        }
    }

    fn member(&mut self, name: &str) -> &mut Seen {
        self.observed.members.iter_mut().find(|seen| seen.member.id == id(name)).unwrap()
    }

    fn says(&mut self, name: &str, apns: Health) {
        self.member(name).member.pools[0].apns = apns;
    }

    fn owned_by(&self, name: &str) -> usize {
        let owner = |q: &&QueueSeen| q.assignment.owner.as_ref().is_some_and(|o| o.member == id(name));
        self.observed.queues.iter().filter(owner).count()
    }

    fn wish(&mut self, number: u64, wanted: Wanted) {
        let (id, at) = (WishId(number), Timestamp::default());
        self.observed.wishes.push(Wish { id, by: "ops".to_owned(), at, reason: String::new(), wanted });
    }
}

#[test]
fn an_in_place_restart_gets_its_grace_to_the_millisecond() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
    let at = fleet.now;
    fleet.member("a").connection = Connection::Closed { at };
    let waits = fleet.plan();
    assert_eq!((waits.moves.len(), waits.wake), (0, Some(at.plus(Duration::from_millis(500)))));
    assert_eq!(waits.held[0].what, HeldFor::Restart);
    fleet.later(499);
    assert!(fleet.plan().moves.is_empty());
    fleet.later(1);
    let seized = fleet.plan();
    assert_eq!(seized.moves.len(), 2);
    assert!(seized.moves.iter().all(|m| m.cause == Some(Cause::BrokerDead) && !m.kick));
}

#[test]
fn who_is_frozen_is_kicked_after_the_write() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
    fleet.observed.members.remove(0);
    let seized = fleet.plan();
    assert_eq!(seized.moves.len(), 2);
    assert!(seized.moves.iter().all(|m| m.cause == Some(Cause::SessionGone) && m.kick));
}

#[test]
fn a_rolling_restart_moves_each_queue_once() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 12);
    let mut moves = 0;
    for (old, new) in [("a", "a2"), ("b", "b2"), ("c", "c2")] {
        let elder = fleet.member(old).member.owner();
        fleet.join(new);
        fleet.member(new).member.succeeds = Some(elder);
        moves += fleet.act();
        assert_eq!((fleet.owned_by(old), fleet.owned_by(new)), (0, 4));
        fleet.observed.members.retain(|seen| seen.member.id != id(old));
        fleet.later(2_000);
    }
    fleet.later(200_000);
    moves += fleet.act();
    assert_eq!(moves, 12, "as many moves as queues");
}

#[test]
fn a_drained_fleet_without_successors_moves_at_most_twice_its_queues() {
    let mut fleet = Fleet::settled(&["a", "b", "c", "d"], 16);
    let mut moves = 0;
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        fleet.wish(2 * number as u64, Wanted::Drain { member: id(name) });
        moves += fleet.act();
        assert_eq!(fleet.owned_by(name), 0, "handed over, one by one");
        fleet.observed.members.retain(|seen| seen.member.id != id(name));
        fleet.later(1_000);
        fleet.join(name);
        fleet.wish(2 * number as u64 + 1, Wanted::Undrain { member: id(name) });
        moves += fleet.act();
        fleet.later(7_000);
    }
    assert!((16..=32).contains(&moves), "{moves} moves");
}

#[test]
fn a_pool_that_fails_everywhere_stays_and_one_that_fails_at_one_member_is_handed_over() {
    for failed in [Health::CutOff, Health::Refused] {
        let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
        fleet.member("a").member.pools[0].apns = failed;
        assert!(fleet.plan().moves.is_empty(), "not at once: others may find out the same");
        fleet.later(9_999);
        assert!(fleet.plan().moves.is_empty());
        fleet.later(1);
        let asked = fleet.plan();
        assert_eq!(asked.moves.len(), 2);
        assert!(asked.moves.iter().all(|m| matches!(m.change, Change::Ask { .. })), "asked, not seized");
        for name in ["b", "c"] {
            fleet.member(name).member.pools[0].apns = failed;
        }
        fleet.later(60_000);
        assert!(fleet.plan().moves.is_empty(), "P5: it fails all: it is APNs, or the credential");
    }
}

#[test]
fn a_pool_that_keeps_failing_at_one_member_stays_away_longer_each_time() {
    let mut fleet = Fleet::settled(&["a", "b"], 8);
    let mut away = Vec::new();
    for _ in 0..4 {
        assert_eq!(fleet.owned_by("a"), 4);
        fleet.member("a").member.pools[0].apns = Health::Refused;
        fleet.plan();
        fleet.later(10_000);
        assert_eq!(fleet.act(), 4);
        assert_eq!(
            fleet.owned_by("a"),
            0,
            "what its clock or its copy of the credential spoils, another sends"
        );
        fleet.member("a").member.pools[0].apns = Health::Healthy;
        let since = fleet.now;
        assert_eq!(fleet.plan().held[0].what, HeldFor::Flapping);
        while fleet.act() == 0 {
            fleet.later(1_000);
        }
        away.push(fleet.now.since(since).as_secs());
    }
    // The back-off, and the minute that an uneven load must last.
    assert_eq!(away, [90, 120, 180, 300]);
    fleet.later(601_000);
    fleet.plan();
    assert!(fleet.memory.members[&id("a")].apns_trouble.is_empty(), "forgiven");
}

#[test]
fn what_an_operator_moved_stays_until_rebalance() {
    let mut fleet = Fleet::settled(&["a", "b"], 8);
    for number in [0, 2] {
        fleet.wish(u64::from(number), Wanted::Move { queue: queue(number), to: id("b") });
    }
    assert_eq!(fleet.act(), 2);
    assert!(fleet.observed.wishes.is_empty());
    for _ in 0..3 {
        fleet.later(61_000);
        fleet.act();
        let moved = |number: usize| fleet.observed.queues[number].assignment.owner.clone().unwrap().member;
        assert_eq!((moved(0), moved(2)), (id("b"), id("b")));
    }
    let refused = Wanted::Move { queue: queue(0), to: id("nobody") };
    fleet.wish(9, refused);
    assert!(matches!(fleet.plan().answered[0].answer, Answer::Refused { .. }));
}

#[test]
fn a_wish_that_holds_something_stands_until_it_is_taken_back() {
    let mut fleet = Fleet::settled(&["a", "b"], 4);
    let paused = |fleet: &Fleet| fleet.observed.queues[1].assignment.paused;
    let stand = |fleet: &Fleet| fleet.observed.wishes.iter().map(|wish| wish.id.0).collect::<Vec<_>>();
    fleet.wish(1, Wanted::Pause { queue: queue(1) });
    assert_eq!(
        fleet.plan().moves[0].why,
        "an operator wishes to pause it, by ops since 1970-01-01T00:00:00Z: no reason is given"
    );
    fleet.act();
    assert!(paused(&fleet));
    assert_eq!((fleet.act(), stand(&fleet)), (0, vec![1]), "who paused it, and why, is there to be read");
    fleet.wish(2, Wanted::Pause { queue: queue(1) });
    assert_eq!((fleet.act(), stand(&fleet)), (0, vec![2]), "the later word");
    fleet.wish(3, Wanted::Resume { queue: queue(1) });
    fleet.act();
    assert!(!paused(&fleet));
    assert_eq!((fleet.act(), stand(&fleet)), (0, vec![]), "nothing is left that would pause it again");
}

#[test]
fn p1_a_dead_owner_of_a_paused_queue_alone_holds_nothing_back() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
    fleet.wish(1, Wanted::Pause { queue: queue(0) });
    fleet.act();
    fleet.observed.members.remove(0);
    assert_eq!(fleet.act(), 1, "its other queue is taken over");
    fleet.later(600_000);
    assert!(fleet.plan().moves.is_empty());
    fleet.observed.members.remove(0);
    let alone = fleet.plan();
    assert!(alone.held.iter().all(|held| held.what != HeldFor::HalfGone), "{:?}", alone.held);
    assert!(fleet.act() > 0, "one of two is not more than half");
    assert_eq!((fleet.owned_by("c"), fleet.owned_by("a")), (5, 1), "the paused one stays");
}

#[test]
fn a_paused_queue_that_keeps_its_owner_from_leaving_is_named() {
    let mut fleet = Fleet::settled(&["a", "b"], 4);
    fleet.wish(1, Wanted::Pause { queue: queue(0) });
    fleet.act();
    fleet.member("a").member.draining = true;
    fleet.act();
    assert_eq!(fleet.owned_by("a"), 1);
    let held = fleet.plan().held;
    assert_eq!(held[0].what, HeldFor::Paused);
    assert!(held[0].why.starts_with("a is leaving, and 1 of its queues are paused"), "{}", held[0].why);
    fleet.wish(2, Wanted::Resume { queue: queue(0) });
    fleet.act();
    assert_eq!((fleet.owned_by("a"), fleet.plan().held.len()), (0, 0));
}

#[test]
fn balance_acts_after_a_minute_and_stops_below() {
    let mut fleet = Fleet::settled(&["a", "b"], 16);
    for queue in fleet.observed.queues.iter_mut().step_by(2) {
        queue.per_second = 160;
    }
    assert!(fleet.plan().moves.is_empty(), "123 % of the mean is not too much");
    for queue in fleet.observed.queues.iter_mut().step_by(2) {
        queue.per_second = 180;
    }
    assert!(fleet.plan().moves.is_empty());
    fleet.later(59_999);
    assert!(fleet.plan().moves.is_empty(), "not before it has lasted a minute");
    fleet.later(1);
    assert!(fleet.act() > 0);
    let standing = fleet.plan().members;
    let most = standing.iter().map(|s| s.load).max().unwrap();
    let all: u64 = standing.iter().map(|s| s.load).sum();
    assert!(most * 2 * 100 < all * 110, "{most} of {all}");
}

#[test]
fn a_restarted_owner_gets_its_queues_back_with_the_lock_s_proof() {
    let mut fleet = Fleet::settled(&["a", "b"], 2);
    fleet.observed.queues[0].assignment.predecessor_gone = true;
    fleet.member("a").member.incarnation = Incarnation(Uuid::from_u128(2));
    assert!(fleet.plan().moves.is_empty(), "it takes them again by itself");
    fleet.later(500);
    let given = fleet.plan();
    assert_eq!(given.moves.len(), 1);
    assert!(matches!(given.moves[0].change, Change::Assign { predecessor_dead: true, .. }));
    assert!(!given.moves[0].changes_member());
    fleet.act();
    let taken = &fleet.observed.queues[0].assignment;
    assert_eq!((taken.epoch, taken.predecessor_gone), (2, true));
}

#[test]
fn a_planned_stop_of_all_is_no_alarm_and_the_loss_of_all_is_one() {
    let mut fleet = Fleet::settled(&["a", "b"], 4);
    for name in ["a", "b"] {
        fleet.member(name).member.draining = true;
    }
    let stopping = fleet.plan();
    assert_eq!((stopping.moves.len(), stopping.held[0].what), (0, HeldFor::Stopped));
    assert!(!HeldFor::Stopped.alarms());
    for queue in &mut fleet.observed.queues {
        let by = queue.assignment.owner.clone().unwrap();
        queue.assignment = queue.assignment.apply(&Change::Release { by, clean: false }).unwrap();
    }
    fleet.observed.members.clear();
    assert_eq!(fleet.plan().held[0].what, HeldFor::Stopped);

    let mut fleet = Fleet::settled(&["a", "b"], 4);
    fleet.wish(1, Wanted::Drain { member: id("a") });
    fleet.member("b").member.draining = true;
    assert_eq!(fleet.plan().held[0].what, HeldFor::Nobody, "an operator drains the last one");
    let mut fleet = Fleet::settled(&["a"], 4);
    fleet.observed.members.clear();
    fleet.wish(1, Wanted::ReleaseHold);
    assert_eq!(fleet.plan().held[0].what, HeldFor::Nobody, "lost");
}

#[test]
fn who_hangs_and_must_leave_is_seized_from_and_kicked() {
    let mut fleet = Fleet::settled(&["a", "b"], 2);
    fleet.member("a").member.draining = true;
    let asked = fleet.plan().moves.remove(0);
    let hung = &mut fleet.observed.queues[0].assignment;
    *hung = hung.apply(&asked.change).unwrap();
    fleet.plan();
    fleet.later(10_000);
    let slow = fleet.plan();
    assert_eq!((slow.moves.len(), slow.held[0].what), (0, HeldFor::Slow));
    fleet.later(49_999);
    assert!(fleet.plan().moves.is_empty());
    fleet.later(1);
    let seized = fleet.plan().moves.remove(0);
    assert!(seized.kick, "it may not know");
    assert!(
        matches!(&seized.change, Change::Assign { to, predecessor_dead: false, .. } if to.member == id("b"))
    );
}
