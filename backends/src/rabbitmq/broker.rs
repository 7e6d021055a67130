//! Attaching to a queue: a connection of its own, prefetch before consuming, nothing of the driver's recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skein_core::lease::Lease;
use skein_core::seam::{Broker, BrokerError};
use skein_core::{PoolName, QueueName};
use skein_producer::LinkOptions;
use skein_producer::link::Link;
use tokio::sync::watch;

use super::arguments::Declarer;
use super::broker_error;
use super::consuming::{self, Consuming};
use super::inbox::RabbitInbox;
use super::lease::Keeper;
use super::ready::{Opened, Ready};
use super::standing::{self, stands};

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
    ready: Arc<Ready>,
    /// True once what is attached to is declared.
    declared: watch::Receiver<bool>,
}

impl RabbitBroker {
    /// Connects to nothing yet.
    pub fn new(options: RabbitOptions) -> Self {
        let (_, declared) = watch::channel(true);
        let (declarer, turn, ready) = (Arc::default(), Arc::default(), Arc::default());
        Self { options: Arc::new(options), declarer, turn, ready, declared }
    }

    /// The same, where nothing is attached to until that is true: until then its owner makes sure that all is declared.
    #[must_use]
    pub fn once(self, declared: watch::Receiver<bool>) -> Self {
        Self { declared, ..self }
    }

    /// Whether all that a sender of these pools needs is declared already, with these numbers of queues; a few milliseconds.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if a queue is there and differs, saying in what.
    pub async fn stands(&self, pools: &[(PoolName, u16)]) -> Result<bool, BrokerError> {
        let link = standing::connect(&self.options.link).await?;
        let asked = stands(&link, &self.declarer, pools, self.options.max_length_bytes);
        let asked = tokio::time::timeout(ATTACH_LIMIT, asked).await;
        asked.unwrap_or_else(|_| Err(late()))
    }

    /// Waits until what is attached to is declared. Cancellation safe.
    pub(super) async fn declared(&self) {
        // Whoever was to say so is gone only if the process is ending.
        if self.declared.clone().wait_for(|declared| *declared).await.is_err() {
            std::future::pending::<()>().await;
        }
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
        let attached = async {
            let opened = match self.ready.take(queue).await {
                Some(opened) => opened,
                None => self.open(as_name).await?,
            };
            self.declared().await;
            let opening = tokio::time::timeout(ATTACH_LIMIT, self.consume(opened, queue, prefetch));
            opening.await.unwrap_or_else(|_| Err(late()))
        };
        let attached = attached.await;
        if attached.is_err() {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
        attached
    }

    async fn connect(&self, as_name: &str) -> Result<Link, BrokerError> {
        let mut options = self.options.link.clone();
        options.name = format!("{}/{as_name}", options.name);
        // The brokers in turn only after a failure: consuming through the node that leads a queue costs least.
        let turn = self.turn.load(Ordering::Relaxed);
        Link::connect(&options, turn).await.map_err(broker_error)
    }

    /// A connection with a channel.
    async fn open(&self, as_name: &str) -> Result<Opened, BrokerError> {
        let link = self.connect(as_name).await?;
        let opening = tokio::time::timeout(ATTACH_LIMIT, consuming::open(&link));
        let channel = opening.await.unwrap_or_else(|_| Err(late()))?;
        Ok(Opened { link, channel })
    }

    async fn consume(&self, opened: Opened, queue: &str, prefetch: u16) -> Result<RabbitInbox, BrokerError> {
        let Opened { link, channel } = opened;
        // 0 would mean without bound.
        let prefetch = prefetch.max(1);
        let events = link.connection().events_listener();
        let bytes = self.options.max_length_bytes;
        let Consuming { channel, consumer, began } =
            consuming::consume(&link, channel, &self.declarer, queue, bytes, prefetch).await?;
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

fn late() -> BrokerError {
    BrokerError::Away(format!("no answer in {ATTACH_LIMIT:?}"))
}

impl Broker for RabbitBroker {
    type Inbox = RabbitInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<RabbitInbox, BrokerError> {
        self.attach_to(&queue.on_broker(), &queue.to_string(), prefetch).await
    }

    async fn prepare(&self, queue: &QueueName) {
        self.ready.keep(&queue.on_broker(), self.open(&queue.to_string())).await;
    }
}
