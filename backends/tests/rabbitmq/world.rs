//! A fresh vhost of the shared broker, a relay in front of it, and raw hands on it.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use skein_backends::rabbitmq::{DEAD_QUEUE, RabbitBroker, RabbitOptions, Topology, declare_shared};
use skein_core::wire::{NOTIFICATION_V1, REPEAT_HEADER};
use skein_core::{PoolName, QueueName};
use skein_producer::{LinkOptions, Producer, ProducerOptions, Wait};
use skein_tests::relay::Relay;
use skein_tests::services::{RabbitMq, RabbitMqAddress};

pub const MAX_LENGTH_BYTES: u64 = 1 << 28;
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct World {
    pub url: String,
    pub relay: Relay,
    pub raw: Connection,
    pub rabbit: RabbitMqAddress,
}

pub fn pool(name: &str) -> PoolName {
    PoolName::parse(name).unwrap()
}

pub fn link(url: &str) -> LinkOptions {
    LinkOptions::new(vec![url.parse().unwrap()], "test")
}

impl World {
    pub async fn new(name: &str) -> Self {
        Self::of(RabbitMq::shared().await.unwrap(), name).await
    }

    pub async fn of(rabbit: &RabbitMqAddress, name: &str) -> Self {
        let url = rabbit.vhost(name).await.unwrap();
        let relay = Relay::start(rabbit.amqp()).await.unwrap();
        let raw = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        declare_shared(&link(&url), MAX_LENGTH_BYTES).await.unwrap();
        Self { url, relay, raw, rabbit: rabbit.clone() }
    }

    pub async fn declare(&self, name: &str, queues: u16) {
        self.declare_of(name, queues, MAX_LENGTH_BYTES).await;
    }

    pub async fn declare_of(&self, name: &str, queues: u16, max_length_bytes: u64) {
        let topology = Topology { pool: pool(name), queues, max_length_bytes };
        topology.declare(&link(&self.url)).await.unwrap();
    }

    /// The address by way of the relay.
    pub fn relayed(&self) -> String {
        self.url.replace(&self.rabbit.amqp().to_string(), &self.relay.address().to_string())
    }

    pub fn broker(&self) -> RabbitBroker {
        self.broker_of(MAX_LENGTH_BYTES)
    }

    pub fn broker_of(&self, max_length_bytes: u64) -> RabbitBroker {
        RabbitBroker::new(RabbitOptions { max_length_bytes, ..RabbitOptions::new(link(&self.relayed())) })
    }

    /// A producer by way of the relay that waits for ever.
    pub async fn producer(&self, pools: &[&str]) -> Producer {
        let pools = pools.iter().map(|name| pool(name)).collect();
        let options =
            ProducerOptions { wait: Wait::Forever, ..ProducerOptions::new(link(&self.relayed()), pools) };
        let producer = Producer::connect(options);
        producer.ready(LIMIT).await.unwrap();
        producer
    }

    pub async fn channel(&self) -> Channel {
        self.raw.create_channel().await.unwrap()
    }

    /// Stores a message in a queue, past every exchange.
    pub async fn publish(&self, queue: &QueueName, body: &[u8], repeat: bool) {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let mut headers = FieldTable::default();
        if repeat {
            headers.insert(REPEAT_HEADER.into(), AMQPValue::Boolean(true));
        }
        let properties = BasicProperties::default()
            .with_type(NOTIFICATION_V1.into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish("".into(), queue.on_broker().into(), options, body, properties);
        let confirmation = sent.await.unwrap().await.unwrap();
        assert!(matches!(confirmation, lapin::Confirmation::Ack(None)), "{confirmation:?}");
        channel.close(200, "done".into()).await.unwrap();
    }

    pub async fn depth(&self, queue: &str) -> u32 {
        self.look(queue).await.message_count()
    }

    pub async fn consumers(&self, queue: &str) -> u32 {
        self.look(queue).await.consumer_count()
    }

    async fn look(&self, queue: &str) -> lapin::Queue {
        let channel = self.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap()
    }

    /// Takes everything that is ready in a queue, acknowledged.
    pub async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let count = self.depth(queue).await;
        let channel = self.channel().await;
        channel.basic_qos(1000, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions { no_ack: false, ..BasicConsumeOptions::default() };
        let mut consumer =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..count {
            let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap().unwrap();
            delivery.acker.ack(lapin::options::BasicAckOptions::default()).await.unwrap();
            taken.push(delivery);
        }
        channel.close(200, "done".into()).await.unwrap();
        taken
    }

    pub async fn dead_letters(&self) -> Vec<Delivery> {
        self.drain(DEAD_QUEUE).await
    }
}

pub fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    headers.inner().get(name).and_then(skein_producer::link::header_text).map(str::to_owned)
}
