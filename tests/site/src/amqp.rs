//! A plain AMQP client beside the fleet: what is in a queue, publishing raw bytes, taking dead letters.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A connection with one channel that confirms.
pub struct Client {
    _connection: Connection,
    channel: Channel,
}

impl Client {
    /// Connects to a vhost's address.
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// How many messages of a queue wait: not those that a consumer holds.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await
            .unwrap()
            .message_count()
    }

    /// Publishes as any client in any language would, and waits for the confirm.
    pub async fn publish(&self, exchange: &str, key: &str, kind: &str, id: Option<&str>, body: &[u8]) {
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_type(kind.into())
            .with_delivery_mode(2);
        if let Some(id) = id {
            properties = properties.with_message_id(id.into());
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm =
            self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
        assert!(confirm.await.unwrap().is_ack());
    }

    /// Takes so many messages of a queue, and acks them.
    pub async fn take(&self, queue: &str, count: usize) -> Vec<Delivery> {
        self.channel.basic_qos(64, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions::default();
        let mut consumer = self
            .channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap();
        let mut taken = Vec::new();
        while taken.len() < count {
            let next = tokio::time::timeout(LIMIT, consumer.next()).await;
            let delivery = next.unwrap_or_else(|_| panic!("{} of {count} messages in {queue}", taken.len()));
            let delivery = delivery.expect("the consumer has ended").unwrap();
            delivery.ack(BasicAckOptions::default()).await.unwrap();
            taken.push(delivery);
        }
        taken
    }
}
