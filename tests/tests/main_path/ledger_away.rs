//! P1–P3 without PostgreSQL: sending goes on, facts wait in RabbitMQ, and are written when it is back.

use std::{collections::HashSet, time::Duration};

use skein_apns_sim::{Faults, log::Row};
use skein_backends::rabbitmq::FACTS_QUEUE;
use skein_test_site::run::is_full;
use skein_tests::{
    need,
    services::{PostgreSql, RabbitMq},
    until,
};

use crate::{
    fleet::{FLOW_LIMIT, Fleet, Services},
    load::{GROUP_SEQUENCE_MIN, Load},
    scenario::Scenario,
    site::bad_day,
};

const PER_SECOND: u32 = 1_000;

/// P1, P2: notifications keep flowing all the time, and every verdict is in the ledger afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_goes_on_without_the_ledger() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("PostgreSQL away", 1, 1);
    let away = Duration::from_secs(if is_full() { 120 } else { 8 });
    let mut ledger = PostgreSql::start().await.unwrap();
    let services = Services::direct(RabbitMq::shared().await.unwrap(), &ledger);
    let mut fleet = Fleet::start("ledger", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    fleet.flowing(1_000).await;

    ledger.kill9().await.unwrap();
    let outage = tokio::time::Instant::now();
    let client = fleet.client().await;
    let spooled = async || (client.waiting(FACTS_QUEUE).await > 0).then_some(());
    until("facts in skein.facts", FLOW_LIMIT, spooled).await.unwrap();
    fleet.tells("ledger", "").await;
    while outage.elapsed() < away {
        fleet.flowing(500).await;
    }
    ledger.start_again().await.unwrap();
    fleet.flowing(500).await;
    let drained = async || (client.waiting(FACTS_QUEUE).await == 0).then_some(());
    until("skein.facts to be empty", FLOW_LIMIT, drained).await.unwrap();
    fleet.sender_ready().await;
    scenario.check(fleet, load).await;
}

/// P1, P2, P3: a sender that dies meanwhile leaves what nobody can look up: held for a while, then sent as possible copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_killed_without_the_ledger_leaves_possible_copies() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("sender killed, PostgreSQL away", 1, 5);
    let mut ledger = PostgreSql::start().await.unwrap();
    let services = Services::direct(RabbitMq::shared().await.unwrap(), &ledger);
    let mut fleet = Fleet::start("ledger_kill", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    fleet.flowing(1_000).await;
    ledger.kill9().await.unwrap();
    for _ in 0..scenario.runs {
        fleet.flowing(500).await;
        // Whatever was written and is not acked may come again: at most what the broker had handed out.
        fleet.kill_sender().await;
        fleet.at_risk += fleet.site.simulator.log().rows.len() as u64;
        fleet.start_sender();
        fleet.flowing(500).await;
    }
    ledger.start_again().await.unwrap();
    fleet.sender_ready().await;
    scenario.check(fleet, load).await;
}

/// P1, P2, P3: a sender that is told to end meanwhile drains as ever, with its facts in RabbitMQ: what was published by itself
/// is not written twice. Of a batch that was begun, the rest comes back with the whole, and nobody can look up what was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_drains_without_the_ledger() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("sender ended by SIGTERM, PostgreSQL away", 2, 5);
    let mut ledger = PostgreSql::start().await.unwrap();
    let services = Services::direct(RabbitMq::shared().await.unwrap(), &ledger);
    let mut fleet = Fleet::start("ledger_drain", services, Faults::default()).await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    fleet.flowing(1_000).await;
    ledger.kill9().await.unwrap();
    for _ in 0..scenario.runs {
        fleet.flowing(500).await;
        fleet.end_sender().await;
        fleet.start_sender();
    }
    fleet.flowing(500).await;
    ledger.start_again().await.unwrap();
    fleet.sender_ready().await;
    let is_single = |row: &Row| row.sequence().is_some_and(|sequence| sequence < GROUP_SEQUENCE_MIN);
    fleet.at_risk = fleet.site.simulator.log().rows.iter().filter(|row| !is_single(row)).count() as u64;
    let log = scenario.check(fleet, load).await.log;
    let mut seen = HashSet::new();
    let twice = log.rows.iter().filter(|row| is_single(row) && !seen.insert(row.id())).count();
    assert_eq!(twice, 0, "P3: written twice although their owner left in order");
}
