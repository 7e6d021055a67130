//! P1–P3 when a sender dies at any instant, and when it loses the broker.

use skein_tests::{
    need,
    relay::Relay,
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

/// P1, P2, P3: killed in the middle of it, again and again, and started in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_loses_nothing_and_keeps_the_order() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("sender killed", 4, 50);
    let services = Services::direct(RabbitMq::shared().await.unwrap(), PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::start("killed", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    for _ in 0..scenario.runs {
        fleet.flowing(scenario.random.between(100, 1_500)).await;
        fleet.replace_sender().await;
    }
    fleet.sender_ready().await;
    fleet.flowing(500).await;
    let verdict = scenario.check(fleet, load).await;
    assert!(verdict.accepted > 0);
}

/// P1, P2, P3: the connection to the broker is reset under load; what was in flight ends and is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_cut_off_from_the_broker_sends_nothing_twice() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("sender's broker connection cut", 3, 20);
    let broker = RabbitMq::shared().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let services = Services {
        broker_for_sender: Some(relay.address()),
        ..Services::direct(broker, PostgreSql::shared().await.unwrap())
    };
    let fleet = Fleet::start("cut", services, bad_day(scenario.seed)).await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    for _ in 0..scenario.runs {
        fleet.flowing(scenario.random.between(100, 1_500)).await;
        let before = relay.accepted();
        relay.cut_all();
        let again = async || (relay.accepted() > before).then_some(());
        until("the sender to connect again", FLOW_LIMIT, again).await.unwrap();
    }
    fleet.flowing(500).await;
    scenario.check(fleet, load).await;
}
