//! Becoming a queue's consumer in one round trip: looking at it, comparing it, the prefetch and the consumer are sent at once on one
//! channel. The broker does them in order, and what it refuses closes the channel before anything that comes after.

use futures_util::future::try_join4;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use skein_core::lease::BootMillis;
use skein_core::seam::{BrokerError, Clock as _};
use skein_producer::link::Link;

use super::arguments::{Declarer, MISSING, REFUSED, code, differs};
use super::driver_error;
use crate::clock::SystemClock;

/// A consumer.
pub(super) struct Consuming {
    pub(super) channel: Channel,
    pub(super) consumer: Consumer,
    /// Before it was asked for.
    pub(super) began: BootMillis,
}

/// A channel to consume on.
pub(super) async fn open(link: &Link) -> Result<Channel, BrokerError> {
    link.connection().create_channel().await.map_err(driver_error)
}

/// Consumes from a queue that is there and is as it must be, on a channel that nothing was done on yet. A user who may not declare takes
/// on trust that it is as it must be.
///
/// # Errors
/// [`BrokerError::Refused`] if it is missing or differs, saying in what.
pub(super) async fn consume(
    link: &Link,
    channel: Channel,
    declarer: &Declarer,
    queue: &str,
    max_length_bytes: u64,
    prefetch: u16,
) -> Result<Consuming, BrokerError> {
    let mut channel = channel;
    loop {
        let arguments = declarer.arguments(link, max_length_bytes).await?;
        let may_declare = arguments.is_some();
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        let began = SystemClock.boot();
        let done = try_join4(
            channel.queue_declare(queue.into(), passive, FieldTable::default()),
            async {
                let Some(arguments) = arguments else { return Ok(()) };
                let options = QueueDeclareOptions::durable();
                channel.queue_declare(queue.into(), options, arguments).await.map(drop)
            },
            channel.basic_qos(prefetch, BasicQosOptions::default()),
            channel.basic_consume(
                queue.into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            ),
        );
        match done.await {
            Ok((_, (), (), consumer)) => return Ok(Consuming { channel, consumer, began }),
            Err(error) if code(&error) == Some(MISSING) => {
                return Err(BrokerError::Refused(format!(
                    "queue {queue} is missing; run `skein cluster init`"
                )));
            }
            // Once more without comparing; what is refused then is the right to read.
            Err(error) if may_declare && code(&error) == Some(REFUSED) => {
                declarer.may_not();
                channel = open(link).await?;
            }
            Err(error) => return Err(differs(queue, &error)),
        }
    }
}
