//! Attaching to a queue: a connection of its own, prefetch before consuming, nothing of the driver's recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use skein_core::QueueName;
use skein_core::lease::Lease;
use skein_core::seam::{Broker, BrokerError, Clock as _};
use skein_producer::LinkOptions;
use skein_producer::link::Link;

use super::arguments::{self, Declarer};
use super::inbox::RabbitInbox;
use super::lease::Keeper;
use super::{broker_error, driver_error};
use crate::clock::SystemClock;

/// How long attaching may take once the connection is open.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// Settings of the broker seam.
#[derive(Clone)]
pub struct RabbitOptions {
    /// The connection; its name is the member's, to which each attachment adds its queue: `<member>/<pool>.q<n>`.
    pub link: LinkOptions,
    /// The size at which a queue refuses publications, as it was declared.
    pub max_length_bytes: u64,
    /// How long a round trip on the consumer's channel lets its owner write.
    pub lease: Duration,
    /// How often such a round trip is made.
    pub round_trip: Duration,
}

impl RabbitOptions {
    /// With queues of 1 GiB, a lease of 700 ms and a round trip every 200 ms.
    pub fn new(link: LinkOptions) -> Self {
        Self {
            link,
            max_length_bytes: 1 << 30,
            lease: Duration::from_millis(700),
            round_trip: Duration::from_millis(200),
        }
    }
}

/// RabbitMQ as the broker of senders. Each attachment has its own connection, so that leaving one queue cuts no other.
///
/// A connection lives on the tokio runtime that attaches, with one thread of the driver beside it.
#[derive(Clone)]
pub struct RabbitBroker {
    options: Arc<RabbitOptions>,
    declarer: Arc<Declarer>,
    turn: Arc<AtomicUsize>,
}

impl RabbitBroker {
    /// Connects to nothing yet.
    pub fn new(options: RabbitOptions) -> Self {
        Self { options: Arc::new(options), declarer: Arc::default(), turn: Arc::default() }
    }

    pub(super) fn link_options(&self) -> &LinkOptions {
        &self.options.link
    }

    /// Attaches to a queue by its name on the broker; `as_name` becomes part of the connection's name.
    pub(super) async fn attach_to(
        &self,
        queue: &str,
        as_name: &str,
        prefetch: u16,
    ) -> Result<RabbitInbox, BrokerError> {
        let mut options = self.options.link.clone();
        options.name = format!("{}/{as_name}", options.name);
        // The brokers in turn only after a failure: consuming through the node that leads a queue costs least.
        let turn = self.turn.load(Ordering::Relaxed);
        let attached = async {
            let link = Link::connect(&options, turn).await.map_err(broker_error)?;
            let opening = tokio::time::timeout(ATTACH_LIMIT, self.consume(link, queue, prefetch));
            opening.await.unwrap_or_else(|_| Err(BrokerError::Away(format!("no answer in {ATTACH_LIMIT:?}"))))
        };
        let attached = attached.await;
        if attached.is_err() {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
        attached
    }

    async fn consume(&self, link: Link, queue: &str, prefetch: u16) -> Result<RabbitInbox, BrokerError> {
        // 0 would mean without bound.
        let prefetch = prefetch.max(1);
        if arguments::look(&link, queue).await?.is_none() {
            return Err(BrokerError::Refused(format!(
                "queue {queue} is missing; start `skein run sender`, which declares it"
            )));
        }
        self.declarer.queue(&link, queue, self.options.max_length_bytes).await?;
        let events = link.connection().events_listener();
        let channel = link.connection().create_channel().await.map_err(driver_error)?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(driver_error)?;
        let began = SystemClock.boot();
        let consumer = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .map_err(driver_error)?;
        let lease = Arc::new(Lease::shut());
        lease.renew(began, self.options.lease);
        let keeper = Keeper {
            channel: channel.clone(),
            prefetch,
            lease: Arc::clone(&lease),
            length: self.options.lease,
            round_trip: self.options.round_trip,
            cutter: link.cutter().clone(),
        };
        let keeping = tokio::spawn(keeper.keep(events));
        let graves = self.options.link.clone();
        Ok(RabbitInbox::new(link, channel, consumer, prefetch, lease, keeping, graves))
    }
}

impl Broker for RabbitBroker {
    type Inbox = RabbitInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<RabbitInbox, BrokerError> {
        self.attach_to(&queue.on_broker(), &queue.to_string(), prefetch).await
    }
}
