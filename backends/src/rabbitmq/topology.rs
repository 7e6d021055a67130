//! Exchanges, queues and bindings: what `skein cluster init` declares, and a sender as it starts, if its user may.

use futures_util::future::try_join_all;
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeleteOptions, QueueBindOptions};
use lapin::types::FieldTable;
use skein_core::seam::BrokerError;
use skein_core::{PoolName, QueueName, Slot, SlotMap};
use skein_producer::LinkOptions;
use skein_producer::link::Link;

use super::arguments::{self, Declarer};
use super::{broker_error, driver_error};

/// Where dead letters go.
pub const DEAD_QUEUE: &str = "skein.dead";
/// Where facts wait while the ledger is away.
pub const FACTS_QUEUE: &str = "skein.facts";
/// Where token events are published.
pub const FEEDBACK_EXCHANGE: &str = "skein.feedback";

/// An exchange without bindings, which stands where the pool was declared whole, with that many queues: nothing else tells whether
/// its bindings were made.
pub fn pool_mark(pool: &PoolName, queues: u16) -> String {
    format!("{}.whole.{queues}", pool.exchange())
}

/// A pool's exchange, queues and slot bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The pool.
    pub pool: PoolName,
    /// How many queues it has, 1 to 1,024. It cannot change while the pool is in use.
    pub queues: u16,
    /// Where a queue refuses further publications, in bytes.
    pub max_length_bytes: u64,
}

impl Topology {
    /// Declares it all; what is there already and equal stays as it is. About half a second.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if something is there and differs, saying in what and what to do.
    pub async fn declare(&self, options: &LinkOptions) -> Result<(), BrokerError> {
        let link = Link::connect(options, 0).await.map_err(broker_error)?;
        self.check_count(&link).await?;
        if !arguments::exchange(&link, &self.pool.exchange(), ExchangeKind::Direct).await? {
            // The first queue was declared last, and the bindings before this user got its rights.
            let first = Declarer::default();
            return first.queue(&link, &self.name(0), self.max_length_bytes).await;
        }
        let channel = link.connection().create_channel().await.map_err(driver_error)?;
        // As long as not every binding is made, nobody shall think so.
        let mark = pool_mark(&self.pool, self.queues);
        channel
            .exchange_delete(mark.as_str().into(), ExchangeDeleteOptions::default())
            .await
            .map_err(driver_error)?;
        // The first queue last: where it stands, all of its pool do.
        let declarer = Declarer::default();
        for number in (0..self.queues).rev() {
            declarer.queue(&link, &self.name(number), self.max_length_bytes).await?;
        }
        let map = SlotMap::even(self.queues);
        let bindings = Slot::all().map(|slot| {
            channel.queue_bind(
                self.name(map.queue(slot)).into(),
                self.pool.exchange().into(),
                slot.number().to_string().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
        });
        try_join_all(bindings).await.map_err(driver_error)?;
        arguments::exchange(&link, &mark, ExchangeKind::Fanout).await.map(drop)
    }

    /// With another number of queues, slots would be bound twice, and notifications sent twice.
    async fn check_count(&self, link: &Link) -> Result<(), BrokerError> {
        if arguments::look(link, &self.name(0)).await?.is_none() {
            return Ok(());
        }
        let last = arguments::look(link, &self.name(self.queues - 1)).await?.is_some();
        if last && arguments::look(link, &self.name(self.queues)).await?.is_none() {
            return Ok(());
        }
        let than = if last { "more" } else { "fewer" };
        Err(BrokerError::Refused(format!(
            "pool {} has {than} than {} queues already, and their number cannot change while it is in use; set the number it \
             has, or drain the pool, delete its queues and run `skein cluster init`",
            self.pool, self.queues
        )))
    }

    fn name(&self, number: u16) -> String {
        QueueName { pool: self.pool.clone(), number }.on_broker()
    }
}

/// Declares what all pools share: the queues of dead letters and of facts, each behind an exchange of its own name, so that who
/// may publish to one may publish to nothing else; the exchange of token events.
///
/// # Errors
/// As [`Topology::declare`].
pub async fn declare_shared(options: &LinkOptions, max_length_bytes: u64) -> Result<(), BrokerError> {
    let link = Link::connect(options, 0).await.map_err(broker_error)?;
    let declarer = Declarer::default();
    for queue in [DEAD_QUEUE, FACTS_QUEUE] {
        declarer.queue(&link, queue, max_length_bytes).await?;
        if arguments::exchange(&link, queue, ExchangeKind::Fanout).await? {
            let channel = link.connection().create_channel().await.map_err(driver_error)?;
            let bind = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(queue.into(), queue.into(), "".into(), bind.0, bind.1)
                .await
                .map_err(driver_error)?;
        }
    }
    arguments::exchange(&link, FEEDBACK_EXCHANGE, ExchangeKind::Topic).await.map(drop)
}
