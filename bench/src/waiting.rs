//! `skein bench waiting`: a full queue, APNs stalled; what the sender holds in memory, and that nothing is lost afterwards.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::arguments::{Engine, Waiting};
use crate::fleet::{Fleet, Load, Setup, check};
use crate::median::tenths;
use crate::pipeline::{commit, progress};
use crate::stop;

/// The stall lasts at least so long.
const STALL_MIN: Duration = Duration::from_secs(15);
/// The sender's memory has come to rest when its peak did not grow for so long.
const REST: Duration = Duration::from_secs(5);
/// The stall lasts at most so long: shorter than what notifications in doubt are retried for.
const STALL_MAX: Duration = Duration::from_secs(60);
/// So many are accepted before the stall.
const ACCEPTED_FIRST: u64 = 1000;
const STEP: Duration = Duration::from_millis(250);

/// One row. Memory is a peak in 10^6 bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `waiting`.
    pub bench: &'static str,
    /// Items of a message.
    pub batch: u32,
    /// How many waited in RabbitMQ.
    pub notifications: u64,
    /// How long APNs stood still.
    pub stalled_seconds: f64,
    /// The sender's peak while APNs stood still.
    pub rss_stalled_mb: Option<f64>,
    /// The sender's peak over its whole life.
    pub rss_mb: Option<f64>,
    /// Verdicts a second once APNs went on.
    pub resumed_per_second: f64,
    /// Confirmed, and nobody knows what became of them.
    pub lost: u64,
    /// Read by APNs again though it may have processed them.
    pub duplicates: u64,
    /// Those of them that the ledger does not call possible copies.
    pub duplicates_unrecorded: u64,
    /// First writes that overtook an earlier one of their token.
    pub inversions: u64,
    /// What tokens and payloads were drawn from.
    pub seed: u64,
    /// The commit that it was built from.
    pub commit: String,
}

/// Runs it. `settings` (`key=value`) go to the sender, over its generated configuration.
///
/// # Errors
/// As [`crate::pipeline::run`].
pub fn run(arguments: &Waiting, settings: &[String]) -> Result<Row> {
    stop::on_signals()?;
    let setup = Setup {
        engine: Engine::Cluster,
        services: arguments.services.clone(),
        queues: arguments.queues,
        apns: None,
        settings: settings.to_vec(),
        name: format!("skein_bench_{}_waiting", std::process::id()),
    };
    let mut fleet = Fleet::prepare(&setup)?;
    // Once up and down: exchanges, queues and tables are there then.
    fleet.start_sender()?;
    fleet.ready()?;
    fleet.end_sender()?;
    let batch = arguments.batch.unwrap_or(1);
    let load = Load { notifications: arguments.notifications, batch, paced: 0, seed: arguments.seed };
    let (submitted, _) = fleet.submit(load)?;
    progress(&format!("{} wait", submitted.confirmed));

    fleet.start_sender()?;
    // In full swing: streams are open on every connection when APNs stands still.
    fleet.accepted(ACCEPTED_FIRST.min(submitted.confirmed / 10))?;
    fleet.stall(true)?;
    let began = Instant::now();
    let rss_stalled_mb = at_rest(&fleet, began)?;
    let stalled_seconds = tenths(began.elapsed().as_secs_f64());
    progress(&format!("stalled for {stalled_seconds} s, peak {rss_stalled_mb:?} MB"));
    let resumed_ns = skein_apns_sim::clock::monotonic_ns();
    fleet.stall(false)?;
    let ended_ns = fleet.recorded(submitted.confirmed)?;
    let rss_mb = fleet.peak_rss_mb();
    fleet.end_sender()?;
    fleet.end_simulator()?.context("no simulator runs")?;
    let checked = check(&fleet.list(), &fleet.log(), &fleet.possible_copies()?)?;
    progress(&checked.report.to_string());
    let unrecorded = submitted.confirmed.saturating_sub(fleet.finals()?);
    let seconds = ended_ns.saturating_sub(resumed_ns) as f64 / 1e9;
    Ok(Row {
        bench: "waiting",
        batch,
        notifications: submitted.confirmed,
        stalled_seconds,
        rss_stalled_mb: rss_stalled_mb.map(tenths),
        rss_mb: rss_mb.map(tenths),
        resumed_per_second: (submitted.confirmed as f64 / seconds).round(),
        lost: checked.report.lost.max(unrecorded),
        duplicates: checked.report.duplicates,
        duplicates_unrecorded: checked.report.duplicates_unrecorded,
        inversions: checked.report.inversions,
        seed: arguments.seed,
        commit: commit(),
    })
}

/// Waits until the sender's memory has come to rest; gives its peak.
fn at_rest(fleet: &Fleet, began: Instant) -> Result<Option<f64>> {
    let mut last = (None, Instant::now());
    loop {
        thread::sleep(STEP);
        stop::check()?;
        let peak = fleet.peak_rss_mb();
        if peak != last.0 {
            last = (peak, Instant::now());
        }
        let rests = last.1.elapsed() > REST && began.elapsed() > STALL_MIN;
        if rests || began.elapsed() > STALL_MAX {
            return Ok(peak);
        }
    }
}
