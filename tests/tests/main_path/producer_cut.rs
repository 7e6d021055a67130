//! P1–P3 when a producer loses its connection, and when the broker blocks it meanwhile.

use skein_tests::{
    need,
    relay::{Relay, Side},
    services::{PostgreSql, RabbitMq},
    until,
};

use crate::{
    fleet::{FLOW_LIMIT, Fleet, Services},
    load::Load,
    scenario::Scenario,
    site::bad_day,
};

const PER_SECOND: u32 = 1_000;

/// P1, P2, P3: what it does not know the outcome of is published again, marked, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_producer_loses_nothing_and_keeps_the_order() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("producer's connection cut", 3, 20);
    let broker = RabbitMq::shared().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let services = Services::direct(broker, PostgreSql::shared().await.unwrap());
    let fleet = Fleet::start("producer_cut", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(Some(relay.address())), scenario.seed, PER_SECOND);
    for _ in 0..scenario.runs {
        confirms(&load, scenario.random.between(100, 1_500)).await;
        relay.cut_all();
    }
    confirms(&load, 500).await;
    scenario.check(fleet, load).await;
}

/// P1, P2, P3: the same while a memory alarm blocks it, half the times half open: then the originals arrive when the alarm is
/// over, after their copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_cut_under_a_memory_alarm_loses_nothing_and_keeps_the_order() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("producer's connection cut under a memory alarm", 3, 20);
    let broker = RabbitMq::start().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let services = Services::direct(&broker, PostgreSql::shared().await.unwrap());
    let fleet = Fleet::start("producer_alarm", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(Some(relay.address())), scenario.seed, PER_SECOND);
    for run in 0..scenario.runs {
        confirms(&load, scenario.random.between(100, 1_500)).await;
        broker.set_memory_alarm(true).await.unwrap();
        let blocked = async || load.trouble().map(drop);
        until("the producer to be blocked", FLOW_LIMIT, blocked).await.unwrap();
        let before = relay.accepted();
        if run % 2 == 0 {
            relay.cut(Side::Client);
        } else {
            relay.cut_all();
        }
        let again = async || (relay.accepted() > before).then_some(());
        until("the producer to connect again", FLOW_LIMIT, again).await.unwrap();
        broker.set_memory_alarm(false).await.unwrap();
    }
    confirms(&load, 500).await;
    scenario.check(fleet, load).await;
}

/// Waits for so many more confirmations.
async fn confirms(load: &Load, more: u64) {
    let from = load.confirmed();
    let flows = async || (load.confirmed() >= from + more).then_some(());
    if until("confirmations", FLOW_LIMIT, flows).await.is_err() {
        panic!("no {more} confirmations in {FLOW_LIMIT:?}; trouble: {:?}", load.trouble());
    }
}
