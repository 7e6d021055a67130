//! A sender that starts while RabbitMQ or PostgreSQL is away keeps trying, says so once, and then works.

use std::time::Duration;

use skein_apns_sim::Faults;
use skein_tests::{
    need,
    relay::Relay,
    services::{PostgreSql, RabbitMq},
};

use crate::{
    fleet::{Fleet, Services},
    load::Load,
    scenario::Scenario,
};

/// How long it is watched while the service stays away: time for many attempts, each of which could log a line.
const AWAY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_away_at_start() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("RabbitMQ away at start", 1, 1);
    let broker = RabbitMq::shared().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    relay.set_refusing(true);
    let services = Services {
        broker_for_sender: Some(relay.address()),
        ..Services::direct(broker, PostgreSql::shared().await.unwrap())
    };
    let mut fleet = Fleet::prepare("no_broker", services, Faults::default()).await;
    fleet.start_sender();
    fleet.tells("broker", "the broker is away").await;
    tokio::time::sleep(AWAY).await;
    let complaints = fleet.sender().complaints();
    assert_eq!(complaints.len(), 1, "one line a change of state, not: {complaints:#?}");

    relay.set_refusing(false);
    fleet.sender_ready().await;
    let load = Load::start(fleet.producer(None), scenario.seed, 500);
    fleet.flowing(300).await;
    scenario.check(fleet, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_away_at_start() {
    need!("rabbitmq", "postgresql");
    let scenario = Scenario::new("PostgreSQL away at start", 1, 1);
    let ledger = PostgreSql::shared().await.unwrap();
    let relay = Relay::start(ledger.server()).await.unwrap();
    relay.set_refusing(true);
    let services = Services {
        ledger_for_sender: Some(relay.address()),
        ..Services::direct(RabbitMq::shared().await.unwrap(), ledger)
    };
    let mut fleet = Fleet::prepare("no_ledger", services, Faults::default()).await;
    fleet.start_sender();
    fleet.tells("ledger", "").await;
    tokio::time::sleep(AWAY).await;
    let complaints = fleet.sender().complaints();
    assert!((1..=2).contains(&complaints.len()), "one line a change of state, not: {complaints:#?}");

    relay.set_refusing(false);
    fleet.sender_ready().await;
    let load = Load::start(fleet.producer(None), scenario.seed, 500);
    fleet.flowing(300).await;
    scenario.check(fleet, load).await;
}
