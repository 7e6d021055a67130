//! `skein bench apns`: the APNs client alone, in turn with other clients, and one row of medians.
//!
//! | file | what it does |
//! | --- | --- |
//! | `client` | the part under measurement |
//! | `work` | its notifications, in lanes |
//! | `server` | the simulator of a round, or another server |
//! | `history` | what the simulator's log says |
//! | `rival` | other clients |
//! | [`Row`] | what is printed |

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::arguments::Apns;
use crate::median::{hundredths, median, percentile, tenths};
use crate::pipeline::{commit, progress};
use crate::process::Process;
use crate::stop;
use crate::traffic::Traffic;

pub(crate) mod client;
mod history;
mod rival;
mod row;
pub(crate) mod server;
mod work;

use client::Pushed;
use rival::{Measured, Ready, per};
pub use row::{Compared, Row};
use server::Server;

const LIMIT: Duration = Duration::from_secs(600);
const LATENCIES: &str = "latencies";
/// The simulator's stream limit of a connection.
const STREAMS_MAX: f64 = 1000.0;

/// One round of ours.
#[derive(Debug)]
struct Ours {
    connections: u64,
    cpu_us: f64,
    server_cpu_us: Option<f64>,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p99_over_hold_ms: Option<f64>,
    streams_used: Option<f64>,
    rss_mb: Option<f64>,
    inversions: Option<u64>,
    lost: u64,
    in_doubt: u64,
}

/// Runs it.
///
/// # Errors
/// A process fails, a server is away, a signal ends it. Children and files are gone afterwards.
pub fn run(arguments: &Apns) -> Result<Row> {
    stop::on_signals()?;
    let rivals: Vec<(&'static str, Option<Ready>)> =
        arguments.vs.iter().map(|rival| (rival.label(), Ready::find(*rival, arguments))).collect();
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<Measured>> = rivals.iter().map(|_| Vec::new()).collect();
    for round in 1..=arguments.rounds {
        let one = our_round(arguments)?;
        progress(&format!("round {round} of {}: skein {one:?}", arguments.rounds));
        ours.push(one);
        for ((name, ready), measured) in rivals.iter().zip(&mut theirs) {
            let Some(ready) = ready else { continue };
            let folder = tempfile::Builder::new().prefix("skein-bench-").tempdir()?;
            let mut server = Server::start(arguments, folder.path())?;
            let one = ready.measure(arguments, &mut server, folder.path())?;
            server.end()?;
            progress(&format!("round {round} of {}: {name} {one:?}", arguments.rounds));
            measured.push(one);
        }
    }
    Ok(row(arguments, &ours, &rivals, &theirs))
}

fn our_round(arguments: &Apns) -> Result<Ours> {
    let folder = tempfile::Builder::new().prefix("skein-bench-").tempdir()?;
    let mut server = Server::start(arguments, folder.path())?;
    let mut all = vec!["bench-part".to_owned(), "apns-client".to_owned()];
    all.extend(client_arguments(arguments, &server));
    let mut client = Process::start("client", folder.path(), all, &[])?;
    let usage = client.wait(LIMIT, || server.check_alive())?;
    let pushed: Pushed = client.last_line()?;
    let latencies_us = latencies(&fs::read(folder.path().join(LATENCIES))?);
    let server = server.end()?;
    let traffic = Traffic::new(arguments.load.seed);
    let log = server.as_ref().map(|(_, log)| log);
    let seen = log.map(|log| history::seen(log, traffic, pushed.answered, &latencies_us)).transpose()?;
    if let Some(seen) = seen.as_ref().filter(|seen| !seen.report.is_clean()) {
        progress(&seen.report.to_string());
    }
    let mut sorted: Vec<u64> = latencies_us.iter().map(|us| u64::from(*us)).collect();
    sorted.sort_unstable();
    let ms = |share| percentile(&sorted, share).unwrap_or(0) as f64 / 1e3;
    let limit = STREAMS_MAX * pushed.connections.max(1) as f64;
    Ok(Ours {
        connections: pushed.connections,
        cpu_us: per(usage, pushed.answered),
        server_cpu_us: server.map(|(usage, _)| per(usage, pushed.answered)),
        per_second: rate(&pushed),
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
        p99_over_hold_ms: seen.as_ref().map(|seen| seen.p99_over_hold_ms),
        streams_used: seen.as_ref().map(|seen| seen.streams_mean / limit),
        rss_mb: pushed.rss_mb,
        inversions: seen.as_ref().map(|seen| seen.report.inversions),
        lost: (pushed.answered - pushed.accepted).max(seen.as_ref().map_or(0, |seen| seen.report.lost)),
        in_doubt: pushed.in_doubt,
    })
}

/// What every client that takes our arguments is told.
fn client_arguments(arguments: &Apns, server: &Server) -> Vec<String> {
    let load = &arguments.load;
    let numbers = [
        ("--payload-bytes", load.payload_bytes.into()),
        ("--in-flight", load.in_flight.into()),
        ("--connections", load.connections.into()),
        ("--rate", load.rate.into()),
        ("--notifications", load.notifications),
        ("--seed", load.seed),
    ];
    let mut all: Vec<String> =
        numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect();
    all.extend(["--target".to_owned(), server.target().to_owned()]);
    all.extend(["--ca".to_owned(), server.ca().display().to_string()]);
    all.extend(["--latencies".to_owned(), LATENCIES.to_owned()]);
    all
}

fn rate(pushed: &Pushed) -> f64 {
    pushed.measured as f64 * 1e9 / pushed.ended_ns.saturating_sub(pushed.began_ns).max(1) as f64
}

fn latencies(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|us| u32::from_le_bytes(*us)).collect()
}

fn row(
    arguments: &Apns,
    ours: &[Ours],
    rivals: &[(&'static str, Option<Ready>)],
    theirs: &[Vec<Measured>],
) -> Row {
    let of = |value: fn(&Ours) -> Option<f64>| median(ours.iter().filter_map(value));
    let cpu_us = of(|o| Some(o.cpu_us));
    let vs = rivals.iter().zip(theirs).map(|((name, ready), measured)| {
        let compared = ready.as_ref().map(|ready| {
            let theirs_us = median(measured.iter().map(|one| one.cpu_us));
            Compared {
                version: ready.version.clone(),
                cpu_us: theirs_us.map(hundredths),
                per_second: median(measured.iter().map(|one| one.per_second)).map(f64::round),
                ratio: cpu_us.zip(theirs_us).map(|(ours, theirs)| hundredths(ours / theirs)),
            }
        });
        (*name, compared)
    });
    let simulated = arguments.connect.is_none();
    let (load, service) = (&arguments.load, &arguments.service);
    let best = ours.iter().filter_map(|o| o.p99_over_hold_ms).min_by(f64::total_cmp);
    Row {
        bench: "apns",
        payload_bytes: load.payload_bytes,
        in_flight: load.in_flight,
        connections: of(|o| Some(o.connections as f64)).unwrap_or(0.0) as u64,
        delay_ms: simulated.then_some(service.delay_ms),
        rtt_ms: simulated.then_some(service.rtt_ms),
        window: simulated.then_some(service.window),
        rate: load.rate,
        notifications: load.notifications,
        rounds: arguments.rounds,
        cpu_us: cpu_us.map(hundredths),
        server_cpu_us: of(|o| o.server_cpu_us).map(hundredths),
        per_second: of(|o| Some(o.per_second)).map(f64::round),
        p50_ms: of(|o| Some(o.p50_ms)).map(hundredths),
        p99_ms: of(|o| Some(o.p99_ms)).map(hundredths),
        p99_over_hold_ms: best.map(hundredths),
        streams_used: of(|o| o.streams_used).map(|share| (share * 1000.0).round() / 1000.0),
        rss_mb: of(|o| o.rss_mb).map(tenths),
        inversions: ours.iter().map(|o| o.inversions).sum(),
        lost: ours.iter().map(|o| o.lost).sum(),
        in_doubt: ours.iter().map(|o| o.in_doubt).sum(),
        vs: vs.collect(),
        seed: load.seed,
        commit: commit(),
    }
}
