//! The broker's events of connections, by its plugin `rabbitmq_event_exchange`: 3 to 4 ms after a sender's end.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use skein_producer::LinkOptions;
use skein_producer::link::{Link, LinkError, header_text};

/// Where the plugin publishes.
const EXCHANGE: &str = "amq.rabbitmq.event";
const CREATED: &str = "connection.created";
const CLOSED: &str = "connection.closed";
/// Events that wait for a monitor. Of one that is so far behind the oldest are lost: an end that it never hears of is noticed by the session.
const EVENTS_MAX: i32 = 20_000;
/// How long subscribing may take once the connection is open.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// It was opened; else closed.
    pub opened: bool,
    /// The broker's name of it.
    pub broker_name: String,
    /// Its client's.
    pub client_name: String,
}

/// A subscription. Dropped, it ends.
pub(super) struct Events {
    // First: dropped, it resets the socket before the others can say good-bye.
    _link: Link,
    _channel: Channel,
    consumer: Consumer,
}

impl Events {
    /// Subscribes: what happens from the return on is told.
    pub async fn subscribe(options: &LinkOptions, turn: usize) -> Result<Self, LinkError> {
        let link = Link::connect(options, turn).await?;
        let subscribing = tokio::time::timeout(SUBSCRIBE_LIMIT, Self::over(link)).await;
        subscribing.unwrap_or_else(|_| Err(LinkError::Away(format!("no answer in {SUBSCRIBE_LIMIT:?}"))))
    }

    async fn over(link: Link) -> Result<Self, LinkError> {
        let channel = link.connection().create_channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(EVENTS_MAX));
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), options, arguments).await?;
        let name = queue.name().clone();
        for key in [CREATED, CLOSED] {
            let bound = channel.queue_bind(
                name.clone(),
                EXCHANGE.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.map_err(|error| match LinkError::of(&error) {
                LinkError::Refused(why) => LinkError::Refused(format!(
                    "{why}; enable the broker's plugin rabbitmq_event_exchange, and let the monitor's user read {EXCHANGE}"
                )),
                away => away,
            })?;
        }
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        let consumer = channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
        Ok(Self { _link: link, _channel: channel, consumer })
    }

    /// The next event of a connection that its client has named. Cancellation safe.
    pub async fn next(&mut self) -> Result<Event, String> {
        loop {
            let delivery = match self.consumer.next().await {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the subscription ended".to_owned()),
            };
            let Some(headers) = delivery.properties.headers() else { continue };
            let text = |key: &str| headers.inner().get(key).and_then(header_text).map(str::to_owned);
            if let (Some(broker_name), Some(client_name)) = (text("name"), text("user_provided_name")) {
                let opened = delivery.routing_key.as_str() == CREATED;
                return Ok(Event { opened, broker_name, client_name });
            }
        }
    }
}
