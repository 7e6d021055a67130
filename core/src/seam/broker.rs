//! The broker seam: submitting, owning a queue, settling.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::id::NotificationId;
use crate::lease::Lease;
use crate::notification::Notification;
use crate::pool::{PoolName, QueueName};

/// Hands out attachments to queues.
pub trait Broker: Clone + Send + Sync + 'static {
    /// An attachment.
    type Inbox: Inbox;

    /// Attaches to a queue as its only consumer. Waits while another consumer is active, without taking part in its
    /// deliveries. `prefetch` is the queue's own (equal for all its owners, see the model-checked rule on shrinking it) and
    /// bounds the deliveries that are not settled.
    ///
    /// # Errors
    /// [`BrokerError`]; the caller backs off and attaches anew.
    fn attach(
        &self,
        queue: &QueueName,
        prefetch: u16,
    ) -> impl Future<Output = Result<Self::Inbox, BrokerError>> + Send;

    /// Makes ready what attaching to a queue will need, as far as that can be done while the queue is another's: it consumes nothing.
    /// What is ready stays so for as long as this is polled, and is given up when it is dropped; [`Broker::attach`] on the same
    /// runtime uses it. It ends only if nothing can be made ready: attaching begins at the beginning then.
    fn prepare(&self, _queue: &QueueName) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// One attachment to one queue: ends once, by [`Inbox::leave`] or by a cut. Its deliveries are void then, and come back to
/// the front of the queue in their order, marked as redelivered.
///
/// Dropping it must not send a polite close: that reorders (RabbitMQ quorum queues, measured).
pub trait Inbox: 'static {
    /// Takes what has arrived: at least one delivery, at most `most`, in the queue's order. Never waits for more than one.
    ///
    /// Cancellation safe: what is not returned is returned next time.
    ///
    /// # Errors
    /// The attachment was cut; nothing more comes from it.
    fn take(&mut self, most: usize) -> impl Future<Output = Result<Vec<Delivery>, BrokerError>>;

    /// Waits until the attachment is cut, without taking anything: for an owner that has no room to take more.
    ///
    /// Cancellation safe.
    fn cut(&mut self) -> impl Future<Output = BrokerError>;

    /// Settles deliveries, by tag, each once. `tags` is emptied. Returns when the settlement is on its way.
    ///
    /// # Errors
    /// The attachment was cut: its deliveries are void, and come back.
    fn settle(&mut self, tags: &mut Vec<u64>) -> impl Future<Output = Result<(), BrokerError>>;

    /// Stores a dead letter durably. The caller settles the delivery afterwards.
    ///
    /// # Errors
    /// It is not stored.
    fn bury(&mut self, letter: DeadLetter) -> impl Future<Output = Result<(), BrokerError>>;

    /// The lease of this attachment: kept alive by round trips on its own channel, over at the latest when it is cut.
    fn lease(&self) -> Arc<Lease>;

    /// The one way to leave, once everything that was begun is settled: waits until the broker has read the settlements, then
    /// shuts the socket down. What was not settled returns to the front in order.
    fn leave(self) -> impl Future<Output = ()>;
}

/// One message from a queue.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its number within the attachment, growing.
    pub tag: u64,
    /// The AMQP `type`.
    pub kind: Arc<str>,
    /// The body.
    pub body: Bytes,
    /// It was delivered before, to this or another owner.
    pub redelivered: bool,
    /// How often it came back unsettled (`x-delivery-count`), where the broker says so.
    pub returns: u32,
    /// Its producer published it before without learning the outcome (`x-skein-repeat`).
    pub repeat: bool,
    /// The front door published it ([`crate::wire::FRONT_DOOR_APP_ID`]).
    pub from_front_door: bool,
}

/// A message that could not be read, or an item of it.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Where it came from.
    pub queue: QueueName,
    /// The AMQP `type` it had.
    pub kind: Arc<str>,
    /// Its id, if that could be read.
    pub id: Option<NotificationId>,
    /// Why, in a word of a closed list.
    pub reason: &'static str,
    /// What was wrong, without any value of the body.
    pub detail: String,
    /// The body as it came.
    pub body: Bytes,
}

/// The broker did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Not reachable, or the connection was lost; it is tried again.
    #[error("the broker is away: {0}")]
    Away(String),
    /// Reached, and it refuses: trying again helps only after somebody mended the cause named.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

/// The way in: what a producer, a gateway and the command line submit through.
pub trait Submit: Clone + Send + Sync + 'static {
    /// Submits notifications to a pool; each gets its own outcome, in the order given. Those of one device token keep their
    /// order. A shared payload goes out once for all its devices. Waits until every outcome is known.
    ///
    /// A confirmation promises: the notification is stored durably and will end in exactly one final verdict.
    ///
    /// Not cancellation safe: dropped, what was under way may or may not be accepted.
    fn submit(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> impl Future<Output = Vec<Result<Confirmation, SubmitError>>> + Send;

    /// The same for notifications that may have been accepted before without their producer learning it: marked, so that what is
    /// final already is not sent again, and what else is sent is recorded as a possible copy.
    fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> impl Future<Output = Vec<Result<Confirmation, SubmitError>>> + Send;
}

/// The notification is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// Which.
    pub id: NotificationId,
}

/// The notification is not accepted, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No such pool here.
    #[error("unknown pool {0}; see `skein config show` for the pools of this installation")]
    UnknownPool(String),
    /// A fault that only this edge can see (a body over its bound).
    #[error("{0}")]
    Invalid(crate::notification::Fault),
    /// Too much is under way, the broker blocks, or its queue or disk is full: try later. Nothing was accepted.
    #[error("back-pressure: {0}; submit again later")]
    BackPressure(&'static str),
    /// Not reachable in the time given. Nothing was accepted.
    #[error("the broker is away for {waited:?}; nothing was accepted, submit again later")]
    Away {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The broker refused it (`nack`) or has no queue for its slot.
    #[error("not accepted: {0}")]
    Rejected(&'static str),
    /// Published, and the outcome was not learnt: submit it again with the same id.
    #[error("the outcome is unknown; submit it again with the same id")]
    Unknown,
}
