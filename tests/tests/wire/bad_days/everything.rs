//! P1, P2, P3 under every fault at once: the whole sender against the simulator's `everything`, with both credentials, direct and
//! through a proxy.

use super::crowd::{Kind, config, credential, simulator};
use super::rig::{PATIENCE, Pool, Rig, in_doubt, missing};
use super::tunnel;
use serde_json::json;
use skein_apns::{ClientConfig, Proxy};
use skein_apns_sim::checker::FinalVerdict;
use skein_apns_sim::{SimulatorConfig, faults};
use skein_core::retry_schedule::RetrySchedule;
use skein_sender::credential::slot::Slot;
use skein_tests::figures;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const POOL: &str = "everything";
const DEVICES: u64 = 2_000;
const ROUND: u64 = 1_000;

#[test]
fn p1_p2_p3_one_percent_of_requests_a_connection_every_5000() {
    all_ways(0.01, 5_000);
}

#[test]
fn p1_p2_p3_one_percent_of_requests_a_connection_every_500() {
    all_ways(0.01, 500);
}

#[test]
fn p1_p2_p3_a_fifth_of_requests_a_connection_every_5000() {
    all_ways(0.2, 5_000);
}

#[test]
fn p1_p2_p3_a_fifth_of_requests_a_connection_every_500() {
    all_ways(0.2, 500);
}

fn all_ways(rate: f64, every: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (kind, proxied) in
        [(Kind::Certificate, false), (Kind::Token, true), (Kind::Certificate, true), (Kind::Token, false)]
    {
        runtime.block_on(everything(rate, every, kind, proxied));
        if !super::is_full() && proxied {
            return;
        }
    }
}

async fn everything(rate: f64, every: u64, kind: Kind, proxied: bool) {
    let count = if super::is_full() { 100_000 } else { 5_000 };
    let seed = std::env::var("SKEIN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let faults = skein_apns_sim::Faults { seed, ..faults::everything(rate, every) };
    let simulator = simulator(SimulatorConfig { faults, ..SimulatorConfig::default() });
    let tunnels = tunnel::start().await;
    let config = ClientConfig {
        proxy: proxied.then(|| Proxy::new("127.0.0.1", tunnels.port)),
        streams_max: 250,
        connections_max: 4,
        ping_after: Duration::from_millis(200),
        ping_wait: Duration::from_millis(300),
        request_timeout: Duration::from_millis(1_500),
        ..config(&simulator)
    };
    let pool = Pool { name: POOL, config, credential: Slot::new(Some(credential(&simulator, kind))) };
    let began = Instant::now();
    let mut rig = Rig::start(vec![pool], schedule(), (1.0, 10_000));
    let mut confirmed = Vec::new();
    for round in 0..count / ROUND {
        let devices = (0..ROUND).map(|n| (round * 7 + n * 13) % DEVICES);
        confirmed.extend(rig.submit(POOL, devices).await);
    }
    rig.settled(POOL).await;
    let (books, told) = (rig.books(POOL), rig.told());
    rig.end().await;
    let log = simulator.log();
    let (report, missing) = (books.check(&confirmed, &log), missing(&told, &log));
    let stats = simulator.stats();
    let row = json!({
        "row": "everything", "request_faults": rate, "connection_faults_every": every,
        "credential": format!("{kind:?}").to_lowercase(), "proxy": proxied, "seed": seed,
        "submitted": confirmed.len(), "lost": report.lost, "inversions": report.inversions,
        "accepted": books.count(FinalVerdict::Accepted), "failed": books.count(FinalVerdict::Failed),
        "token_invalid": books.count(FinalVerdict::TokenInvalid),
        "suppressed": books.count(FinalVerdict::Suppressed),
        "requests": stats.requests, "connections": stats.connections,
        "in_doubt": in_doubt(&told), "in_doubt_missing": missing.len(),
        "duplicates": report.duplicates, "duplicates_unrecorded": report.duplicates_unrecorded,
        "stream_limit_violations": stats.stream_limit_violations,
        "seconds": began.elapsed().as_secs_f64(),
    });
    eprintln!("{row}");
    figures::append("bad-days", &row).unwrap();
    assert!(began.elapsed() < PATIENCE, "a hang");
    assert!(missing.is_empty(), "P3: read, not answered and not told in doubt: {missing:#?}");
    assert!(report.is_clean(), "P1, P2, P3: {report}");
    assert_eq!(books.verdicts.len(), confirmed.len(), "the accounting identity");
    assert_eq!(tunnels.opened.load(Ordering::Relaxed) > 0, proxied, "the proxy is used, or not");
}

/// Quick, and patient enough for a fifth of all writes to go wrong.
fn schedule() -> RetrySchedule {
    let ms = Duration::from_millis;
    RetrySchedule {
        service: vec![ms(20); 30],
        transport: vec![ms(0); 60],
        throttle: vec![ms(20); 30],
        credential: ms(100),
        attempts_max: 200,
        ..RetrySchedule::default()
    }
}
