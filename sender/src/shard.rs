//! Shards: sending threads, each with its own single-threaded runtime, and which queue lives where.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::fleet::Incarnation;
use skein_core::lease::BootMillis;
use skein_core::seam::{Assignment, Broker, Clock, Coordinator, Ledger, OwnedQueue, Transport};
use skein_core::{PoolName, QueueName};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::main_path::PoolShard;
use crate::metrics::{Metrics, PoolMetrics};
use crate::options::Options;
use crate::recorder;
use crate::session::Session;
use crate::status::Status;
use crate::tenancy::Said;
use crate::work::Work;

/// How often the gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// What a sender stands on.
pub struct Seams<B, L, K, C> {
    /// The broker.
    pub broker: B,
    /// The ledger.
    pub ledger: L,
    /// Which queues are its own.
    pub coordinator: K,
    /// The clock.
    pub clock: C,
    /// The earlier lives of this member that the kernel vouches are dead ([`crate::member_lock::MemberLock`]).
    pub dead_lives: Vec<Incarnation>,
}

/// Changes the settings of a running sender.
#[derive(Clone)]
pub struct Tuning(Arc<watch::Sender<Arc<Options>>>);

impl Tuning {
    /// Its settings as they are, changed so. What can't change while it runs stays as it is: its name, shards, pools, folder,
    /// times of the lease.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        self.0.send_modify(|options| change(Arc::make_mut(options)));
    }
}

/// A running sender. Dropped, its process is expected to end: nothing is left politely.
pub struct Sender {
    stop: watch::Sender<bool>,
    tuning: Tuning,
    shards: Vec<oneshot::Receiver<()>>,
    recorder: JoinHandle<()>,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
}

impl Sender {
    /// Starts its shards and its recorder on the current runtime. `connect` makes the transport of a pool, on the shard's own
    /// thread.
    ///
    /// # Errors
    /// If a thread can't be started.
    pub fn start<B, L, K, C, T, F>(
        options: Options,
        seams: Seams<B, L, K, C>,
        metrics: Arc<Metrics>,
        connect: F,
    ) -> std::io::Result<Self>
    where
        B: Broker,
        L: Ledger,
        K: Coordinator,
        C: Clock,
        T: Transport,
        F: Fn(&PoolName) -> T + Clone + Send + 'static,
    {
        let options = Arc::new(options);
        options.pools.iter().for_each(|pool| metrics.begin(&pool.name));
        let status = Arc::new(Status::default());
        let (stop, stopped) = watch::channel(false);
        let (tune, tuned) = watch::channel(Arc::clone(&options));
        #[expect(clippy::disallowed_methods, reason = "no more facts are under way than there are permits")]
        let (facts, batches) = mpsc::unbounded_channel();
        let recorder = tokio::spawn(recorder::run(
            seams.ledger.clone(),
            batches,
            options.record_rows_max,
            Arc::clone(&status),
            Arc::clone(&metrics),
        ));
        let coordinator = Arc::new(seams.coordinator);
        let dead_lives: Arc<[Incarnation]> = seams.dead_lives.into();
        let mut shards = Vec::new();
        for number in 0..options.shards.max(1) {
            let shard = Shard {
                number,
                options: Arc::clone(&options),
                broker: seams.broker.clone(),
                ledger: seams.ledger.clone(),
                clock: seams.clock.clone(),
                assignment: coordinator.assignment(),
                coordinator: Arc::clone(&coordinator),
                dead_lives: Arc::clone(&dead_lives),
                facts: facts.clone(),
                status: Arc::clone(&status),
                metrics: Arc::clone(&metrics),
                connect: connect.clone(),
                tuned: tuned.clone(),
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("shard-{number}"));
            let (ended, end) = oneshot::channel();
            let (started, start) = std::sync::mpsc::sync_channel(1);
            thread.spawn(move || {
                // Made here, since it can't leave its thread.
                let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(error))),
                };
                if started.send(Ok(())).is_err() {
                    return;
                }
                // A task of its own: waking the future of `block_on` itself costs a system call each time. It ends only by
                // its own end, since a panic ends the process.
                let _ = runtime.block_on(async { tokio::task::spawn_local(shard.run()).await });
                // Nobody waits once the deadline of a drain has passed.
                let _ = ended.send(());
            })?;
            start.recv().map_err(std::io::Error::other)??;
            shards.push(end);
        }
        Ok(Self { stop, tuning: Tuning(Arc::new(tune)), shards, recorder, status, metrics })
    }

    /// What changes its settings while it runs.
    pub fn tuning(&self) -> Tuning {
        self.tuning.clone()
    }

    /// What the pages say.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Leaves every queue by the one way: starts nothing new, waits for what has begun, records, settles, cuts. `false` if the
    /// deadline came first: then what was begun comes back to the next owner as redelivered, and the process is expected to end at
    /// once; its threads end with it.
    pub async fn drain(self, deadline: Duration) -> bool {
        self.status.draining();
        self.metrics.draining();
        // Fails only if every shard has ended already.
        let _ = self.stop.send(true);
        let all = async {
            for shard in self.shards {
                if shard.await.is_err() {
                    return false;
                }
            }
            self.recorder.await.is_ok()
        };
        tokio::time::timeout(deadline, all).await.unwrap_or(false)
    }
}

/// One sending thread's work: the queues of its number, each pool with its own lanes, and a session for each queue.
pub struct Shard<B, L, K, C, F> {
    /// Which of the sender's shards it is: a queue lives on the shard of its number modulo their count.
    pub number: usize,
    /// The sender's settings.
    pub options: Arc<Options>,
    /// The broker.
    pub broker: B,
    /// The ledger.
    pub ledger: L,
    /// The clock.
    pub clock: C,
    /// Which queues are the sender's.
    pub assignment: watch::Receiver<Assignment>,
    /// Whom its sessions claim and release with.
    pub coordinator: Arc<K>,
    /// The earlier lives of this member that the kernel vouches are dead.
    pub dead_lives: Arc<[Incarnation]>,
    /// Into the recorder.
    pub facts: mpsc::UnboundedSender<recorder::Batch>,
    /// For the pages.
    pub status: Arc<Status>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Makes the transport of a pool.
    pub connect: F,
    /// Its settings, whenever they change.
    pub tuned: watch::Receiver<Arc<Options>>,
    /// True once the sender is to leave every queue and end.
    pub stopped: watch::Receiver<bool>,
}

struct Running {
    wanted: watch::Sender<Option<Said>>,
    task: JoinHandle<()>,
}

impl Running {
    fn want(&self, said: Option<Said>) {
        self.wanted.send_if_modified(|wanted| {
            // What is said of other queues makes this no newer.
            let differs = wanted.as_ref().map(|said| &said.owned) != said.as_ref().map(|said| &said.owned);
            if differs {
                *wanted = said;
            }
            differs
        });
    }
}

impl<B, L, K, C, F, T> Shard<B, L, K, C, F>
where
    B: Broker,
    L: Ledger,
    K: Coordinator,
    C: Clock,
    T: Transport,
    F: Fn(&PoolName) -> T,
{
    /// Runs on a [`LocalRuntime`](tokio::runtime::LocalRuntime) or a [`LocalSet`](tokio::task::LocalSet) until it is stopped
    /// and every queue is left by the one way.
    ///
    /// Cancelled, nothing is left politely: as when the process dies.
    pub async fn run(mut self) {
        let (end_pools, pools_ended) = watch::channel(false);
        let mut pools: BTreeMap<PoolName, Rc<PoolShard<C>>> = BTreeMap::new();
        let mut loops = Vec::new();
        let mut sessions: BTreeMap<QueueName, Running> = BTreeMap::new();
        // Their connections to APNs stand before the first queue comes.
        for pool in &Arc::clone(&self.options).pools {
            self.pool(&pool.name, &mut pools, &mut loops, &pools_ended);
        }
        // What is opened for queues that come; kept until the queue's session has had its use of it.
        let mut ready: BTreeMap<QueueName, JoinSet<()>> = BTreeMap::new();
        let mut heard = self.clock.boot();
        loop {
            let (mut wanted, coming) = self.wanted(heard);
            ready.retain(|queue, _| coming.contains(queue) || wanted.contains_key(queue));
            for queue in coming {
                // It connects to APNs by itself.
                if self.pool(&queue.pool, &mut pools, &mut loops, &pools_ended).is_some() {
                    ready.entry(queue.clone()).or_insert_with(|| {
                        let (broker, mut opening) = (self.broker.clone(), JoinSet::new());
                        opening.spawn_local(async move { broker.prepare(&queue).await });
                        opening
                    });
                }
            }
            sessions.retain(|_, session| !session.task.is_finished());
            for (queue, session) in &sessions {
                session.want(wanted.remove(queue));
            }
            for (queue, said) in wanted {
                let Some(pool) = self.pool(&queue.pool, &mut pools, &mut loops, &pools_ended) else {
                    continue;
                };
                let session = Session {
                    pool,
                    broker: self.broker.clone(),
                    ledger: self.ledger.clone(),
                    coordinator: Arc::clone(&self.coordinator),
                    dead_lives: Arc::clone(&self.dead_lives),
                    queue: queue.clone(),
                };
                let wanted = watch::Sender::new(Some(said));
                let task = tokio::task::spawn_local(session.run(wanted.subscribe()));
                sessions.insert(queue, Running { wanted, task });
            }
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => break,
                Ok(()) = self.assignment.changed() => heard = self.clock.boot(),
                Ok(()) = self.tuned.changed() => {
                    let options = Arc::clone(&self.tuned.borrow_and_update());
                    pools.values().for_each(|pool| pool.tune(&options));
                }
                () = tokio::time::sleep(GAUGES_EVERY) => {
                    self.metrics.away(&self.status.view());
                    show_lanes(self.number, &pools);
                }
            }
        }
        for session in sessions.values() {
            session.want(None);
        }
        for (_, session) in sessions {
            let _ = session.task.await;
        }
        let _ = end_pools.send(true);
        for pool in loops {
            let _ = pool.await;
        }
        // Who stays when its successor is there still answers Prometheus.
        show_lanes(self.number, &pools);
    }

    /// The queues that live on this shard and are to be sent from, as was heard at that time, and those that come to it.
    fn wanted(&mut self, heard: BootMillis) -> (BTreeMap<QueueName, Said>, Vec<QueueName>) {
        let shards = self.options.shards.max(1);
        let assignment = self.assignment.borrow_and_update();
        let lives_here = |queue: &QueueName| usize::from(queue.number) % shards == self.number;
        let owned = assignment.queues.iter().filter(|owned| lives_here(&owned.queue));
        let coming = assignment.coming.iter().filter(|queue| lives_here(queue));
        let said = |owned: &OwnedQueue| Said { owned: owned.clone(), at: heard };
        (owned.map(|owned| (owned.queue.clone(), said(owned))).collect(), coming.cloned().collect())
    }

    fn pool(
        &self,
        name: &PoolName,
        pools: &mut BTreeMap<PoolName, Rc<PoolShard<C>>>,
        loops: &mut Vec<JoinHandle<()>>,
        ended: &watch::Receiver<bool>,
    ) -> Option<Rc<PoolShard<C>>> {
        if let Some(pool) = pools.get(name) {
            return Some(Rc::clone(pool));
        }
        let Some(options) = self.options.pools.iter().find(|p| p.name == *name) else {
            tracing::error!(pool = %name, "a queue of a pool that this sender has no settings for is assigned to it; add the pool to its configuration");
            return None;
        };
        #[expect(clippy::disallowed_methods, reason = "no more facts are under way than there are permits")]
        let (reply, durable) = mpsc::unbounded_channel();
        let pool = Rc::new(PoolShard {
            options: Arc::clone(&self.options),
            pool: options.clone(),
            tuned: std::cell::RefCell::new(Rc::new(self.options.tuned(options))),
            clock: self.clock.clone(),
            permits: self.options.permits(),
            backlog: std::cell::Cell::new(0),
            work: std::cell::RefCell::new(Work::new(&self.options)),
            wake: tokio::sync::Notify::new(),
            metrics: PoolMetrics::new(&self.metrics, name),
            status: Arc::clone(&self.status),
            recorder: self.facts.clone(),
            reply,
        });
        let transport = (self.connect)(name);
        loops.push(tokio::task::spawn_local(Rc::clone(&pool).run(transport, durable, ended.clone())));
        pools.insert(name.clone(), Rc::clone(&pool));
        Some(pool)
    }
}

/// Tells what is in a shard's lanes.
fn show_lanes<C: Clock>(shard: usize, pools: &BTreeMap<PoolName, Rc<PoolShard<C>>>) {
    for pool in pools.values() {
        let items = pool.work.borrow().lanes.len();
        pool.metrics.in_lanes(shard, items, pool.permits.fullness());
    }
}
