//! P1–P3 over the end and the return of the only broker.

use skein_tests::{
    need,
    services::{PostgreSql, RabbitMq},
};

use crate::{
    fleet::{Fleet, Services},
    load::Load,
    scenario::Scenario,
    site::bad_day,
};

/// P1, P2, P3: killed and stopped in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_broker_loses_nothing_and_keeps_the_order() {
    need!("rabbitmq", "postgresql");
    let mut scenario = Scenario::new("RabbitMQ restarted", 1, 5);
    let mut broker = RabbitMq::start().await.unwrap();
    let services = Services::direct(&broker, PostgreSql::shared().await.unwrap());
    let fleet = Fleet::start("broker", services, bad_day(scenario.seed)).await;
    for queue in fleet.queues() {
        broker.registered(&queue).await.unwrap();
    }
    let load = Load::start(fleet.producer(None), scenario.seed, 1_000);
    for run in 0..scenario.runs {
        fleet.flowing(scenario.random.between(100, 2_000)).await;
        if run % 2 == 0 {
            broker.kill9();
        } else {
            broker.stop().await.unwrap();
        }
        broker.start_again().await.unwrap();
    }
    fleet.flowing(500).await;
    scenario.check(fleet, load).await;
}
