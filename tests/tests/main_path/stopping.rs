//! How a sender ends: drained on SIGTERM, at once on the second.

use std::time::Duration;

use skein_apns_sim::{Faults, faults::Stall};
use skein_tests::{
    need,
    services::{PostgreSql, RabbitMq},
};

use crate::{
    fleet::{END_LIMIT, Fleet, Services},
    load::Load,
    scenario::Scenario,
};

async fn fleet(name: &str) -> Fleet {
    let broker = RabbitMq::shared().await.unwrap();
    Fleet::start(name, Services::direct(broker, PostgreSql::shared().await.unwrap()), Faults::default()).await
}

/// P3: a rolling restart: each sender ends with code 0 within its deadline, and nothing is written twice, nor marked as if.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_without_copies() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("sender ended by SIGTERM", 3, 20);
    let mut fleet = fleet("drained").await;
    let load = Load::start(fleet.producer(None), scenario.seed, 1_000);
    for _ in 0..scenario.runs {
        fleet.flowing(scenario.random.between(100, 1_000)).await;
        fleet.end_sender().await;
        fleet.start_sender();
    }
    fleet.sender_ready().await;
    fleet.flowing(300).await;
    let verdict = scenario.check(fleet, load).await;
    assert_eq!((verdict.report.duplicates, verdict.report.retries), (0, 0), "{}", verdict.report);
}

/// P1, P2: what was in flight when it was told to end at once is the successor's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_ends_at_once() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("sender ended by two SIGTERM", 1, 1);
    let mut fleet = fleet("twice").await;
    let load = Load::start(fleet.producer(None), scenario.seed, 500);
    fleet.flowing(300).await;
    // Without answers a drain has something to wait for.
    fleet.site.simulator.set_faults(Faults { stall: Stall::Answers, ..Faults::default() }).unwrap();
    fleet.flowing(100).await;
    let sender = fleet.sender();
    sender.terminate();
    sender.wait_for_line("asked to end", END_LIMIT).await.unwrap();
    assert!(sender.exit_status().is_none(), "it ended although APNs owes it answers");
    sender.terminate();
    let status = sender.wait_exit(Duration::from_secs(15)).await.unwrap();
    assert_eq!(status.code(), Some(1), "ended at once is not done");
    fleet.gone().await;
    fleet.site.simulator.set_faults(Faults::default()).unwrap();
    fleet.count_at_risk().await;
    fleet.start_sender();
    fleet.sender_ready().await;
    fleet.flowing(300).await;
    scenario.check(fleet, load).await;
}
