//! Whether all that senders need is declared already: what a start asks, since declaring it once more costs the broker a second.
//!
//! Everything is sent at once on one channel, which the first thing that is missing closes before anything is declared by it. No channel
//! is closed: all of them end with the connection.

use futures_util::future::try_join_all;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use skein_core::seam::BrokerError;
use skein_core::{PoolName, QueueName};
use skein_producer::link::Link;

use super::arguments::{Declarer, MISSING, REFUSED, code, differs, look};
use super::topology::{DEAD_QUEUE, FACTS_QUEUE, FEEDBACK_EXCHANGE, pool_mark};
use super::{broker_error, driver_error};

/// Whether exchanges and queues are there, every binding was made ([`pool_mark`]), and no pool has another number of queues.
///
/// # Errors
/// [`BrokerError::Refused`] if a queue is there and differs, saying in what.
pub(super) async fn stands(
    link: &Link,
    declarer: &Declarer,
    pools: &[(PoolName, u16)],
    max_length_bytes: u64,
) -> Result<bool, BrokerError> {
    let mut exchanges = vec![DEAD_QUEUE.to_owned(), FACTS_QUEUE.to_owned(), FEEDBACK_EXCHANGE.to_owned()];
    let mut queues = vec![DEAD_QUEUE.to_owned(), FACTS_QUEUE.to_owned()];
    let mut beyond = Vec::new();
    for (pool, count) in pools {
        let name = |number| QueueName { pool: pool.clone(), number }.on_broker();
        exchanges.extend([pool.exchange(), pool_mark(pool, *count)]);
        queues.extend((0..*count).map(name));
        beyond.push(name(*count));
    }
    let too_many = try_join_all(beyond.iter().map(|queue| look(link, queue)));
    // The arguments to compare with need the server's version, which is asked on a socket of its own.
    let arguments = declarer.arguments(link, max_length_bytes);
    // What compares has its channel by then: attaching waits for all of this.
    let (there, too_many, arguments, comparing) =
        tokio::join!(there(link, &exchanges, &queues), too_many, arguments, open(link));
    if !there? || too_many?.iter().any(Option::is_some) {
        return Ok(false);
    }
    // A user who may not declare can't compare either: whoever declared them did.
    let Some(arguments) = arguments? else { return Ok(true) };
    equal(&comparing?, declarer, &queues, &arguments).await
}

async fn there(link: &Link, exchanges: &[String], queues: &[String]) -> Result<bool, BrokerError> {
    let channel = open(link).await?;
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    // The kind of what is only looked at does not matter.
    let kind = || ExchangeKind::Direct;
    let exchanges = exchanges
        .iter()
        .map(|name| channel.exchange_declare(name.as_str().into(), kind(), passive, FieldTable::default()));
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let queues =
        queues.iter().map(|name| channel.queue_declare(name.as_str().into(), passive, FieldTable::default()));
    let looked = tokio::try_join!(try_join_all(exchanges), try_join_all(queues));
    match looked {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some(MISSING) => Ok(false),
        Err(error) => Err(driver_error(error)),
    }
}

/// Declares them as they must be, which the broker refuses if they differ.
async fn equal(
    channel: &Channel,
    declarer: &Declarer,
    queues: &[String],
    arguments: &FieldTable,
) -> Result<bool, BrokerError> {
    let declared = queues.iter().map(async |name| {
        let options = QueueDeclareOptions::durable();
        let declared = channel.queue_declare(name.as_str().into(), options, arguments.clone()).await;
        declared.map_err(|error| (name, error))
    });
    match try_join_all(declared).await {
        Ok(_) => Ok(true),
        Err((_, error)) if code(&error) == Some(REFUSED) => {
            declarer.may_not();
            Ok(true)
        }
        Err((name, error)) => Err(differs(name, &error)),
    }
}

async fn open(link: &Link) -> Result<Channel, BrokerError> {
    link.connection().create_channel().await.map_err(driver_error)
}

/// A connection to ask on.
pub(super) async fn connect(options: &skein_producer::LinkOptions) -> Result<Link, BrokerError> {
    Link::connect(options, 0).await.map_err(broker_error)
}
