//! One random history of a fleet: what happens to it, and what must hold at its end.

use std::time::Duration;

use skein_core::PoolName;
use skein_core::fleet::{Cause, Health, MemberId, Wanted};
use skein_core::lease::BootMillis;
use skein_core::plan::{BrokerSeen, Connection, HeldFor, Memory, Seen};

use crate::world::{SESSION_MS, World};

/// What a history contained.
#[derive(Default, Clone, Copy)]
pub struct Contains {
    pub loss: bool,
    pub join: bool,
    pub flap: bool,
    pub half_gone: bool,
    pub measured_loss: bool,
    pub measured_balance: bool,
}

const MS: fn(u64) -> Duration = Duration::from_millis;

struct History {
    world: World,
    pools: Vec<PoolName>,
    zones: Vec<Option<&'static str>>,
    contains: Contains,
    names: Vec<MemberId>,
    next_name: usize,
    /// Everybody serves everything, and nothing is paused, pinned or cut.
    even: bool,
}

pub fn run(seed: u64, told: bool, names: &[MemberId], pools: &[PoolName]) -> Contains {
    let mut history = History::begin(seed, told, names, pools);
    let events = 1 + history.world.dice.below(3);
    for _ in 0..events {
        history.event();
    }
    history.end();
    history.contains
}

impl History {
    fn begin(seed: u64, told: bool, names: &[MemberId], pools: &[PoolName]) -> Self {
        let mut world = World::new(seed);
        world.told = told;
        let members = 2 + world.dice.below(4) as usize;
        let pools = pools[..1 + world.dice.below(2) as usize].to_vec();
        let zones = if world.dice.below(2) == 0 { vec![None] } else { vec![Some("a"), Some("b")] };
        let alike = world.dice.below(2) == 0;
        for pool in &pools {
            let count = 2 + world.dice.below(7) as u16;
            world.add_queues(pool, count, |dice| if alike { 50 } else { 20 + dice.below(80) as u32 });
        }
        world.lossy = if world.dice.below(4) == 0 { 6 } else { 0 };
        let mut history = Self {
            world,
            pools,
            zones,
            contains: Contains::default(),
            names: names.to_vec(),
            next_name: 0,
            even: true,
        };
        for _ in 0..members {
            history.join();
        }
        history.world.run_for(MS(6_000));
        history
    }

    fn join(&mut self) {
        let name = self.names[self.next_name].clone();
        let zone = self.zones[self.next_name % self.zones.len()];
        self.next_name += 1;
        let few = self.pools.len() > 1 && self.world.dice.below(8) == 0;
        self.even &= !few;
        let pools = if few { &self.pools[..1] } else { &self.pools[..] };
        self.world.join(&name, zone, pools);
    }

    fn somebody(&mut self) -> Option<MemberId> {
        let present = self.world.present();
        self.world.dice.pick(&present).cloned()
    }

    fn queue(&mut self) -> skein_core::QueueName {
        let at = self.world.dice.below(self.world.observed.queues.len() as u64) as usize;
        self.world.observed.queues[at].assignment.queue.clone()
    }

    fn wait(&mut self) {
        let times = [100, 700, 3_000, 7_000, 70_000];
        let time = times[self.world.dice.below(5) as usize];
        self.world.run_for(MS(time));
    }

    fn event(&mut self) {
        match self.world.dice.below(18) {
            0..=3 => self.loss(),
            4..=6 if self.next_name < self.names.len() => {
                self.contains.join = true;
                self.join();
            }
            7..=10 => self.flap(),
            11 => self.restart(),
            12 => self.wish(),
            13 => self.apns(),
            14 => self.broker_restarts(),
            15 => self.succession(),
            16 => self.loads_change(),
            17 => self.world.memory = Memory::default(),
            _ => {}
        }
        self.wait();
    }

    /// One member is lost. From a settled even fleet, its queues move and no others, and not too many.
    fn loss(&mut self) {
        let measured = self.even && self.world.dice.below(3) == 0;
        if measured {
            self.world.run_for(MS(200_000));
        }
        let at_rest = self.world.at_rest && self.world.timers.is_empty();
        let Some(id) = self.somebody() else { return };
        self.contains.loss = true;
        let members = self.world.present().len();
        self.world.moved.clear();
        if self.world.dice.below(3) == 0 {
            self.world.freeze(&id);
        } else {
            self.world.kill(&id);
        }
        let settled = measured && at_rest && self.world.observed.wishes.is_empty() && members > 2;
        if settled {
            self.world.run_for(MS(5_000));
            let moved = &self.world.moved;
            assert!(moved.iter().all(|(from, _)| *from == id), "only the queues of the lost move: {moved:?}");
            if !self.world.held.iter().any(|held| matches!(held, HeldFor::HalfGone | HeldFor::Flapping)) {
                let queues = self.world.observed.queues.len();
                let most = queues / members + 1;
                assert!(moved.len() <= most, "{} moves, {queues} queues, {members} members", moved.len());
                self.contains.measured_loss = true;
            }
        }
    }

    /// One member comes and goes until it is kept out.
    fn flap(&mut self) {
        let Some(id) = self.somebody() else { return };
        self.contains.flap = true;
        self.contains.loss = true;
        let zone =
            self.world.observed.members.iter().find(|seen| seen.member.id == id).unwrap().member.zone.clone();
        let pools: Vec<PoolName> = self.pools.clone();
        for _ in 0..=self.world.policy.flap_losses_max {
            self.world.kill(&id);
            let gone = SESSION_MS + 100 + self.world.dice.below(2_000);
            self.world.run_for(MS(gone));
            self.world.observed.members.retain(|seen| seen.member.id != id);
            self.world.join(&id, zone.as_deref(), &pools);
            self.world.run_for(MS(100));
        }
        let held = &self.world.held;
        let alone = self.world.present().len() < 3;
        let drained = !self.world.observed.wishes.is_empty();
        let succeeded = self.world.observed.members.iter().any(|seen| seen.member.succeeds.is_some());
        assert!(
            alone
                || drained
                || succeeded
                || held.contains(&HeldFor::Flapping)
                || held.contains(&HeldFor::HalfGone),
            "{held:?}"
        );
    }

    /// Restarted in place within the grace: nothing moves.
    fn restart(&mut self) {
        let Some(id) = self.somebody() else { return };
        self.world.moved.clear();
        self.world.kill(&id);
        let down = self.world.dice.below(500);
        self.world.run_for(MS(down));
        self.world.restart(&id);
        self.world.run_for(MS(1));
        let for_it = |(from, cause): &(MemberId, Cause)| *from == id && *cause == Cause::BrokerDead;
        assert!(!self.world.moved.iter().any(for_it), "an in-place restart moves nothing");
    }

    fn wish(&mut self) {
        let queue = self.queue();
        let Some(member) = self.somebody() else { return };
        self.even = false;
        match self.world.dice.below(6) {
            0 => self.world.wish(Wanted::Drain { member }),
            1 => {
                self.world.wish(Wanted::Drain { member: member.clone() });
                self.world.run_for(MS(2_000));
                self.world.wish(Wanted::Undrain { member });
            }
            2 => self.world.wish(Wanted::Pause { queue }),
            3 => {
                self.world.wish(Wanted::Pause { queue: queue.clone() });
                self.world.run_for(MS(2_000));
                self.world.wish(Wanted::Resume { queue });
            }
            4 => self.world.wish(Wanted::Move { queue, to: member }),
            _ => self.world.wish(Wanted::Rebalance),
        }
    }

    /// APNs fails a pool at one member after the other; some are well again.
    fn apns(&mut self) {
        self.even = false;
        for _ in 0..=self.world.dice.below(4) {
            let Some(id) = self.somebody() else { return };
            let health =
                [Health::CutOff, Health::Refused, Health::Healthy][self.world.dice.below(3) as usize];
            let found = self.world.observed.members.iter_mut().find(|seen| seen.member.id == id).unwrap();
            found.member.pools[0].apns = health;
            self.wait();
        }
    }

    /// The broker closes everybody and comes back: nothing moves.
    fn broker_restarts(&mut self) {
        self.world.run_for(MS(8_000));
        let owners = |world: &World| -> Vec<_> {
            world.observed.queues.iter().map(|q| q.assignment.owner.clone()).collect()
        };
        let sick = |seen: &Seen| seen.member.pools.iter().any(|served| served.apns != Health::Healthy);
        let quiet = self.world.timers.is_empty() && !self.world.observed.members.iter().any(sick);
        let before = owners(&self.world);
        let at = BootMillis(self.world.now);
        for seen in &mut self.world.observed.members {
            if seen.connection == Connection::Open {
                seen.connection = Connection::Closed { at };
            }
        }
        let away = self.world.dice.below(2) == 0;
        if away {
            self.world.observed.broker = BrokerSeen::Away;
            self.world.run_for(MS(20_000));
            self.world.observed.broker = BrokerSeen::Back { at: BootMillis(self.world.now) };
        }
        for at in 0..self.world.observed.members.len() {
            let pause = self.world.dice.below(600);
            self.world.run_for(MS(pause));
            if !self.world.dead.contains(&self.world.observed.members[at].member.owner()) {
                self.world.observed.members[at].connection = Connection::Open;
            }
        }
        self.world.run_for(MS(1));
        if quiet && self.world.dead.is_empty() {
            let unowned = before.iter().any(Option::is_none);
            assert!(unowned || before == owners(&self.world), "a restart of the broker moves nothing");
        }
    }

    fn succession(&mut self) {
        let (Some(id), true) = (self.somebody(), self.next_name < self.names.len()) else { return };
        let elder =
            self.world.observed.members.iter().find(|seen| seen.member.id == id).unwrap().member.owner();
        self.contains.join = true;
        self.join();
        self.world.observed.members.last_mut().unwrap().member.succeeds = Some(elder.clone());
        self.world.run_for(MS(2_000));
        let left = |world: &World| world.observed.queues.iter().any(|q| q.assignment.is_owned_by(&elder));
        if self.even && !left(&self.world) {
            self.world.observed.members.retain(|seen| seen.member.owner() != elder);
        }
    }

    fn loads_change(&mut self) {
        for queue in &mut self.world.observed.queues {
            queue.per_second = 20 + self.world.dice.below(80) as u32;
        }
    }

    /// More than half is lost at once: held until an operator releases it.
    fn half_gone(&mut self) {
        self.world.run_for(MS(10_000));
        let mut owners = self.world.present();
        owners.retain(|id| {
            let owns = |q: &skein_core::plan::QueueSeen| {
                q.assignment.owner.as_ref().is_some_and(|o| o.member == *id)
            };
            self.world.observed.queues.iter().any(owns)
        });
        let all = self.world.present().len();
        if owners.len() < 2 || owners.len() * 2 <= all {
            return;
        }
        self.contains.half_gone = true;
        self.contains.loss = true;
        self.world.dice.shuffle(&mut owners);
        owners.truncate(all / 2 + 1);
        self.world.moved.clear();
        for id in &owners {
            self.world.freeze(id);
        }
        self.world.run_for(MS(20_000));
        let moved = &self.world.moved;
        assert!(moved.iter().all(|(_, cause)| *cause != Cause::SessionGone), "held, not {moved:?}");
        assert!(self.world.held.contains(&HeldFor::HalfGone));
    }

    fn end(&mut self) {
        if self.world.dice.below(8) == 0 {
            self.half_gone();
        }
        self.world.run_for(MS(10_000));
        if self.world.held.contains(&HeldFor::HalfGone) {
            self.world.wish(Wanted::ReleaseHold);
        }
        self.world.lossy = 0;
        self.world.run_for(MS(4_000_000));
        let measured = self.even && self.world.dice.below(4) == 0;
        if measured {
            self.world.wish(Wanted::Rebalance);
            self.world.run_for(MS(10_000));
        }
        self.world.moved.clear();
        self.world.run_for(MS(4_000_000));
        assert!(self.world.moved.is_empty(), "no oscillation: {:?}", self.world.moved);
        let again = self.world.step();
        assert!(again.moves.is_empty(), "at rest there is nothing to do: {:?}", again.moves);
        self.everything_is_served();
        if measured {
            self.load_is_even();
        }
    }

    fn everything_is_served(&self) {
        for queue in self.world.observed.queues.iter().filter(|q| !q.assignment.paused) {
            let pool = &queue.assignment.queue.pool;
            let drained = |id: &MemberId| {
                let drain = Wanted::Drain { member: id.clone() };
                self.world.observed.wishes.iter().any(|wish| wish.wanted == drain)
            };
            let members = &self.world.observed.members;
            let able = members.iter().any(|seen| {
                let owner = seen.member.owner();
                let succeeded = members.iter().any(|s| s.member.succeeds.as_ref() == Some(&owner));
                let leaves = succeeded || drained(&owner.member);
                seen.connection == Connection::Open && seen.member.apns(pool).is_some() && !leaves
            });
            let owner = queue.assignment.owner.as_ref();
            let lives = owner
                .is_some_and(|owner| self.world.observed.members.iter().any(|s| s.member.owner() == *owner));
            assert!(!able || lives, "{queue:?} waits although somebody could take it");
        }
    }

    /// Where the queues divide evenly, so does the load.
    fn load_is_even(&mut self) {
        let queues = &self.world.observed.queues;
        let members = self.world.present();
        let alike = queues.iter().all(|q| q.per_second == queues[0].per_second && !q.assignment.paused);
        if !alike || members.is_empty() || !queues.len().is_multiple_of(members.len()) {
            return;
        }
        let share = queues.len() / members.len();
        for id in &members {
            let owned = queues
                .iter()
                .filter(|q| q.assignment.owner.as_ref().is_some_and(|o| o.member == *id))
                .count();
            assert!(
                owned * 100 <= share * 115,
                "{id} owns {owned} of {}, {} members",
                queues.len(),
                members.len()
            );
        }
        self.contains.measured_balance = true;
    }
}
