//! `skein bench pipeline`: alternating rounds of the baseline and of us, and one row of medians.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::arguments::{Engine, Pipeline};
use crate::fleet::{Fleet, Load, Setup, check};
use crate::median::{hundredths, median, tenths};
use crate::part::{Consumed, Submitted};
use crate::process::{Process, Usage};
use crate::rabbitmq::Vhost;
use crate::stop;

/// A baseline slower than this, in messages a second, says that the machine is too loaded for the row to mean anything.
pub const BASELINE_PER_SECOND_MIN: f64 = 15_000.0;
const DELIVERIES: &str = "skein_deliveries_total";
const PART_LIMIT: Duration = Duration::from_secs(1800);

/// One row. Rates and times are medians of the rounds, CPU is microseconds a notification of one whole process, memory a peak
/// in 10^6 bytes. Null is what this run cannot know: no baseline of the embedded engine, no log of another server.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the keys are the row's contract, told above")]
pub struct Row {
    pub bench: &'static str,
    pub engine: &'static str,
    pub batch: u32,
    pub notifications: u64,
    pub rounds: u32,
    pub per_second: Option<f64>,
    pub baseline_per_second: Option<f64>,
    pub sender_cpu_us: Option<f64>,
    pub baseline_cpu_us: Option<f64>,
    pub producer_cpu_us: Option<f64>,
    pub server_cpu_us: Option<f64>,
    pub broker_publishes: Option<u64>,
    pub broker_deliveries: Option<u64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub rss_mb: Option<f64>,
    pub lost: u64,
    pub inversions: Option<u64>,
    pub seed: u64,
    pub commit: String,
}

impl Row {
    /// Why the row means nothing, if it does.
    pub fn void(&self) -> Option<String> {
        let baseline = self.baseline_per_second?;
        (baseline < BASELINE_PER_SECOND_MIN).then(|| {
            format!(
                "void: the baseline made {baseline:.0}/s, under {BASELINE_PER_SECOND_MIN:.0}/s; the machine is too loaded"
            )
        })
    }
}

/// One round of ours.
#[derive(Debug)]
struct Ours {
    per_second: f64,
    sender_cpu_us: f64,
    producer_cpu_us: f64,
    server_cpu_us: Option<f64>,
    deliveries: Option<u64>,
    publishes: Option<u64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    rss_mb: Option<f64>,
    lost: u64,
    inversions: Option<u64>,
}

/// One round of the baseline.
#[derive(Debug)]
struct Baseline {
    per_second: f64,
    cpu_us: f64,
}

/// Runs it. `settings` (`key=value`) go to the sender, over its generated configuration.
///
/// # Errors
/// A service is away, a process fails, a signal ends it. Children, virtual hosts and databases are gone afterwards.
pub fn run(arguments: &Pipeline, settings: &[String]) -> Result<Row> {
    stop::on_signals()?;
    let (mut ours, mut baselines) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let name = format!("skein_bench_{}_{round}", std::process::id());
        if arguments.engine == Engine::Cluster {
            let baseline = baseline_round(arguments, &format!("{name}_baseline"))?;
            progress(&format!(
                "round {round} of {}: baseline {:.0}/s",
                arguments.rounds, baseline.per_second
            ));
            baselines.push(baseline);
        }
        let last = round == arguments.rounds;
        let one = our_round(arguments, settings, name, last)?;
        progress(&format!("round {round} of {}: skein {one:?}", arguments.rounds));
        ours.push(one);
    }
    Ok(row(arguments, &ours, &baselines))
}

fn row(arguments: &Pipeline, ours: &[Ours], baselines: &[Baseline]) -> Row {
    let of = |value: fn(&Ours) -> Option<f64>| median(ours.iter().filter_map(value));
    Row {
        bench: "pipeline",
        engine: arguments.engine.label(),
        batch: arguments.batch.unwrap_or(1),
        notifications: arguments.notifications,
        rounds: arguments.rounds,
        per_second: of(|o| Some(o.per_second)).map(f64::round),
        baseline_per_second: median(baselines.iter().map(|b| b.per_second)).map(f64::round),
        sender_cpu_us: of(|o| Some(o.sender_cpu_us)).map(hundredths),
        baseline_cpu_us: median(baselines.iter().map(|b| b.cpu_us)).map(hundredths),
        producer_cpu_us: of(|o| Some(o.producer_cpu_us)).map(hundredths),
        server_cpu_us: of(|o| o.server_cpu_us).map(hundredths),
        broker_publishes: ours.last().and_then(|o| o.publishes),
        broker_deliveries: of(|o| o.deliveries.map(|d| d as f64)).map(|d| d as u64),
        p50_ms: of(|o| o.p50_ms).map(hundredths),
        p99_ms: of(|o| o.p99_ms).map(hundredths),
        rss_mb: of(|o| o.rss_mb).map(tenths),
        lost: ours.iter().map(|o| o.lost).sum(),
        inversions: ours.iter().map(|o| o.inversions).sum(),
        seed: arguments.seed,
        commit: commit(),
    }
}

fn our_round(arguments: &Pipeline, settings: &[String], name: String, last: bool) -> Result<Ours> {
    let setup = Setup {
        engine: arguments.engine,
        services: arguments.services.clone(),
        queues: arguments.queues,
        apns: arguments.apns.clone().zip(arguments.ca.clone()),
        settings: settings.to_vec(),
        name,
    };
    let mut fleet = Fleet::prepare(&setup)?;
    fleet.start_sender()?;
    fleet.ready()?;
    let load = Load {
        notifications: arguments.notifications,
        batch: arguments.batch.unwrap_or(1),
        paced: arguments.paced.unwrap_or(0),
        seed: arguments.seed,
    };
    let warmed = fleet.warm_up(load)?;
    let deliveries_before = fleet.metric(DELIVERIES)?;
    // Read, not reckoned: the broker forgets what a connection published that ends before its next statistics.
    let publishes_before = if last { fleet.broker_publishes()? } else { None };
    let (submitted, producer) = fleet.submit(load)?;
    let ended_ns = fleet.recorded(submitted.confirmed)?;
    let deliveries = match arguments.engine {
        Engine::Embedded => None,
        Engine::Cluster => Some(fleet.metric(DELIVERIES)? - deliveries_before),
    };
    let rss_mb = fleet.peak_rss_mb();
    let sender = fleet.end_sender()?;
    let server = fleet.end_simulator()?;
    let copies = fleet.possible_copies()?;
    let checked = server.is_some().then(|| check(&fleet.list(), &fleet.log(), &copies)).transpose()?;
    let unrecorded = (submitted.confirmed + warmed).saturating_sub(fleet.finals()?);
    let lost = checked.as_ref().map_or(0, |checked| checked.report.lost).max(unrecorded);
    if let Some(checked) = checked.as_ref().filter(|checked| !checked.report.is_clean()) {
        progress(&checked.report.to_string());
    }
    let publishes = if last { fleet.broker_publishes()? } else { None };
    let per = |usage: Usage, count: u64| usage.cpu.as_secs_f64() * 1e6 / count as f64;
    let each = |usage: Usage| per(usage, submitted.confirmed + warmed);
    Ok(Ours {
        per_second: rate(submitted.confirmed, submitted.began_ns, ended_ns),
        sender_cpu_us: each(sender),
        producer_cpu_us: per(producer, submitted.confirmed),
        server_cpu_us: server.map(each),
        deliveries,
        publishes: publishes.map(|count| count.saturating_sub(publishes_before.unwrap_or(0))),
        p50_ms: checked.as_ref().map(|checked| checked.p50_ms),
        p99_ms: checked.as_ref().map(|checked| checked.p99_ms),
        rss_mb,
        lost,
        inversions: checked.as_ref().map(|checked| checked.report.inversions),
    })
}

fn baseline_round(arguments: &Pipeline, name: &str) -> Result<Baseline> {
    let folder = tempfile::Builder::new().prefix("skein-bench-").tempdir()?;
    let vhost = Vhost::create(&arguments.services, name)?;
    let start = |part: &str, name: &str| {
        let numbers = [
            ("--notifications", arguments.notifications),
            ("--queues", arguments.queues.into()),
            ("--seed", arguments.seed),
        ];
        let mut all = vec!["bench-part".to_owned(), part.to_owned()];
        all.extend(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
        Process::start(name, folder.path(), all, &[("SKEIN_BENCH_TARGET", vhost.url())])
    };
    let mut consumer = start("baseline-consume", "consumer")?;
    let _ready: Consumed = consumer.first_line(PART_LIMIT)?;
    let mut publisher = start("baseline-publish", "publisher")?;
    publisher.wait(PART_LIMIT, || Ok(()))?;
    let published: Submitted = publisher.last_line()?;
    let usage = consumer.wait(PART_LIMIT, || Ok(())).context("the baseline's consumer")?;
    let consumed: Consumed = consumer.last_line()?;
    Ok(Baseline {
        per_second: rate(consumed.messages, published.began_ns, consumed.ended_ns),
        cpu_us: usage.cpu.as_secs_f64() * 1e6 / consumed.messages as f64,
    })
}

fn rate(count: u64, began_ns: u64, ended_ns: u64) -> f64 {
    count as f64 * 1e9 / ended_ns.saturating_sub(began_ns).max(1) as f64
}

/// A line for people: on a terminal only.
pub(crate) fn progress(line: &str) {
    if std::io::stderr().is_terminal() || std::env::var_os("SKEIN_BENCH_PROGRESS").is_some() {
        eprintln!("{line}");
    }
}

/// The commit that this program was built from, or `unknown`; see `build.rs`.
pub(crate) fn commit() -> String {
    env!("SKEIN_BUILD_COMMIT").to_owned()
}
