//! One life of a sender: the real shards, sessions, lanes and recorder, as one process on the simulation's seams.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_core::fleet::{Health, Incarnation, Load, Member, MemberId, Owner, ServedPool};
use skein_core::memory::MemoryCoordinator;
use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::{Coordinator, Standing};
use skein_core::{FingerprintKey, PoolName, SlotMap, Timestamp};
use skein_sender::last_assignment::{Kept, Notebook, Remembered};
use skein_sender::metrics::Metrics;
use skein_sender::status::Status;
use skein_sender::{Options, PoolOptions, Shard, recorder};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::broker::SimBroker;
use crate::clock::HostClock;
use crate::coordinator::SimCoordinator;
use crate::ledger::SimLedger;
use crate::links::Links;
use crate::process::Process;
use crate::random::Random;
use crate::wire::{Whose, Wire};
use crate::witness::LifeId;

/// The topic of every notification.
pub const TOPIC: &str = "com.example.im";

/// One life, as the world sees it.
pub struct Life {
    /// Its number.
    pub number: LifeId,
    /// Its member and incarnation.
    pub owner: Owner,
    /// What it says of itself.
    pub member: Member,
    /// Its tasks.
    pub process: Process,
    /// Its links.
    pub links: Arc<Links>,
    /// Its session at the coordinator, which outlives it.
    pub seat: Arc<MemoryCoordinator>,
    /// Tells it to end.
    pub stop: Stop,
}

/// What a member owned last, on its host's disk.
#[derive(Debug, Clone, Default)]
pub struct SimNotebook(Arc<Mutex<Vec<Kept>>>);

impl Notebook for SimNotebook {
    fn read(&self) -> Vec<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, kept: &[Kept]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept.to_vec();
    }
}

/// Tells the shards of a life to end, in their order, as `SIGTERM` does.
#[derive(Clone)]
pub struct Stop(Vec<watch::Sender<bool>>);

impl Stop {
    /// Tells them.
    pub fn stop(&self) {
        for shard in &self.0 {
            shard.send_replace(true);
        }
    }
}

/// What a life is made of.
pub struct Parts {
    /// Its number.
    pub number: LifeId,
    /// What it says of itself.
    pub member: Member,
    /// The lives that it believes dead.
    pub dead_lives: Vec<Incarnation>,
    /// Its settings.
    pub options: Options,
    /// Its way to the broker.
    pub broker: SimBroker,
    /// Its way to the ledger.
    pub ledger: SimLedger,
    /// Its seat.
    pub coordinator: SimCoordinator,
    /// What its member owned last on its host; none without a lock.
    pub notebook: Option<SimNotebook>,
    /// Its wires.
    pub whose: Whose,
    /// Its host's clock.
    pub clock: HostClock,
    /// Counters, shared by all lives.
    pub metrics: Arc<Metrics>,
    /// Chance.
    pub random: Random,
}

/// What a member says of itself.
pub fn member(id: &MemberId, incarnation: Incarnation, pools: &[PoolName], holds_lock: bool) -> Member {
    let served = |pool: &PoolName| ServedPool { pool: pool.clone(), apns: Health::Healthy };
    Member {
        id: id.clone(),
        incarnation,
        holds_lock,
        host: id.to_string(),
        zone: None,
        version: String::new(),
        pools: pools.iter().map(served).collect(),
        broker: Health::Healthy,
        ledger: Health::Healthy,
        load: Load::default(),
        report: Default::default(),
        draining: false,
        succeeds: None,
        connection_prefix: format!("{id}:{incarnation}:"),
        since: Timestamp::default(),
    }
}

/// The settings of every sender.
pub fn options(
    member: &MemberId,
    pools: &[PoolName],
    shards: usize,
    held_max: usize,
    grace: Duration,
) -> Options {
    let ms = Duration::from_millis;
    let retry = RetrySchedule {
        service: vec![ms(300), ms(2_000), ms(5_000)],
        transport: vec![ms(0), ms(200), ms(1_000), ms(3_000)],
        throttle: vec![ms(500), ms(2_000)],
        credential: ms(1_000),
        hold_max: Duration::from_secs(120),
        attempts_max: 20,
    };
    let pool = |name: &PoolName| PoolOptions {
        name: name.clone(),
        topics: vec![TOPIC.into()],
        collapse: true,
        windows: None,
    };
    Options {
        member: member.as_str().into(),
        shards,
        held_max: held_max * shards * pools.len(),
        held_bytes_max: 1 << 24,
        retry,
        grace,
        away_hold: Duration::from_secs(10),
        id_memory: Duration::from_secs(600),
        id_memory_max: 1000,
        state_folder: None,
        quarantine_after: 3,
        retry_budget: (0.1, 10),
        backoff: (ms(10), ms(100)),
        record_rows_max: 1000,
        pools: pools.iter().map(pool).collect(),
        fingerprint_key: key(),
        spans: None,
    }
}

/// The key of all fingerprints.
pub fn key() -> FingerprintKey {
    FingerprintKey::derive(b"simulation")
}

impl Life {
    /// Starts it.
    pub fn start(parts: Parts) -> Rc<Self> {
        let Parts {
            number,
            member,
            dead_lives,
            options,
            broker,
            ledger,
            coordinator,
            notebook,
            whose,
            clock,
            metrics,
            random,
        } = parts;
        let stop = Stop((0..options.shards).map(|_| watch::Sender::new(false)).collect());
        let (links, seat) = (Arc::clone(&whose.links), Arc::clone(&coordinator.seat));
        let place: Rc<OnceCell<Process>> = Rc::clone(&whose.process);
        let tasks = LocalSet::new();
        #[expect(clippy::disallowed_methods, reason = "no more facts are under way than there are permits")]
        let (facts, batches) = mpsc::unbounded_channel();
        let options = Arc::new(options);
        let status = Arc::new(Status::default());
        tasks.spawn_local(recorder::run(
            ledger.clone(),
            batches,
            options.record_rows_max,
            Arc::clone(&status),
            Arc::clone(&metrics),
        ));
        tasks.spawn_local(stay_connected(Arc::clone(&links), random));
        let said = Arc::new(coordinator);
        let slots = whose.pools.iter().cloned().zip(whose.slots.clone()).collect();
        let coordinator = Arc::new(Remembered::new(Arc::clone(&said), notebook, slots));
        let replaced = {
            let (mut standing, stop) = (coordinator.standing(), stop.clone());
            async move {
                let _ = standing.wait_for(|standing| matches!(standing, Standing::Replaced(_))).await;
                stop.stop();
            }
        };
        tasks.spawn_local(replaced);
        let dead_lives: Arc<[Incarnation]> = dead_lives.into();
        tasks.spawn_local(said.pass_on());
        let passing = Arc::clone(&coordinator);
        tasks.spawn_local(async move { passing.run().await });
        let (ended, stops) = (Rc::clone(&place), stop.clone());
        tasks.spawn_local(async move {
            let shards: Vec<_> = (0..options.shards)
                .map(|number| Shard {
                    number,
                    options: Arc::clone(&options),
                    broker: broker.clone(),
                    ledger: ledger.clone(),
                    clock: clock.clone(),
                    assignment: coordinator.assignment(),
                    coordinator: Arc::clone(&coordinator),
                    dead_lives: Arc::clone(&dead_lives),
                    facts: facts.clone(),
                    status: Arc::clone(&status),
                    metrics: Arc::clone(&metrics),
                    connect: {
                        let whose = whose.clone();
                        move |pool: &PoolName| Wire::new(whose.clone(), pool)
                    },
                    // Nobody changes its settings.
                    tuned: watch::channel(Arc::clone(&options)).1,
                    stopped: stops.0[number].subscribe(),
                })
                .map(|shard| tokio::task::spawn_local(shard.run()))
                .collect();
            for shard in shards {
                let _ = shard.await;
            }
            coordinator.leave().await;
            if let Some(process) = ended.get() {
                process.kill_after(0);
            }
        });
        let process = Process::start(tasks);
        let _ = place.set(process.clone());
        Rc::new(Self { number, owner: member.owner(), member, process, links, seat, stop })
    }

    /// Whether it can do anything: it has not ended and is not frozen.
    pub fn is_alive(&self) -> bool {
        !self.process.has_ended() && !self.process.is_frozen()
    }
}

/// Connects anew when the broker has closed its connections.
async fn stay_connected(links: Arc<Links>, random: Random) {
    loop {
        links.closed.notified().await;
        loop {
            tokio::time::sleep(random.millis(5, 250)).await;
            if !links.is_broker_cut() {
                links.reopen();
                break;
            }
        }
    }
}

/// Slots, evenly bound.
pub fn slots(queues: u16) -> SlotMap {
    SlotMap::even(queues)
}
