//! What a queue must be like, and how to say what differs.

use std::sync::atomic::{AtomicBool, Ordering};

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use skein_core::seam::BrokerError;
use skein_producer::link::{Link, ServerVersion};
use tokio::sync::OnceCell;

use super::{broker_error, driver_error};

/// The first version whose quorum queues have a delivery limit (of 20) unless it is lifted by declaring -1. Earlier ones take -1
/// for a limit that is exceeded at once.
const LIMITED_SINCE: ServerVersion = ServerVersion(4, 0);
/// The broker's code of a right that is missing.
pub(super) const REFUSED: u16 = 403;
/// Its code of what is not there.
pub(super) const MISSING: u16 = 404;

/// Declares queues as they must be; remembers the broker's version.
#[derive(Debug, Default)]
pub(super) struct Declarer {
    version: OnceCell<ServerVersion>,
    /// Whether the broker has refused this user the right to declare.
    may_not: AtomicBool,
}

impl Declarer {
    /// Declares a durable quorum queue with a single active consumer, without a delivery limit, bounded in bytes, refusing
    /// publications beyond. A queue that is there and equal is left as it is. For a user who may not declare, it is enough that
    /// the queue is there.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if it is there and differs, saying in what.
    pub(super) async fn queue(
        &self,
        link: &Link,
        name: &str,
        max_length_bytes: u64,
    ) -> Result<(), BrokerError> {
        let Some(arguments) = self.arguments(link, max_length_bytes).await? else {
            return there(link, name).await;
        };
        match declare(link, name, arguments).await {
            Err(error) if code(&error) == Some(REFUSED) => {
                self.may_not();
                there(link, name).await
            }
            declared => declared.map_err(|e| differs(name, &e)),
        }
    }

    /// What a queue is declared with; `None` for a user who may not declare.
    pub(super) async fn arguments(
        &self,
        link: &Link,
        max_length_bytes: u64,
    ) -> Result<Option<FieldTable>, BrokerError> {
        if self.may_not.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let version = self.version.get_or_try_init(|| link.server_version()).await.map_err(broker_error)?;
        Ok(Some(arguments(max_length_bytes, *version)))
    }

    /// The broker has refused this user the right to declare.
    pub(super) fn may_not(&self) {
        self.may_not.store(true, Ordering::Relaxed);
    }
}

/// For a user without the right to declare: what is there was declared, and compared, by `skein cluster init`.
async fn there(link: &Link, name: &str) -> Result<(), BrokerError> {
    look(link, name).await?.map(drop).ok_or_else(|| missing("queue", name))
}

fn missing(what: &str, name: &str) -> BrokerError {
    BrokerError::Refused(format!(
        "{what} {name} is missing, and this user may not declare it; run `skein cluster init`"
    ))
}

fn arguments(max_length_bytes: u64, version: ServerVersion) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let bytes = i64::try_from(max_length_bytes).unwrap_or(i64::MAX);
    table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
    table.insert("x-overflow".into(), text("reject-publish"));
    if version >= LIMITED_SINCE {
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
    let holding = look_on(&channel, name).await?;
    if holding.is_some() {
        channel.close(200, "looked".into()).await.map_err(driver_error)?;
    }
    Ok(holding)
}

/// The same on a channel that is open, which a queue that is not there closes.
pub(super) async fn look_on(channel: &Channel, name: &str) -> Result<Option<Holding>, BrokerError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    match channel.queue_declare(name.into(), options, FieldTable::default()).await {
        Ok(queue) => Ok(Some(Holding { ready: queue.message_count(), consumers: queue.consumer_count() })),
        Err(e) if code(&e) == Some(MISSING) => Ok(None),
        Err(e) => Err(driver_error(e)),
    }
}

/// Declares a durable exchange. `false`: it is there, and this user may not declare.
pub(super) async fn exchange(link: &Link, name: &str, kind: ExchangeKind) -> Result<bool, BrokerError> {
    let channel = link.connection().create_channel().await.map_err(driver_error)?;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default()).await;
    match declared.as_ref().map_err(code) {
        Ok(()) => channel.close(200, "declared".into()).await.map(|()| true).map_err(driver_error),
        Err(Some(REFUSED)) => exchange_is_there(link, name, kind).await.map(|()| false),
        Err(Some(406)) => Err(BrokerError::Refused(format!(
            "exchange {name} is of another kind than it must be; delete it and run `skein cluster init`"
        ))),
        Err(_) => declared.map(|()| true).map_err(driver_error),
    }
}

async fn exchange_is_there(link: &Link, name: &str, kind: ExchangeKind) -> Result<(), BrokerError> {
    let channel = link.connection().create_channel().await.map_err(driver_error)?;
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    match channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await {
        Ok(()) => channel.close(200, "looked".into()).await.map_err(driver_error),
        Err(error) if code(&error) == Some(MISSING) => Err(missing("exchange", name)),
        Err(error) => Err(driver_error(error)),
    }
}

pub(super) fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(said) => Some(said.get_id()),
        _ => None,
    }
}

pub(super) fn differs(name: &str, error: &lapin::Error) -> BrokerError {
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
