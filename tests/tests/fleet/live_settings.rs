//! Live settings under load: in force everywhere, and what can't be used changes nothing anywhere.

use serde_json::json;
use skein_apns_sim::Faults;
use skein_backends::zookeeper::{LiveDocument, ZooKeeperLive, ZooKeeperOptions};
use skein_test_site::run::{Run, is_full};
use skein_tests::{need, until};

use crate::{
    operations::{PROCESSES, conclude},
    rig::{REST_LIMIT, Rig, Services},
};

/// Bound of a full run, in seconds.
const IN_FORCE_WITHIN: f64 = 1.0;

/// What is changed in turn, each to a value of its own.
fn change(number: u64) -> String {
    match number % 6 {
        0 => format!("retry.credential={}ms", 1_000 + number),
        1 => format!("monitor.policy.balance_queue_floor={}", 10 + number),
        2 => format!("pools.im.in_flight_max={}", 4_000 + number),
        3 => format!("sender.held_max={}", 20_000 + number),
        4 => format!("pools.im.collapse={}", number % 12 == 4),
        _ => format!("log.level={}", if number % 12 == 5 { "warn" } else { "info" }),
    }
}

/// What is no live setting, or no value of one.
const MALFORMED: [&str; 16] = [
    "log.level=loud",
    "log.levle=debug",
    "retry.credential=2",
    "retry.hold_max=26m",
    "retry.service=[\"1s\", \"x\"]",
    "retry.budget_share=2",
    "sender.held_max=-1",
    "sender.lease=1s",
    "monitor.policy.balance_stop_percent=1000",
    "monitor.policy.flap_backoff_max=1s",
    "pools.other.collapse=true",
    "pools.im.collapse=maybe",
    "pools.im.credential.key_file=AuthKey.p8",
    "pools.im.credential.key_file=/nowhere/AuthKey.p8",
    "pools.im.credential.password=hunter2",
    "engine=embedded",
];

/// P1, P2, P3: rows `live-changes` and `malformed`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_changes_are_in_force_everywhere_and_malformed_ones_nowhere() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("live-changes", 6, 50);
    let services = Services::shared().await;
    let zookeepers: Vec<String> = services.zookeepers.iter().map(ToString::to_string).collect();
    let rig = Rig::start_calm("live_settings", services, run.seed).await;
    rig.site.simulator.set_faults(Faults::default()).unwrap();
    let load = rig.load(run.seed).await;
    let mut seconds = Vec::new();
    for number in 0..run.runs {
        rig.flowing(50).await;
        let (change, reason) = (change(number), format!("change {number}"));
        let said =
            rig.operate(&["config", "live", "set", &change, "--reason", &reason, "--wait", "60s"]).await;
        assert_eq!(said.code, Some(0), "{change}: {said:?}");
        assert_eq!(rig.version_in_force().await, number + 1, "{change}: {said:?}");
        seconds.push(said.last()["seconds"].as_f64().unwrap());
    }
    let floor = rig.view().await.unwrap().policy.balance_queue_floor;
    let last = (0..run.runs).rev().find(|number| number % 6 == 1).unwrap();
    assert_eq!(u64::from(floor), 10 + last, "the plan goes by it");
    let told = async || rig.senders.iter().all(|sender| says(&sender.log(), 1)).then_some(());
    until("a line of the first version", REST_LIMIT, told).await.unwrap();
    let silent = (0..run.runs).rev().find(|number| number % 12 == 5).unwrap() + 1;
    assert!(rig.senders.iter().all(|sender| !says(&sender.log(), silent)), "the log's level is the live one");

    let accepted = malformed(&rig, run.runs, zookeepers).await;
    let before = (run.runs - 1).to_string();
    let back =
        rig.operate(&["config", "live", "rollback", &before, "--reason", "as it was", "--wait", "60s"]).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    rig.version_in_force().await;
    rig.flowing(200).await;
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    let row =
        json!({"runs": run.runs, "seconds": slowest, "malformed": MALFORMED.len() + 4, "accepted": accepted});
    conclude(rig, &run, load, row).await;
    assert_eq!(accepted, 0, "what can't be used is in force nowhere");
    if is_full() {
        assert!(slowest <= IN_FORCE_WITHIN, "in force everywhere after {slowest} s");
    }
}

/// Whether a sender has logged that it goes by this version.
fn says(log: &str, version: u64) -> bool {
    let version = format!("\"version\":{version},");
    log.lines().any(|line| line.contains("the live settings are in force") && line.contains(&version))
}

/// Tries what can't be used, by the command and past it; gives how many were in force anywhere.
async fn malformed(rig: &Rig, version: u64, zookeepers: Vec<String>) -> usize {
    let mut accepted = 0;
    for bad in MALFORMED {
        let said = rig.operate(&["config", "live", "set", bad, "--reason", "a slip"]).await;
        assert_eq!(said.code, Some(2), "{bad}: {said:?}");
        assert!(!format!("{said:?}").contains("hunter2"), "P9: {said:?}");
        accepted += usize::from(rig.version_in_force().await != version);
    }
    let late = format!("{}", version - 1);
    let stale = rig
        .operate(&["config", "live", "set", "log.level=warn", "--expect", &late, "--reason", "late"])
        .await;
    assert_eq!(stale.code, Some(1), "somebody was faster: {stale:?}");
    // Written past the command: each process looks for itself.
    let live = ZooKeeperLive::connect(ZooKeeperOptions::new(zookeepers, format!("/{}", rig.vhost)));
    for (number, (key, text)) in
        [("log.level", "loud"), ("sender.lease", "1s"), ("retry.hold_max", "1ms"), ("no.such", "1")]
            .into_iter()
            .enumerate()
    {
        let settings = [(key.to_owned(), text.to_owned())].into();
        let written =
            live.write(version + number as u64, &LiveDocument { settings, ..LiveDocument::default() }).await;
        let bad = written.unwrap();
        let refused = async || {
            let said = live.in_force().await.ok()?;
            let all =
                said.iter().all(|one| one.refused.as_ref().is_some_and(|refused| refused.version == bad));
            (said.len() == PROCESSES && all).then_some(said)
        };
        let said = until("everybody to refuse it", REST_LIMIT, refused).await.unwrap();
        accepted += usize::from(said.iter().any(|one| one.version != version));
        let why = &said[0].refused.as_ref().unwrap().why;
        assert!(why.contains(key), "{key}: {why}");
    }
    accepted
}
