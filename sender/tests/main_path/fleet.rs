//! One sender's pool on in-memory seams in paused time, and the promises to check at its end.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::fact::Fact;
use skein_core::memory::{MemoryBroker, MemoryLedger, PausedClock, ScriptedTransport, StaticCoordinator};
use skein_core::notification::Draft;
use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::{Clock, Coordinator, OwnedQueue};
use skein_core::{FinalVerdict, FingerprintKey, Notification, NotificationId, PoolName};
use skein_sender::main_path::PoolShard;
use skein_sender::metrics::{Metrics, PoolMetrics};
use skein_sender::session::Session;
use skein_sender::status::Status;
use skein_sender::tenancy::Said;
use skein_sender::work::Work;
use skein_sender::{Options, PoolOptions, recorder};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

pub const QUEUES: u16 = 2;

/// A small generator (xorshift), so that a seed reproduces.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

pub struct Fleet {
    pub pool: PoolName,
    pub broker: MemoryBroker,
    pub ledger: MemoryLedger,
    pub transport: ScriptedTransport,
    pub clock: PausedClock,
    pub shard: Rc<PoolShard<PausedClock>>,
    pub stop: watch::Sender<bool>,
    pub sessions: Vec<tokio::task::JoinHandle<()>>,
}

pub fn options(pool: &PoolName, held_max: usize) -> Options {
    Options {
        member: "sender-1".into(),
        shards: 1,
        held_max,
        held_bytes_max: 1 << 20,
        retry: RetrySchedule::default(),
        grace: Duration::from_secs(1),
        away_hold: Duration::from_secs(10),
        id_memory: Duration::from_secs(600),
        id_memory_max: 1000,
        state_folder: None,
        quarantine_after: 3,
        retry_budget: (0.1, 10),
        backoff: (Duration::from_millis(10), Duration::from_millis(100)),
        record_rows_max: 1000,
        pools: vec![PoolOptions {
            name: pool.clone(),
            topics: vec!["com.example.im".into()],
            collapse: true,
            windows: None,
        }],
        fingerprint_key: FingerprintKey::derive(b"test"),
        spans: None,
    }
}

pub fn start(transport: ScriptedTransport, held_max: usize, prefetch: u16) -> Fleet {
    start_after(transport, held_max, prefetch, true)
}

/// After somebody who is known to write no more, or not.
#[expect(clippy::disallowed_methods, reason = "no more facts are under way than there are permits")]
pub fn start_after(
    transport: ScriptedTransport,
    held_max: usize,
    prefetch: u16,
    predecessor_gone: bool,
) -> Fleet {
    let pool = PoolName::parse("im").unwrap();
    let broker = MemoryBroker::new([(&pool, QUEUES)]);
    let ledger = MemoryLedger::new();
    let clock = PausedClock::starting_at(NotificationId::now().at());
    let options = Arc::new(options(&pool, held_max));
    let status = Arc::new(Status::default());
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let (facts, batches) = mpsc::unbounded_channel();
    tokio::task::spawn_local(recorder::run(
        ledger.clone(),
        batches,
        1000,
        Arc::clone(&status),
        Arc::clone(&metrics),
    ));
    let (reply, durable) = mpsc::unbounded_channel();
    let shard = Rc::new(PoolShard {
        options: Arc::clone(&options),
        pool: options.pools[0].clone(),
        tuned: std::cell::RefCell::new(Rc::new(options.tuned(&options.pools[0]))),
        clock: clock.clone(),
        permits: options.permits(),
        backlog: std::cell::Cell::new(0),
        work: std::cell::RefCell::new(Work::new(&options)),
        wake: tokio::sync::Notify::new(),
        metrics: PoolMetrics::new(&metrics, &pool),
        status,
        recorder: facts,
        reply,
    });
    let (stop, stopped) = watch::channel(false);
    let (keep, never) = watch::channel(false);
    std::mem::forget(keep);
    tokio::task::spawn_local(Rc::clone(&shard).run(transport.clone(), durable, never));
    let coordinator = Arc::new(StaticCoordinator::owns_all([(&pool, QUEUES)], prefetch));
    let owned = coordinator.assignment().borrow().queues.clone();
    let sessions = owned
        .into_iter()
        .map(|owned| {
            let owned = OwnedQueue { predecessor_gone, ..owned };
            let session = Session {
                pool: Rc::clone(&shard),
                broker: broker.clone(),
                ledger: ledger.clone(),
                coordinator: Arc::clone(&coordinator),
                dead_lives: Arc::new([]),
                queue: owned.queue.clone(),
            };
            let wanted = watch::Sender::new(Some(Said { owned, at: clock.boot() }));
            let task = tokio::task::spawn_local(session.run(wanted.subscribe()));
            let mut stopped = stopped.clone();
            tokio::task::spawn_local(async move {
                let _ = stopped.wait_for(|stop| *stop).await;
                wanted.send_replace(None);
            });
            task
        })
        .collect();
    Fleet { pool, broker, ledger, transport, clock, shard, stop, sessions }
}

impl Fleet {
    pub fn notification(&self, token: u8, sequence: u64) -> Notification {
        self.notification_of(&format!("{token:02x}"), sequence)
    }

    pub fn notification_of(&self, token: &str, sequence: u64) -> Notification {
        Draft::new(token, "com.example.im")
            .payload_json(format!("{{\"aps\":{{}},\"skein_seq\":{sequence}}}"))
            .build(self.clock.now())
            .unwrap()
    }

    /// Waits until everything submitted is settled.
    pub async fn settled(&self, seed: u64) {
        for _ in 0..40_000 {
            let depth = self.broker.pool_depth(&self.pool);
            if depth.ready + depth.unsettled == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let work = self.shard.work.borrow();
        panic!(
            "seed {seed}: not settled after an hour: {:?}; {} in lanes, {} in the window, {} permits; {:?}",
            self.broker.pool_depth(&self.pool),
            work.lanes.len(),
            work.window.len(),
            self.shard.permits.free(),
            self.shard.status.view(),
        );
    }

    /// Checks the promises against what was confirmed, in the order it was submitted per token.
    pub fn check(&self, seed: u64, submitted: &[Notification]) {
        let mut verdicts: HashMap<NotificationId, Vec<FinalVerdict>> = HashMap::new();
        for fact in self.ledger.facts() {
            if let Fact::Final(fact) = fact {
                verdicts.entry(fact.key.id).or_default().push(fact.verdict);
            }
        }
        for n in submitted {
            assert_eq!(
                verdicts.get(&n.id).map_or(0, Vec::len),
                1,
                "P1, seed {seed}: {} has not one verdict",
                n.id
            );
        }
        let writes = self.transport.writes();
        let order: HashMap<NotificationId, usize> =
            submitted.iter().enumerate().map(|(i, n)| (n.id, i)).collect();
        let mut last: HashMap<_, usize> = HashMap::new();
        let mut seen = HashSet::new();
        for write in &writes {
            if seen.insert(write.id) {
                let place = order[&write.id];
                if let Some(before) = last.insert(write.token.clone(), place) {
                    assert!(before < place, "P2, seed {seed}: {} overtook an earlier one", write.id);
                }
            }
        }
    }
}

pub fn local<F: Future>(work: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(LocalSet::new().run_until(work))
}
