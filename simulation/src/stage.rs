//! The stage: the fleet, what it stands on, and the lives of its senders.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use skein_core::fleet::{Incarnation, Member, MemberId, Owner, Policy};
use skein_core::memory::{Keeping, MemoryBroker, MemoryCoordinator, MemoryFleet, MemoryLedger, PausedClock};
use skein_core::seam::{Clock, FleetStore};
use skein_core::{PoolName, QueueName, Timestamp};
use skein_sender::metrics::Metrics;
use uuid::Uuid;

use crate::apns::Apns;
use crate::broker::{LEASE, SimBroker};
use crate::clock::HostClock;
use crate::coordinator::SimCoordinator;
use crate::flaw::Flaw;
use crate::ledger::{Pace, SimLedger};
use crate::links::Links;
use crate::monitor::{self, Watched};
use crate::random::Random;
use crate::script::Script;
use crate::sender::{self, Life, Parts, SimNotebook};
use crate::wire::Whose;
use crate::witness::Witness;

/// How long a session outlives its process.
pub const SESSION: Duration = Duration::from_secs(4);
/// How long the broker waits for a heartbeat.
pub const HEARTBEAT: Duration = Duration::from_millis(2_500);
/// How long a new owner waits whose predecessor may still write.
pub const GRACE: Duration = Duration::from_secs(1);
/// When every simulation begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_780_000_000);

/// What outlives a member's processes.
#[derive(Clone)]
pub struct Host {
    /// Its clock.
    pub clock: HostClock,
    /// The member's state folder.
    pub notebook: SimNotebook,
}

/// The whole.
pub struct Stage {
    /// What was drawn.
    pub script: Script,
    /// The double's flaw.
    pub flaw: Flaw,
    /// The pools.
    pub pools: Vec<PoolName>,
    /// Every queue.
    pub queues: Vec<QueueName>,
    /// Everybody's clock.
    pub clock: PausedClock,
    /// The broker.
    pub broker: MemoryBroker,
    /// The coordinator.
    pub fleet: MemoryFleet,
    /// The ledger.
    pub ledger: MemoryLedger,
    /// How slow it is.
    pub pace: Arc<Pace>,
    /// APNs.
    pub apns: Apns,
    /// Sees all.
    pub witness: Witness,
    /// What the monitors see.
    pub watched: Rc<Watched>,
    /// How long deliveries are on their way at most, in milliseconds.
    pub delay: Arc<AtomicU64>,
    /// The present life of each member, if it has one.
    pub members: RefCell<Vec<Option<Rc<Life>>>>,
    /// The script is over: nothing new goes wrong.
    pub over: Cell<bool>,
    metrics: Arc<Metrics>,
    hosts: RefCell<HashMap<usize, Host>>,
    requeued: Arc<std::sync::Mutex<HashMap<bytes::Bytes, u32>>>,
}

impl Stage {
    /// Builds it, without a sender.
    pub async fn build(script: Script, flaw: Flaw, metrics: Arc<Metrics>, told: bool) -> Rc<Self> {
        let seed = script.seed;
        let pools: Vec<PoolName> =
            ["im", "dev"].into_iter().filter_map(|name| PoolName::parse(name).ok()).collect();
        let counts = || pools.iter().zip(script.queues);
        let clock = PausedClock::starting_at(BEGIN);
        let broker = MemoryBroker::with_leases(counts(), Keeping::by_hand(clock.clone(), LEASE));
        let fleet = MemoryFleet::new();
        let policy = Policy {
            restart_grace: Duration::from_millis(script.restart_grace),
            join_debounce: Duration::from_millis(100),
            broker_debounce: Duration::from_secs(2),
            flap_backoff_first: Duration::from_secs(1),
            flap_backoff_max: Duration::from_secs(4),
            ..Policy::default()
        };
        // The store is there, so nothing of this is refused.
        let _ = fleet.set_policy(&policy).await;
        for (pool, count) in counts() {
            let _ = fleet.seed(pool, count, script.prefetch).await;
        }
        let queues = counts()
            .flat_map(|(pool, count)| (0..count).map(|number| QueueName { pool: pool.clone(), number }))
            .collect();
        let witness = Witness::new(sender::key(), told);
        let watched = Rc::new(Watched {
            broker: broker.clone(),
            lives: RefCell::default(),
            back_at: RefCell::default(),
            events: tokio::sync::Notify::new(),
            witness: witness.clone(),
        });
        for monitor in 0..2 {
            let random = Random::stream(seed, 50 + monitor);
            let watched = Rc::clone(&watched);
            tokio::task::spawn_local(monitor::run(fleet.clone(), watched, clock.clone(), random));
        }
        let apns = Apns::new(clock.clone(), Random::stream(seed, 2), script.mood);
        let members = RefCell::new(vec![None; script.members]);
        Rc::new(Self {
            flaw,
            pools: pools.clone(),
            queues,
            clock,
            broker,
            fleet,
            ledger: MemoryLedger::new(),
            pace: Arc::default(),
            apns,
            witness,
            watched,
            delay: Arc::default(),
            members,
            over: Cell::new(false),
            metrics,
            hosts: RefCell::default(),
            requeued: Arc::default(),
            script,
        })
    }

    /// The present life of a member.
    pub fn life(&self, member: usize) -> Option<Rc<Life>> {
        let members = self.members.borrow();
        members.get(member).cloned().flatten().filter(|life| !life.process.has_ended())
    }

    /// The id of a member.
    pub fn member_id(member: usize) -> Option<MemberId> {
        MemberId::parse(&format!("s{member}")).ok()
    }

    /// The place of the life that owns a queue.
    pub fn owner_of(&self, queue: &QueueName) -> Option<usize> {
        let owner = self.fleet.queue(queue)?.owner?;
        let members = self.members.borrow();
        members.iter().position(|life| life.as_ref().is_some_and(|life| life.owner == owner))
    }

    /// Starts a life of a member. `lock`: it holds the file lock, which proves the earlier lives of the member dead.
    pub fn start(&self, member: usize, lock: bool) {
        self.start_after(member, lock, None);
    }

    /// The host of a member.
    pub fn host(&self, member: usize) -> Host {
        let new = || Host { clock: HostClock::new(self.clock.clone()), notebook: SimNotebook::default() };
        self.hosts.borrow_mut().entry(member).or_insert_with(new).clone()
    }

    /// The same, for a life that takes the place of another's.
    pub fn start_after(&self, member: usize, lock: bool, succeeds: Option<Owner>) {
        let Some(id) = Self::member_id(member) else { return };
        let number = self.watched.lives.borrow().len() as u32;
        let seed = self.script.seed;
        let random = |part: u64| Random::stream(seed, 1_000 + u64::from(number) * 10 + part);
        let incarnation = Incarnation(Uuid::from_u128(u128::from(number) + 1));
        let said = Member { succeeds, ..sender::member(&id, incarnation, &self.pools, lock) };
        let host = self.host(member);
        let earlier = self.watched.lives.borrow();
        let dead = |life: &&Rc<Life>| {
            life.owner.member == id
                && (lock && life.process.has_ended() || self.flaw == Flaw::BelievesAllDead)
        };
        let dead_lives: Vec<Incarnation> =
            earlier.iter().filter(dead).map(|life| life.owner.incarnation).collect();
        drop(earlier);
        let links = Links::new();
        let seat =
            Arc::new(MemoryCoordinator::join_after(self.fleet.clone(), said.clone(), dead_lives.clone()));
        let grace = if self.flaw == Flaw::NoGrace { Duration::ZERO } else { GRACE };
        let options = sender::options(&id, &self.pools, self.script.shards, self.script.held_max, grace);
        self.witness.tell(|| format!("life {number} of {id} starts, lock {lock}"));
        let life = Life::start(Parts {
            number,
            member: said,
            dead_lives,
            options,
            broker: SimBroker {
                inner: self.broker.as_client(&number.to_string()),
                clock: self.clock.clone(),
                life: number,
                links: Arc::clone(&links),
                witness: self.witness.clone(),
                random: random(1),
                delay: Arc::clone(&self.delay),
                flaw: self.flaw,
                requeued: Arc::clone(&self.requeued),
            },
            ledger: SimLedger {
                inner: self.ledger.clone(),
                pace: Arc::clone(&self.pace),
                links: Arc::clone(&links),
                witness: self.witness.clone(),
                random: random(2),
                flaw: self.flaw,
            },
            coordinator: SimCoordinator {
                seat,
                fleet: self.fleet.clone(),
                random: random(3),
                lost_percent: if self.script.orderly { 0 } else { 2 },
                flaw: self.flaw,
                queues: self.queues.clone(),
                told: Default::default(),
            },
            notebook: lock.then_some(host.notebook),
            whose: Whose {
                life: number,
                process: Rc::new(OnceCell::new()),
                links,
                witness: self.witness.clone(),
                apns: self.apns.clone(),
                slots: self.script.queues.map(sender::slots),
                pools: self.pools.clone(),
                flaw: self.flaw,
            },
            clock: host.clock,
            metrics: Arc::clone(&self.metrics),
            random: random(4),
        });
        self.watched.lives.borrow_mut().push(Rc::clone(&life));
        let mut members = self.members.borrow_mut();
        if members.len() <= member {
            members.resize(member + 1, None);
        }
        members[member] = Some(life);
    }

    /// The process of a life is gone: the broker hears of it if it can, the coordinator when the session runs out.
    pub fn bury(self: &Rc<Self>, life: &Rc<Life>) {
        life.links.close(self.clock.boot());
        self.watched.events.notify_waiters();
        life.seat.set_away(true);
        self.expire(Rc::clone(life));
    }

    /// Ends the session of a life if nothing is heard of it until it runs out.
    pub fn expire(self: &Rc<Self>, life: Rc<Life>) {
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SESSION).await;
            let lives = stage.watched.lives.borrow();
            let later = lives
                .iter()
                .any(|other| other.owner.member == life.owner.member && other.number > life.number);
            if life.seat.is_away() && !later {
                stage.witness.tell(|| format!("the session of life {} ends", life.number));
                stage.fleet.expire(&life.owner.member);
            }
        });
    }
}
