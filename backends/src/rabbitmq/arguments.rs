//! What a queue must be like, and how to say what differs.

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

/// Declares queues as they must be; remembers the broker's version.
#[derive(Debug, Default)]
pub(super) struct Declarer {
    version: OnceCell<ServerVersion>,
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
        let version = self.version.get_or_try_init(|| link.server_version()).await.map_err(broker_error)?;
        let arguments = arguments(max_length_bytes, *version);
        declare(link, name, arguments).await.map_err(|e| differs(name, &e))
    }
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
            "exchange {name} is of another kind than it must be ({e}); delete it and start `skein run sender`, which declares it"
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

fn differs(name: &str, error: &lapin::Error) -> BrokerError {
    let text = error.to_string();
    if code(error) != Some(406) {
        return driver_error(error.clone());
    }
    let why = if text.contains("x-delivery-limit") {
        "it has a delivery limit, by which a sender's crashes would throw innocent messages away; empty it, delete it and run \
         `skein run sender`"
    } else if text.contains("x-max-length-bytes") {
        "its size differs from the setting; set `max_length_bytes` back, or empty it, delete it and start `skein run sender`, which declares it"
    } else {
        "it is not the quorum queue with a single active consumer that the order rests on; empty it, delete it and run \
         `skein run sender`"
    };
    BrokerError::Refused(format!("queue {name}: {why} ({text})"))
}
