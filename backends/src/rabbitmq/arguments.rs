//! What a queue must be like, and how to say what differs.

use std::sync::atomic::{AtomicU8, Ordering};

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use skein_core::seam::BrokerError;
use skein_producer::link::Link;

use super::driver_error;

/// How a broker does without a delivery limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Limits {
    NotAsked = 0,
    /// Before RabbitMQ 4.0: none unless somebody sets one; -1 is refused.
    NoneByDefault = 1,
    /// From RabbitMQ 4.0: 20 unless -1 is declared.
    MustBeLifted = 2,
}

/// Declares queues as they must be; remembers what the broker understands.
#[derive(Debug, Default)]
pub(super) struct Declarer {
    limits: AtomicU8,
}

impl Declarer {
    /// Declares a durable quorum queue with a single active consumer, without a delivery limit, bounded in bytes, refusing
    /// publications beyond. A queue that is there and equal is left as it is.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if it is there and differs, saying in what.
    pub(super) async fn queue(
        &self,
        link: &Link,
        name: &str,
        max_length_bytes: u64,
    ) -> Result<(), BrokerError> {
        let known = self.limits.load(Ordering::Relaxed);
        let first =
            if known == Limits::NoneByDefault as u8 { Limits::NoneByDefault } else { Limits::MustBeLifted };
        match declare(link, name, arguments(max_length_bytes, first)).await {
            Ok(()) => self.limits.store(first as u8, Ordering::Relaxed),
            Err(e) if known == Limits::NotAsked as u8 && is_invalid_argument(&e) => {
                declare(link, name, arguments(max_length_bytes, Limits::NoneByDefault))
                    .await
                    .map_err(|e| differs(name, &e))?;
                self.limits.store(Limits::NoneByDefault as u8, Ordering::Relaxed);
            }
            Err(e) => return Err(differs(name, &e)),
        }
        Ok(())
    }
}

fn arguments(max_length_bytes: u64, limits: Limits) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let bytes = i64::try_from(max_length_bytes).unwrap_or(i64::MAX);
    table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
    table.insert("x-overflow".into(), text("reject-publish"));
    if limits == Limits::MustBeLifted {
        table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(-1));
    }
    table
}

/// On a channel of its own, which a refusal closes.
async fn declare(link: &Link, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let channel = link.connection().create_channel().await?;
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await?;
    channel.close(200, "declared".into()).await
}

/// What a queue holds.
pub(super) struct Holding {
    /// Messages that no consumer has.
    pub(super) ready: u32,
    pub(super) consumers: u32,
}

/// Looks at a queue without declaring it. `None` if it is not there.
pub(super) async fn look(link: &Link, name: &str) -> Result<Option<Holding>, BrokerError> {
    let channel = link.connection().create_channel().await.map_err(driver_error)?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    match channel.queue_declare(name.into(), options, FieldTable::default()).await {
        Ok(queue) => {
            channel.close(200, "looked".into()).await.map_err(driver_error)?;
            Ok(Some(Holding { ready: queue.message_count(), consumers: queue.consumer_count() }))
        }
        Err(e) if code(&e) == Some(404) => Ok(None),
        Err(e) => Err(driver_error(e)),
    }
}

/// Declares a durable exchange.
pub(super) async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.into(), kind, options, FieldTable::default());
    declared.await.map_err(|e| match code(&e) {
        Some(406) => BrokerError::Refused(format!(
            "exchange {name} is of another kind than it must be ({e}); delete it and run `skein cluster init`"
        )),
        _ => driver_error(e),
    })
}

fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(said) => Some(said.get_id()),
        _ => None,
    }
}

fn is_invalid_argument(error: &lapin::Error) -> bool {
    let text = error.to_string();
    code(error) == Some(406) && text.contains("x-delivery-limit") && !text.contains("inequivalent")
}

fn differs(name: &str, error: &lapin::Error) -> BrokerError {
    let text = error.to_string();
    if code(error) != Some(406) {
        return driver_error(error.clone());
    }
    let why = if text.contains("x-delivery-limit") {
        "it has a delivery limit, by which a sender's crashes would throw innocent messages away; empty it, delete it and run \
         `skein cluster init`"
    } else if text.contains("x-max-length-bytes") {
        "its size differs from the setting; set `max_length_bytes` back, or empty it, delete it and run `skein cluster init`"
    } else {
        "it is not the quorum queue with a single active consumer that the order rests on; empty it, delete it and run \
         `skein cluster init`"
    };
    BrokerError::Refused(format!("queue {name}: {why} ({text})"))
}
