//! What the design takes for granted about RabbitMQ: ownership of a queue rests on these facts.
//!
//! If one of these fails on a newer broker, the rules of hand-over and failover have to be thought over again.

use std::time::Duration;

use skein_tests::{
    need,
    relay::{Relay, Side},
    services::{RabbitMq, RabbitMqAddress},
    until,
};

use crate::amqp::{connect, consume, declare, publish, take};

const LIMIT: Duration = Duration::from_secs(60);

/// A queue with messages `0..count`, its vhost, and a connection that keeps them.
async fn filled(broker: &RabbitMqAddress, count: u32) -> (String, lapin::Connection) {
    let url = broker.vhost("order").await.unwrap();
    let connection = connect(&url).await;
    let channel = connection.create_channel().await.unwrap();
    declare(&channel).await;
    publish(&channel, 0..count).await;
    (url, connection)
}

/// A consumer's path to the broker that can be cut.
async fn owner(broker: &RabbitMqAddress, url: &str) -> (Relay, lapin::Connection) {
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let through = url.replace(&broker.amqp().to_string(), &relay.address().to_string());
    let connection = connect(&through).await;
    (relay, connection)
}

fn numbered(numbers: impl IntoIterator<Item = u32>, redelivered: bool) -> Vec<(u32, bool)> {
    numbers.into_iter().map(|number| (number, redelivered)).collect()
}

/// P1, P2: an owner's abrupt end gives back what it held, at the front, in order, marked.
#[tokio::test]
async fn an_abrupt_end_returns_the_unacked_to_the_front_in_order() {
    need!("rabbitmq");
    let broker = RabbitMq::shared().await.unwrap();
    let (url, keeper) = filled(broker, 10).await;
    let (relay, connection) = owner(broker, &url).await;
    let channel = connection.create_channel().await.unwrap();
    let mut consumer = consume(&channel, 5).await;
    assert_eq!(take(&mut consumer, 5).await, numbered(0..5, false));

    relay.cut(Side::Server);
    let channel = keeper.create_channel().await.unwrap();
    let mut successor = consume(&channel, 10).await;
    let mut expected = numbered(0..5, true);
    expected.extend(numbered(5..10, false));
    assert_eq!(take(&mut successor, 10).await, expected);
}

/// P2: a second crash keeps the order when the prefetch is the same: hence prefetch belongs to the queue.
#[tokio::test]
async fn two_abrupt_ends_with_one_prefetch_keep_the_order() {
    need!("rabbitmq");
    assert_eq!(third_owner_sees(10, 10).await, numbered(0..10, true));
}

/// P2: and a smaller prefetch in between breaks it, which is why it never shrinks while anything is unacked.
#[tokio::test]
async fn two_abrupt_ends_with_a_shrinking_prefetch_break_the_order() {
    need!("rabbitmq");
    assert_eq!(third_owner_sees(10, 5).await, numbered([5, 6, 7, 8, 9, 0, 1, 2, 3, 4], true));
}

async fn third_owner_sees(first_prefetch: u16, second_prefetch: u16) -> Vec<(u32, bool)> {
    let broker = RabbitMq::shared().await.unwrap();
    let (url, keeper) = filled(broker, 10).await;
    for prefetch in [first_prefetch, second_prefetch] {
        let (relay, connection) = owner(broker, &url).await;
        let channel = connection.create_channel().await.unwrap();
        let mut consumer = consume(&channel, prefetch).await;
        take(&mut consumer, usize::from(prefetch)).await;
        relay.cut(Side::Server);
    }
    let channel = keeper.create_channel().await.unwrap();
    let mut consumer = consume(&channel, 10).await;
    take(&mut consumer, 10).await
}

/// P8: an alarm blocks a connection that publishes; one that only consumes goes on. They are never shared.
#[tokio::test]
async fn a_memory_alarm_blocks_publishers_only() {
    need!("rabbitmq");
    let broker = RabbitMq::start().await.unwrap();
    let (url, publisher) = filled(&broker, 2).await;
    let reader = connect(&url).await;

    broker.set_memory_alarm(true).await.unwrap();
    let channel = publisher.create_channel().await.unwrap();
    let mut publishing = std::pin::pin!(publish(&channel, [2]));
    let blocked = async || {
        tokio::select! {
            () = &mut publishing => panic!("confirmed under an alarm"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        publisher.status().blocked().then_some(())
    };
    until("connection.blocked", LIMIT, blocked).await.unwrap();
    let channel = reader.create_channel().await.unwrap();
    let mut consumer = consume(&channel, 10).await;
    assert_eq!(take(&mut consumer, 2).await, numbered(0..2, false));

    broker.set_memory_alarm(false).await.unwrap();
    publishing.await;
    assert_eq!(take(&mut consumer, 1).await, [(2, false)]);
}
