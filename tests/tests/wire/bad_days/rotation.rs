//! Rotations of certificate and key under load, by a change of the file, through the whole sender: failed 0, lost 0, nothing in
//! doubt; one that APNs refuses changes nothing.

use super::crowd::{Kind, TOPIC, config, simulator};
use super::kept::{Kept, good, refused};
use super::rig::{PATIENCE, Pool, Rig, in_doubt};
use serde_json::json;
use skein_apns_sim::checker::FinalVerdict;
use skein_apns_sim::{Reason, SimulatorConfig};
use skein_core::retry_schedule::RetrySchedule;
use skein_tests::figures;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

const POOL: &str = "rotated";
const TICK: Duration = Duration::from_millis(20);
const PER_TICK: u64 = 100;
const DEVICES: u64 = 5_000;
/// Ticks between rotations, at the least.
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
    let rotations: u64 = if super::is_full() { 20 } else { 3 };
    let simulator = simulator(SimulatorConfig::default());
    let key_id = |n: u64| format!("KEY{n:07}");
    let kept = Kept::start(POOL, config(&simulator), &good(&simulator, kind, &key_id(0)));
    let pool = Pool { name: POOL, config: config(&simulator), credential: kept.slot() };
    let mut rig = Rig::start(vec![pool], RetrySchedule::default(), (0.1, 10));
    let mut confirmed = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let (mut tick, mut since) = (0, 0);
    let (mut taken, mut bad) = (0, 0);
    let mut current = kept.in_use().expect("one to begin with");
    loop {
        ticks.tick().await;
        confirmed.extend(rig.submit(POOL, (0..PER_TICK).map(|n| (tick * PER_TICK + n) % DEVICES)).await);
        (tick, since) = (tick + 1, since + 1);
        let settled = kept.count("taken") == taken
            && kept.count("refused") + kept.count("reverted") == bad
            && kept.in_use().as_ref() == Some(&current);
        if since < TICKS_EACH || !settled {
            assert!(
                began.elapsed() < PATIENCE,
                "{kind:?}: a hang after {taken} rotations, {bad} refused ones"
            );
        } else if bad == 0 && taken == rotations / 2 {
            kept.replace(&refused(&simulator, kind, &key_id(taken)));
            (bad, since) = (1, 0);
        } else if taken < rotations {
            current = kept.replace(&good(&simulator, kind, &key_id(taken + 1)));
            (taken, since) = (taken + 1, 0);
        } else {
            break;
        }
    }
    let took = began.elapsed();
    rig.settled(POOL).await;
    let (books, doubts) = (rig.books(POOL), in_doubt(&rig.told()));
    rig.end().await;
    let (log, stats) = (simulator.log(), simulator.stats());
    let report = books.check(&confirmed, &log);
    let row = json!({
        "row": "rotations", "credential": format!("{kind:?}").to_lowercase(), "topic": TOPIC,
        "rotations": rotations, "refused_rotations": bad, "submitted": confirmed.len(),
        "per_second": confirmed.len() as f64 / took.as_secs_f64(), "lost": report.lost,
        "failed": books.count(FinalVerdict::Failed), "inversions": report.inversions,
        "in_doubt": doubts, "connections": stats.connections,
        "refused": stats.refused.iter().map(|(_, count)| count).sum::<u64>(),
    });
    eprintln!("{row}");
    figures::append("bad-days", &row).unwrap();
    assert!(report.is_clean(), "{kind:?}: P1, P2, P3: {report}");
    assert_eq!(books.count(FinalVerdict::Accepted), confirmed.len(), "{kind:?}: failed 0, lost 0");
    assert_eq!(doubts, 0, "{kind:?}: in doubt");
    // A revoked certificate is found out before any push; of a wrong key APNs speaks at the first one, and the old key is put back.
    let (refused, reverted, refusals): (_, _, &[Reason]) = match kind {
        Kind::Certificate => (1, 0, &[]),
        Kind::Token => (0, 1, &[Reason::InvalidProviderToken]),
    };
    let outcomes = ["rotated", "taken", "refused", "reverted"].map(|outcome| kept.count(outcome));
    assert_eq!(outcomes, [rotations + reverted, rotations, refused, reverted], "{kind:?}");
    let seen: Vec<Reason> = stats.refused.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(seen, refusals, "{kind:?}: APNs refused {:?}", stats.refused);
}
