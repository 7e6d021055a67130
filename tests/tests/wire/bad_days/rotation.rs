//! Rotations of certificate and key under load, through the whole sender: failed 0, lost 0, nothing in doubt.

use super::crowd::{Kind, TOPIC, config, credential, simulator};
use super::rig::{Pool, Rig, in_doubt};
use serde_json::json;
use skein_apns_sim::SimulatorConfig;
use skein_apns_sim::checker::FinalVerdict;
use skein_core::retry_schedule::RetrySchedule;
use skein_tests::figures;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

const POOL: &str = "rotated";
const TICK: Duration = Duration::from_millis(20);
const PER_TICK: u64 = 100;
const DEVICES: u64 = 5_000;
/// Ticks between rotations: long enough for the new one to take over.
const TICKS_EACH: u64 = 30;

#[test]
fn p1_rotations_of_certificate_and_key_under_load() {
    for kind in [Kind::Certificate, Kind::Token] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(rotations(kind));
    }
}

async fn rotations(kind: Kind) {
    let rotations = if super::is_full() { 20 } else { 3 };
    let simulator = simulator(SimulatorConfig::default());
    let pool = Pool { name: POOL, config: config(&simulator), credential: credential(&simulator, kind) };
    let mut rig = Rig::start(vec![pool], RetrySchedule::default(), (0.1, 10));
    let mut confirmed = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut connections = 0;
    for tick in 0..(rotations + 1) * TICKS_EACH {
        ticks.tick().await;
        confirmed.extend(rig.submit(POOL, (0..PER_TICK).map(|n| (tick * PER_TICK + n) % DEVICES)).await);
        if tick % TICKS_EACH == TICKS_EACH - 1 && tick / TICKS_EACH < rotations {
            let seen = simulator.stats().connections;
            assert!(seen > connections, "{kind:?}: rotation {} brought no connection", tick / TICKS_EACH);
            connections = seen;
            rig.rotate(POOL, credential(&simulator, kind));
        }
    }
    let took = began.elapsed();
    rig.settled(POOL).await;
    let (books, told) = (rig.books(POOL), rig.told());
    let doubts = in_doubt(&told);
    rig.end().await;
    let (log, stats) = (simulator.log(), simulator.stats());
    let report = books.check(&confirmed, &log);
    let row = json!({
        "row": "rotations", "credential": format!("{kind:?}").to_lowercase(), "topic": TOPIC,
        "rotations": rotations, "submitted": confirmed.len(),
        "per_second": confirmed.len() as f64 / took.as_secs_f64(), "lost": report.lost,
        "failed": books.count(FinalVerdict::Failed), "inversions": report.inversions,
        "in_doubt": doubts, "connections": stats.connections,
        "refused": stats.refused.iter().map(|(_, count)| count).sum::<u64>(),
    });
    eprintln!("{row}");
    figures::append("bad-days", &row).unwrap();
    assert!(report.is_clean(), "{kind:?}: P1, P2, P3: {report}");
    assert_eq!(books.count(FinalVerdict::Accepted), confirmed.len(), "{kind:?}: failed 0, lost 0");
    assert!(stats.refused.is_empty(), "{kind:?}: APNs refused {:?}", stats.refused);
    assert_eq!(doubts, 0, "{kind:?}: in doubt");
    assert!(stats.connections > connections, "{kind:?}: the last rotation brought no connection");
}
