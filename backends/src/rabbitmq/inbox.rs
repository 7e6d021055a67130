//! One attachment to one queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicAckOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Consumer};
use skein_core::lease::Lease;
use skein_core::seam::{BrokerError, DeadLetter, Delivery, Inbox};
use skein_core::wire::{BATCH_V1, CONTENT_TYPE, FRONT_DOOR_APP_ID, NOTIFICATION_V1, REPEAT_HEADER};
use skein_producer::LinkOptions;
use skein_producer::link::Link;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::acks::{Ack, Acks};
use super::driver_error;
use super::publisher::Publisher;
use super::topology::DEAD_QUEUE;

/// How long leaving waits for the broker to have read the settlements; then the socket goes anyway.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long the broker gets to commit the settlements that it has read.
const LEAVE_PAUSE: Duration = Duration::from_millis(50);
/// So many commands may be under way to a quorum queue without its channel keeping any back: half of the broker's own bound of 32,
/// since grants of credit are commands too.
const UNDER_WAY_MAX: usize = 16;

/// An attachment. Dropping it resets its socket: nothing polite is said.
pub struct RabbitInbox {
    // First: its drop kills the socket before channel and consumer can say good-bye on it.
    link: Link,
    channel: Channel,
    consumer: Consumer,
    prefetch: u16,
    /// What arrived while nobody took.
    early: VecDeque<Delivery>,
    acks: Acks,
    due: Vec<Ack>,
    /// When the last acknowledgements were sent, the oldest first.
    sent: VecDeque<Instant>,
    lease: Arc<Lease>,
    keeping: JoinHandle<()>,
    gone: Option<BrokerError>,
    kinds: [Arc<str>; 2],
    graves: LinkOptions,
    graveyard: Option<Publisher>,
}

impl RabbitInbox {
    pub(super) fn new(
        link: Link,
        channel: Channel,
        consumer: Consumer,
        prefetch: u16,
        lease: Arc<Lease>,
        keeping: JoinHandle<()>,
        graves: LinkOptions,
    ) -> Self {
        let (early, acks, due, sent) = (VecDeque::new(), Acks::default(), Vec::new(), VecDeque::new());
        let (gone, graveyard) = (None, None);
        let kinds = [NOTIFICATION_V1.into(), BATCH_V1.into()];
        Self {
            link,
            channel,
            consumer,
            prefetch,
            early,
            acks,
            due,
            sent,
            lease,
            keeping,
            gone,
            kinds,
            graves,
            graveyard,
        }
    }

    fn ended(&mut self, error: BrokerError) -> BrokerError {
        self.lease.end();
        self.link.cutter().cut();
        self.gone.get_or_insert(error).clone()
    }

    fn receive(
        &mut self,
        next: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> Result<Delivery, BrokerError> {
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(self.ended(driver_error(error))),
            None => return Err(self.ended(BrokerError::Away("the broker ended the consumer".into()))),
        };
        self.acks.delivered(message.delivery_tag);
        let headers = message.properties.headers().as_ref();
        let header = |name: &str| headers.and_then(|h| h.inner().get(name));
        let kind = message.properties.kind().as_ref().map_or("", |k| k.as_str());
        let known = self.kinds.iter().find(|known| ***known == *kind);
        Ok(Delivery {
            tag: message.delivery_tag,
            kind: known.cloned().unwrap_or_else(|| kind.into()),
            redelivered: message.redelivered,
            returns: header("x-delivery-count").map_or(0, count),
            repeat: header(REPEAT_HEADER).is_some_and(is_true),
            from_front_door: message
                .properties
                .app_id()
                .as_ref()
                .is_some_and(|app| app.as_str() == FRONT_DOOR_APP_ID),
            body: Bytes::from(message.data),
        })
    }

    /// Stores a message durably in the queue of dead letters.
    pub(super) async fn bury_as(
        &mut self,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), BrokerError> {
        if self.graveyard.as_ref().is_none_or(|p| !p.is_open()) {
            self.graveyard = Some(Publisher::open(&self.graves, "dead letters").await?);
        }
        let Some(publisher) = &self.graveyard else { return Err(BrokerError::Away("not connected".into())) };
        let stored = publisher.publish(DEAD_QUEUE, properties, &[body]).await;
        if stored.is_err() {
            self.graveyard = None;
        }
        stored
    }
}

/// The headers of a dead letter; its body is as it came.
pub(super) fn dead_letter_properties(
    kind: &str,
    id: Option<String>,
    headers: &[(&str, &str)],
) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    let properties = BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_type(kind.into())
        .with_delivery_mode(2)
        .with_headers(table);
    match id {
        Some(id) => properties.with_message_id(id.into()),
        None => properties,
    }
}

impl Inbox for RabbitInbox {
    async fn take(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        if let Some(gone) = &self.gone {
            return Err(gone.clone());
        }
        let mut taken: Vec<Delivery> = self.early.drain(..most.max(1).min(self.early.len())).collect();
        if taken.is_empty() {
            let first = self.consumer.next().await;
            taken.push(self.receive(first)?);
        }
        while taken.len() < most {
            let Some(next) = self.consumer.next().now_or_never() else { break };
            taken.push(self.receive(next)?);
        }
        Ok(taken)
    }

    async fn cut(&mut self) -> BrokerError {
        loop {
            if let Some(gone) = &self.gone {
                return gone.clone();
            }
            // The driver tells of the end behind the deliveries that came before it: at most the prefetch of them.
            let next = self.consumer.next().await;
            if let Ok(delivery) = self.receive(next) {
                self.early.push_back(delivery);
            }
        }
    }

    async fn settle(&mut self, tags: &mut Vec<u64>) -> Result<(), BrokerError> {
        if let Some(gone) = &self.gone {
            tags.clear();
            return Err(gone.clone());
        }
        self.acks.settle(tags, &mut self.due);
        let now = Instant::now();
        for ack in self.due.drain(..) {
            if self.sent.len() > UNDER_WAY_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back(now);
            let (tag, multiple) = match ack {
                Ack::One(tag) => (tag, false),
                Ack::UpTo(tag) => (tag, true),
            };
            // The first poll hands the frame over; that it was written is not waited for, a cut is noticed by `take`.
            let sending = std::pin::pin!(self.channel.basic_ack(tag, BasicAckOptions { multiple }));
            if let Poll::Ready(Err(error)) = sending.poll(&mut Context::from_waker(Waker::noop())) {
                let error = driver_error(error);
                self.lease.end();
                self.link.cutter().cut();
                return Err(self.gone.get_or_insert(error).clone());
            }
        }
        Ok(())
    }

    async fn bury(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        let (queue, id) = (letter.queue.to_string(), letter.id.map(|id| id.to_string()));
        let mut headers = vec![
            ("x-skein-reason", letter.reason),
            ("x-skein-detail", letter.detail.as_str()),
            ("x-skein-queue", queue.as_str()),
            ("x-skein-type", &*letter.kind),
        ];
        headers.extend(id.as_deref().map(|id| ("x-skein-id", id)));
        let properties = dead_letter_properties(&letter.kind, id.clone(), &headers);
        self.bury_as(properties, &letter.body).await
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    async fn leave(self) {
        if self.gone.is_none() {
            // Behind the last acknowledgement on the same channel: answered, all of them have been read.
            let asked = self.channel.basic_qos(self.prefetch, BasicQosOptions::default());
            let _ = tokio::time::timeout(LEAVE_LIMIT, asked).await;
            // Read is not applied: beyond 32 commands under way to a quorum queue, the channel keeps further ones until those
            // are committed, and loses them with its connection (`quorum_commands_soft_limit`). Nothing tells when; with fewer
            // it keeps none.
            if let Some(sent) = self.sent.front().filter(|_| self.sent.len() > UNDER_WAY_MAX) {
                tokio::time::sleep_until(*sent + LEAVE_PAUSE).await;
            }
        }
    }
}

impl Drop for RabbitInbox {
    fn drop(&mut self) {
        self.lease.end();
        self.link.cutter().cut();
        self.keeping.abort();
    }
}

fn count(value: &AMQPValue) -> u32 {
    match value {
        AMQPValue::LongLongInt(n) => u32::try_from(*n).unwrap_or(0),
        AMQPValue::LongInt(n) => u32::try_from(*n).unwrap_or(0),
        AMQPValue::LongUInt(n) => *n,
        AMQPValue::ShortInt(n) => u32::try_from(*n).unwrap_or(0),
        AMQPValue::ShortUInt(n) => u32::from(*n),
        AMQPValue::ShortShortInt(n) => u32::try_from(*n).unwrap_or(0),
        AMQPValue::ShortShortUInt(n) => u32::from(*n),
        _ => 0,
    }
}

fn is_true(value: &AMQPValue) -> bool {
    // Clients of some languages write header values as text.
    matches!(value, AMQPValue::Boolean(true)) || skein_producer::link::header_text(value) == Some("true")
}
