//! Declaring is idempotent, and refuses what would break a promise.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use skein_backends::rabbitmq::Topology;
use skein_core::seam::{Broker as _, BrokerError};
use skein_core::{QueueName, wire};
use skein_tests::need;

use crate::world::{MAX_LENGTH_BYTES, World, link, pool};

fn topology(queues: u16) -> Topology {
    Topology { pool: pool("im"), queues, max_length_bytes: MAX_LENGTH_BYTES }
}

async fn refusal(topology: &Topology, world: &World) -> String {
    match topology.declare(&link(&world.url)).await {
        Err(BrokerError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn twice_is_once_and_another_number_is_refused() {
    need!("rabbitmq");
    let world = World::new("topology").await;
    topology(4).declare(&link(&world.url)).await.unwrap();
    topology(4).declare(&link(&world.url)).await.unwrap();
    for queues in [2, 3, 5, 8] {
        let why = refusal(&topology(queues), &world).await;
        assert!(why.contains("number"), "P3: slots bound twice send twice: {why}");
    }
    let smaller = Topology { max_length_bytes: 1 << 20, ..topology(4) };
    assert!(refusal(&smaller, &world).await.contains("max_length_bytes"));
    topology(4).declare(&link(&world.url)).await.unwrap();
}

/// P1: with a delivery limit, a sender that crashes sends its whole innocent window to the dead letters.
#[tokio::test]
async fn a_delivery_limit_is_refused() {
    need!("rabbitmq");
    let world = World::new("limit").await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(MAX_LENGTH_BYTES as i64));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(2));
    let queue = QueueName { pool: pool("im"), number: 0 };
    let channel = world.channel().await;
    channel.queue_declare(queue.on_broker().into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    assert!(refusal(&topology(1), &world).await.contains("delivery limit"));
    match world.broker().attach(&queue, 10).await {
        Err(BrokerError::Refused(why)) => assert!(why.contains("delivery limit"), "{why}"),
        other => panic!("{:?}", other.err()),
    }
}

/// The published body bound and the broker's frame size have nothing to do with each other: a long body arrives whole.
#[tokio::test]
async fn the_longest_body_arrives_whole() {
    need!("rabbitmq");
    use skein_core::seam::Inbox as _;
    let world = World::new("long").await;
    topology(1).declare(&link(&world.url)).await.unwrap();
    let queue = QueueName { pool: pool("im"), number: 0 };
    let body: Vec<u8> = (0..wire::BODY_BYTES_MAX).map(|n| (n % 251) as u8).collect();
    world.publish(&queue, &body, false).await;
    let mut inbox = world.broker().attach(&queue, 10).await.unwrap();
    assert!(inbox.take(1).await.unwrap()[0].body == body);
}
