//! One seed from its beginning to its verdict, and a failure made smaller.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use skein_core::DeviceToken;
use skein_core::fact::Fact;
use skein_sender::metrics::Metrics;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::flaw::Flaw;
use crate::random::Random;
use crate::script::Script;
use crate::stage::Stage;
use crate::traffic;
use crate::witness::Broken;

/// How long everything may take to be settled once nothing goes wrong any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);
/// How long the end of all senders may take.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Notifications that the broker accepted.
    pub accepted: usize,
    /// Writes to APNs.
    pub writes: usize,
    /// What APNs received more than once.
    pub copies: usize,
    /// Lives of senders.
    pub lives: usize,
    /// What two equal runs have in common.
    pub digest: u64,
    /// The first promise that was broken.
    pub broken: Option<Broken>,
}

/// A script that breaks a promise.
pub struct Failure {
    /// The script.
    pub script: Script,
    /// The double's flaw.
    pub flaw: Flaw,
    /// What it broke.
    pub broken: Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Script { seed, .. } = self.script;
        writeln!(
            f,
            "seed {seed}, {}: {} broken: {}",
            self.flaw.label(),
            self.broken.promise,
            self.broken.what
        )?;
        writeln!(f, "  {:?}", Script { faults: Vec::new(), ..self.script.clone() })?;
        for (at, fault) in &self.script.faults {
            writeln!(f, "  at {at} ms: {fault:?}")?;
        }
        write!(f, "  replay: SKEIN_SEED={seed} cargo test -p skein-simulation --test seeds -- --nocapture")
    }
}

thread_local! {
    /// How many tasks of this thread have panicked: a runtime keeps that to itself.
    static PANICS: Cell<usize> = const { Cell::new(0) };
    /// Counters, made once a thread: nobody reads them here.
    static METRICS: RefCell<Option<Arc<Metrics>>> = const { RefCell::new(None) };
}

fn metrics() -> Arc<Metrics> {
    METRICS.with_borrow_mut(|metrics| {
        let made = || Arc::new(Metrics::new(prometheus::Registry::new()).unwrap_or_else(|e| panic!("{e}")));
        Arc::clone(metrics.get_or_insert_with(made))
    })
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}

/// Plays a script on the true build, or with a double.
pub fn play(script: Script, flaw: Flaw, told: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let metrics = metrics();
    count_panics();
    let panics = PANICS.get();
    let world = LocalSet::new();
    let mut report = runtime.block_on(world.run_until(act(script, flaw, metrics, told)));
    drop(world);
    if PANICS.get() > panics {
        report.broken = Some(Broken { promise: "bounded", what: "a task panicked".into() });
    }
    report
}

async fn act(script: Script, flaw: Flaw, metrics: Arc<Metrics>, told: bool) -> Report {
    let stage = Stage::build(script.clone(), flaw, metrics, told).await;
    let start = Instant::now();
    let doom = Random::stream(script.seed, 3);
    for token in 0..script.tokens {
        let pool = doom.below(2) as u8;
        if doom.percent(15)
            && let Ok(token) = DeviceToken::from_bytes(&[token as u8, pool])
        {
            stage.apns.doom(token, doom.below(12) as u32);
        }
    }
    for member in 0..script.members {
        stage.start(member, true);
    }
    let producers: Vec<_> = (20..)
        .zip(&stage.pools)
        .map(|(part, pool)| {
            let random = Random::stream(script.seed, part);
            tokio::task::spawn_local(traffic::produce(Rc::clone(&stage), pool.clone(), random))
        })
        .collect();
    for (at, fault) in &script.faults {
        tokio::time::sleep_until(start + Duration::from_millis(*at)).await;
        stage.strike(*fault).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.heal().await;
    for producer in producers {
        let _ = producer.await;
    }
    // What was published before and is late.
    tokio::time::sleep(Duration::from_secs(3)).await;
    settled(&stage).await;
    ended(&stage).await;
    conclude(&stage)
}

/// Waits until every queue is empty.
async fn settled(stage: &Stage) {
    let until = Instant::now() + SETTLED_WITHIN;
    let mut looked = 0_u32;
    while stage.pools.iter().any(|pool| stage.broker.pool_depth(pool).total() > 0) {
        if stage.witness.is_broken() {
            return;
        }
        if Instant::now() > until {
            let depth = |queue| (stage.broker.depth(queue), stage.fleet.queue(queue));
            let left: Vec<_> = stage.queues.iter().map(depth).filter(|(d, _)| d.total() > 0).collect();
            return stage
                .witness
                .broke("bounded", format!("not settled {SETTLED_WITHIN:?} after all healed: {left:?}"));
        }
        looked += 1;
        if looked.is_multiple_of(50) {
            stage.release().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Tells every sender to end, and waits until it has.
async fn ended(stage: &Stage) {
    let lives = stage.watched.lives.borrow().clone();
    for life in &lives {
        life.stop.stop();
    }
    for life in &lives {
        if tokio::time::timeout(ENDED_WITHIN, life.process.ended()).await.is_err()
            && !stage.witness.is_broken()
        {
            stage.witness.broke("bounded", format!("life {} does not end", life.number));
        }
        life.process.kill();
    }
}

fn conclude(stage: &Stage) -> Report {
    let finals: Vec<_> = stage
        .ledger
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            Fact::Final(fact) => Some((fact.key.id, fact.verdict)),
            Fact::Note(_) | Fact::Submitted(_) => None,
        })
        .collect();
    let possible: HashSet<_> =
        stage.pools.iter().flat_map(|pool| stage.ledger.possible_copies(pool)).map(|key| key.id).collect();
    let mut seen = stage.witness.seen();
    let broken = seen.verdict(&finals, &possible, stage.script.orderly);
    Report {
        accepted: seen.accepted(),
        writes: seen.writes(),
        copies: seen.copies(),
        lives: stage.watched.lives.borrow().len(),
        digest: seen.digest(),
        broken,
    }
}

/// Plays seeds on as many threads as there are cores, each seed by `look`; what that says, in the order of the seeds.
pub fn all<T: Send>(seeds: std::ops::Range<u64>, look: impl Fn(u64) -> Option<T> + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut found: Vec<(u64, T)> = std::thread::scope(|scope| {
        let part = |thread| {
            let (seeds, look) = (seeds.clone(), &look);
            scope.spawn(move || {
                let mine = seeds.filter(move |seed| seed % threads == thread);
                mine.filter_map(|seed| Some((seed, look(seed)?))).collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        // A thread that panics has told its seed's panic already.
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    found.sort_by_key(|(seed, _)| *seed);
    found.into_iter().map(|(_, found)| found).collect()
}

/// Plays a seed. What fails is made smaller: faults are left out as long as the same promise breaks.
pub fn seed(seed: u64, flaw: Flaw) -> Result<Report, Box<Failure>> {
    let mut script = Script::draw(seed);
    let report = play(script.clone(), flaw, false);
    let Some(mut broken) = report.broken.clone() else { return Ok(report) };
    let mut at = 0;
    while at < script.faults.len() {
        let mut less = script.clone();
        less.faults.remove(at);
        match play(less.clone(), flaw, false).broken {
            Some(same) if same.promise == broken.promise => (script, broken) = (less, same),
            _ => at += 1,
        }
    }
    Err(Box::new(Failure { script, flaw, broken }))
}
