//! A fleet without senders: members, queues and a store that applies checked changes, in steps of virtual time. Each plan is checked
//! before it is carried out.

use std::time::Duration;

use skein_core::fleet::{Cause, Health};
use skein_core::fleet::{
    Change, Incarnation, Load, Member, MemberId, Owner, Policy, QueueAssignment, ServedPool, Wanted, Wish,
    WishId,
};
use skein_core::lease::BootMillis;
use skein_core::plan::{BrokerSeen, Connection, HeldFor, Memory, Observed, Plan, QueueSeen, Seen, plan};
use skein_core::{PoolName, QueueName, Timestamp};
use uuid::Uuid;

use crate::dice::Dice;

/// How long a session outlives its member.
pub const SESSION_MS: u64 = 4_000;
/// No history needs more plans than this between two of its events: more is an endless loop.
const STEPS_MAX: usize = 2_000;

pub enum Timer {
    SessionEnds(Owner),
    Leaves(QueueName, Owner),
}

pub struct World {
    pub dice: Dice,
    pub now: u64,
    pub policy: Policy,
    pub observed: Observed,
    pub memory: Memory,
    pub timers: Vec<(u64, Timer)>,
    /// One in this many writes is lost; 0 is none.
    pub lossy: u64,
    /// Members that were killed or frozen: they leave nothing by themselves.
    pub dead: Vec<Owner>,
    /// What the plan last held back.
    pub held: Vec<HeldFor>,
    /// Moves between members since the last reset: from, cause.
    pub moved: Vec<(MemberId, Cause)>,
    /// Nothing will change by time alone.
    pub at_rest: bool,
    /// Tells every move.
    pub told: bool,
    lives: u128,
    wishes: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            now: 1_000_000,
            policy: Policy::default(),
            observed: Observed::default(),
            memory: Memory::default(),
            timers: Vec::new(),
            lossy: 0,
            dead: Vec::new(),
            held: Vec::new(),
            moved: Vec::new(),
            at_rest: false,
            told: false,
            lives: 0,
            wishes: 0,
        }
    }

    pub fn add_queues(&mut self, pool: &PoolName, count: u16, rate: impl Fn(&mut Dice) -> u32) {
        for number in 0..count {
            let assignment = QueueAssignment::new(QueueName { pool: pool.clone(), number }, 200);
            let per_second = rate(&mut self.dice);
            self.observed.queues.push(QueueSeen { assignment, per_second, depth: 0 });
        }
    }

    pub fn life(&mut self) -> Incarnation {
        self.lives += 1;
        Incarnation(Uuid::from_u128(self.lives))
    }

    pub fn join(&mut self, id: &MemberId, zone: Option<&str>, pools: &[PoolName]) {
        let incarnation = self.life();
        let pools = pools.iter().map(|pool| ServedPool { pool: pool.clone(), apns: Health::Healthy });
        let member = Member {
            id: id.clone(),
            incarnation,
            holds_lock: true,
            host: String::new(),
            zone: zone.map(str::to_owned),
            version: String::new(),
            pools: pools.collect(),
            ledger: Health::Healthy,
            broker: Default::default(),
            report: Default::default(),
            load: Load::default(),
            draining: false,
            succeeds: None,
            connection_prefix: String::new(),
            since: Timestamp::from_millis(0),
        };
        self.observed.members.retain(|seen| seen.member.id != *id);
        self.observed.members.push(Seen { member, connection: Connection::Open });
    }

    pub fn wish(&mut self, wanted: Wanted) {
        self.wishes += 1;
        let (id, at) = (WishId(self.wishes), Timestamp::from_millis(0));
        self.observed.wishes.push(Wish { id, by: String::new(), at, reason: String::new(), wanted });
    }

    /// Its process dies: the broker says so at once, the session ends later.
    pub fn kill(&mut self, id: &MemberId) {
        let now = self.now;
        let Some(seen) = self.observed.members.iter_mut().find(|seen| seen.member.id == *id) else { return };
        seen.connection = Connection::Closed { at: BootMillis(now) };
        let owner = seen.member.owner();
        self.dead.push(owner.clone());
        self.timers.push((now + SESSION_MS, Timer::SessionEnds(owner)));
    }

    /// It freezes: nobody hears of it until its session ends.
    pub fn freeze(&mut self, id: &MemberId) {
        let Some(seen) = self.observed.members.iter().find(|seen| seen.member.id == *id) else { return };
        let owner = seen.member.owner();
        self.dead.push(owner.clone());
        self.timers.push((self.now + SESSION_MS, Timer::SessionEnds(owner)));
    }

    /// A killed or living member starts anew and takes back what it still owns.
    pub fn restart(&mut self, id: &MemberId) {
        let life = self.life();
        let Some(seen) = self.observed.members.iter_mut().find(|seen| seen.member.id == *id) else { return };
        seen.member.incarnation = life;
        seen.member.draining = false;
        seen.connection = Connection::Open;
        let by = seen.member.owner();
        for queue in &mut self.observed.queues {
            let owned = queue.assignment.owner.as_ref().is_some_and(|owner| owner.member == *id);
            if owned && self.dice.below(8) > 0 {
                let reclaim = Change::Reclaim { by: by.clone(), predecessor_dead: true };
                queue.assignment = queue.assignment.apply(&reclaim).unwrap();
                if queue.assignment.successor.is_some() {
                    self.timers
                        .push((self.now + 50, Timer::Leaves(queue.assignment.queue.clone(), by.clone())));
                }
            }
        }
    }

    /// Plans and acts until an instant.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + u64::try_from(time.as_millis()).unwrap();
        for _ in 0..STEPS_MAX {
            self.fire();
            let plan = self.step();
            if !plan.moves.is_empty() {
                continue;
            }
            let timer = self.timers.iter().map(|(at, _)| *at).min();
            let next = timer.into_iter().chain(plan.wake.map(|wake| wake.0)).min().unwrap_or(u64::MAX);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
        }
        panic!("the plan never comes to rest");
    }

    fn fire(&mut self) {
        let mut at = 0;
        while at < self.timers.len() {
            if self.timers[at].0 > self.now {
                at += 1;
                continue;
            }
            match self.timers.swap_remove(at).1 {
                Timer::SessionEnds(owner) => {
                    self.observed.members.retain(|seen| seen.member.owner() != owner)
                }
                Timer::Leaves(queue, by) => self.leave(&queue, &by),
            }
        }
    }

    fn leave(&mut self, queue: &QueueName, by: &Owner) {
        if self.dead.contains(by) {
            return;
        }
        let seen = self.observed.queues.iter_mut().find(|q| q.assignment.queue == *queue).unwrap();
        if seen.assignment.is_owned_by(by) && seen.assignment.successor.is_some() {
            if !seen.assignment.predecessor_gone {
                seen.assignment = seen.assignment.apply(&Change::Settled { by: by.clone() }).unwrap();
            }
            // The successor as its own record has it now: it may be dead, and its session not yet over.
            let members = self.observed.members.iter().map(|seen| &seen.member);
            let heir = members
                .filter(|member| seen.assignment.comes_to(&member.id) && !member.draining)
                .map(Member::owner)
                .next();
            let (by, clean) = (by.clone(), true);
            let change = match heir {
                Some(to) if self.dice.below(4) > 0 => Change::HandOver { by, to, clean },
                _ => Change::Release { by, clean },
            };
            seen.assignment = seen.assignment.apply(&change).unwrap();
        }
    }

    /// One plan, checked and carried out.
    pub fn step(&mut self) -> Plan {
        let memory = std::mem::take(&mut self.memory);
        if self.dice.below(64) == 0 {
            self.plan_shuffled(&memory);
        }
        let (plan, memory) = plan(&self.observed, &self.policy, memory, BootMillis(self.now));
        self.memory = memory;
        self.at_rest = plan.wake.is_none();
        self.held.clear();
        self.held.extend(plan.held.iter().map(|held| held.what));
        for planned in &plan.moves {
            if self.told {
                eprintln!("{} {} {:?}: {}", self.now, planned.queue, planned.cause, planned.why);
            }
            self.check(planned);
            if self.lossy > 0 && self.dice.below(self.lossy) == 0 {
                continue;
            }
            self.write(planned);
        }
        if !plan.answered.is_empty() {
            self.observed.wishes.retain(|wish| plan.answered.iter().all(|answered| answered.wish != wish.id));
        }
        plan
    }

    fn write(&mut self, planned: &skein_core::plan::Move) {
        let found = self.observed.queues.iter_mut().find(|q| q.assignment.queue == planned.queue).unwrap();
        assert_eq!(found.assignment.epoch, planned.epoch);
        let next = found.assignment.apply(&planned.change).unwrap();
        assert!(next.epoch >= found.assignment.epoch, "epochs only grow");
        if next.owner != found.assignment.owner {
            assert_eq!(next.epoch, found.assignment.epoch + 1, "P2: one owner an epoch");
        }
        if let (Change::Ask { .. }, Some(owner)) = (&planned.change, &next.owner) {
            let leaves = Timer::Leaves(next.queue.clone(), owner.clone());
            self.timers.push((self.now + self.dice.below(150), leaves));
        }
        if planned.changes_member() {
            let from = planned.from.as_ref().unwrap().member.clone();
            self.moved.push((from, planned.cause.unwrap()));
        }
        found.assignment = next;
    }

    /// What no plan may ever do.
    fn check(&self, planned: &skein_core::plan::Move) {
        assert!(!planned.why.is_empty());
        let queue = self.observed.queues.iter().find(|q| q.assignment.queue == planned.queue).unwrap();
        let gives = matches!(planned.change, Change::Assign { .. } | Change::Ask { .. });
        assert!(!(gives && queue.assignment.paused), "a paused queue stays: {planned:?}");
        let Some(to) = planned.to() else { return };
        let seen =
            self.observed.members.iter().find(|seen| seen.member.id == *to).expect("to somebody there");
        assert!(seen.member.apns(&planned.queue.pool).is_some(), "P5: pools never cross: {planned:?}");
        assert_eq!(seen.connection, Connection::Open, "to somebody who reaches the broker");
        if let (Change::Assign { .. }, Some(owner)) = (&planned.change, &planned.from) {
            let alive = self.observed.members.iter().find(|seen| seen.member.owner() == *owner);
            let restarting = |at: BootMillis| self.now < at.0 + 500;
            let may_live = alive.is_some_and(|seen| match seen.connection {
                Connection::Open => true,
                Connection::Closed { at } => restarting(at) || self.observed.broker == BrokerSeen::Away,
            });
            assert!(!may_live, "P2: a living owner is asked, never seized from: {planned:?}");
        }
    }

    /// The same in any order of the input.
    fn plan_shuffled(&mut self, memory: &Memory) {
        let mut other = self.observed.clone();
        self.dice.shuffle(&mut other.members);
        self.dice.shuffle(&mut other.queues);
        self.dice.shuffle(&mut other.wishes);
        let now = BootMillis(self.now);
        let one = plan(&self.observed, &self.policy, memory.clone(), now);
        assert_eq!(one, plan(&other, &self.policy, memory.clone(), now), "deterministic, in any order");
    }

    /// The members that are there and reach the broker.
    pub fn present(&self) -> Vec<MemberId> {
        let open =
            |seen: &&Seen| seen.connection == Connection::Open && !self.dead.contains(&seen.member.owner());
        self.observed.members.iter().filter(open).map(|seen| seen.member.id.clone()).collect()
    }
}
