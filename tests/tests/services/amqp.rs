//! A quorum queue with a single active consumer, published to with confirms and consumed by a lapin client.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};

pub const QUEUE: &str = "lane";
const LIMIT: Duration = Duration::from_secs(60);

pub async fn connect(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default()).await.unwrap()
}

pub async fn declare(channel: &Channel) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
}

/// Publishes each body and waits for its confirm.
pub async fn publish(channel: &Channel, bodies: impl IntoIterator<Item = u32>) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for body in bodies {
        let confirm = channel
            .basic_publish(
                "".into(),
                QUEUE.into(),
                BasicPublishOptions::default(),
                body.to_string().as_bytes(),
                BasicProperties::default().with_delivery_mode(2),
            )
            .await
            .unwrap();
        assert!(confirm.await.unwrap().is_ack());
    }
}

pub async fn consume(channel: &Channel, prefetch: u16) -> Consumer {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await.unwrap()
}

pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.expect("no delivery within 60 s");
    delivery.expect("the consumer has ended").unwrap()
}

/// The next `count` bodies, each with its `redelivered` flag; none is acknowledged.
pub async fn take(consumer: &mut Consumer, count: usize) -> Vec<(u32, bool)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let delivery = next(consumer).await;
        taken.push((String::from_utf8_lossy(&delivery.data).parse().unwrap(), delivery.redelivered));
    }
    taken
}
