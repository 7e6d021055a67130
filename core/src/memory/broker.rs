//! A broker in memory: pools with their queues, single active consumers, and every way to lose them on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::inbox::MemoryInbox;
use super::queue::{Depth, Message, Queue};
use crate::lease::Lease;
use crate::notification::Notification;
use crate::pool::{PoolName, QueueName};
use crate::seam::{Broker, BrokerError, Clock, Confirmation, DeadLetter, Submit, SubmitError};
use crate::slot::SlotMap;
use crate::wire;

/// The most messages a queue holds unless set otherwise; beyond it submissions get back-pressure.
pub const QUEUE_MESSAGES_MAX: usize = 1_000_000;

/// A broker in memory. Clones share it.
///
/// It confirms at once what is stored. Its queues behave as RabbitMQ's quorum queues with a single active consumer: what an
/// ended attachment had not settled is served first, in order, to the next; only a second end under a smaller prefetch breaks
/// that order. A tag settled twice ends the attachment.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
    /// Who attaches through this handle.
    client: Arc<str>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something happened that an attachment may wait for.
    pub(super) changed: Notify,
    pub(super) keeping: Option<Keeping>,
}

/// How the leases of attachments are kept alive.
#[derive(Clone)]
pub struct Keeping {
    clock: Arc<dyn Fn() -> crate::lease::BootMillis + Send + Sync>,
    pub(super) length: Duration,
    /// `None`: whoever attached makes the round trips.
    pub(super) every: Option<Duration>,
}

impl Keeping {
    /// Leases of `length`, renewed each `every` by a task of the attachment's runtime.
    pub fn new(clock: impl Clock, length: Duration, every: Duration) -> Self {
        Self { clock: Arc::new(move || clock.boot()), length, every: Some(every) }
    }

    /// Leases of `length` that whoever attaches renews by [`MemoryInbox::pulse`], so that its round trips stop when it does.
    pub fn by_hand(clock: impl Clock, length: Duration) -> Self {
        Self { clock: Arc::new(move || clock.boot()), length, every: None }
    }

    pub(super) fn boot(&self) -> crate::lease::BootMillis {
        (self.clock)()
    }
}

pub(super) struct State {
    pools: BTreeMap<PoolName, Pool>,
    queues: BTreeMap<QueueName, Queue>,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) is_away: bool,
    confirms_to_lose: usize,
    messages_max: usize,
    attachments: u64,
}

struct Pool {
    slots: SlotMap,
}

impl State {
    pub(super) fn queue(&mut self, name: &QueueName) -> Result<&mut Queue, BrokerError> {
        let refused = || BrokerError::Refused(format!("no queue {name}"));
        self.queues.get_mut(name).ok_or_else(refused)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.state());
        self.changed.notify_waiters();
        outcome
    }
}

impl MemoryBroker {
    /// A broker with these pools, each with its number of queues, evenly bound. Leases never run out by themselves; they end
    /// with their attachment.
    pub fn new<'a>(pools: impl IntoIterator<Item = (&'a PoolName, u16)>) -> Self {
        Self::build(pools, None)
    }

    /// A broker whose leases run out unless a task renews them, as on a real one.
    pub fn with_leases<'a>(pools: impl IntoIterator<Item = (&'a PoolName, u16)>, keeping: Keeping) -> Self {
        Self::build(pools, Some(keeping))
    }

    fn build<'a>(pools: impl IntoIterator<Item = (&'a PoolName, u16)>, keeping: Option<Keeping>) -> Self {
        let mut state = State {
            pools: BTreeMap::new(),
            queues: BTreeMap::new(),
            dead_letters: Vec::new(),
            is_away: false,
            confirms_to_lose: 0,
            messages_max: QUEUE_MESSAGES_MAX,
            attachments: 0,
        };
        for (pool, queues) in pools {
            for number in 0..queues {
                state.queues.insert(QueueName { pool: pool.clone(), number }, Queue::default());
            }
            state.pools.insert(pool.clone(), Pool { slots: SlotMap::even(queues) });
        }
        let shared = Shared { state: Mutex::new(state), changed: Notify::new(), keeping };
        Self { shared: Arc::new(shared), client: "".into() }
    }

    /// A handle whose attachments carry the name of a client, as connections to a real broker do.
    #[must_use]
    pub fn as_client(&self, name: &str) -> Self {
        Self { client: name.into(), ..self.clone() }
    }

    /// Ends every attachment of a client, served or waiting. Not `seen`, the client notices nothing, as in
    /// [`MemoryBroker::cut_unseen`].
    pub fn close_client(&self, name: &str, seen: bool) {
        self.shared.change(|state| state.queues.values_mut().for_each(|queue| queue.end_client(name, seen)));
    }

    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.shared.state().is_away
    }

    /// Cuts the attachment that is being served, both sides noticing: its lease ends at once.
    pub fn cut(&self, queue: &QueueName) {
        self.shared.change(|state| state.queue(queue).map(|q| q.end_active(true)).unwrap_or_default());
    }

    /// The broker gives the attachment up and serves the next, while its consumer notices nothing (a partition, a freeze): it
    /// waits for deliveries that never come, settles into the void, and its lease runs out.
    pub fn cut_unseen(&self, queue: &QueueName) {
        self.shared.change(|state| state.queue(queue).map(|q| q.end_active(false)).unwrap_or_default());
    }

    /// Goes away, as a broker that stops: every attachment ends, those that wait included, and nothing is accepted. Or comes
    /// back, with all that was stored.
    pub fn set_away(&self, away: bool) {
        self.shared.change(|state| {
            state.is_away = away;
            if away {
                state.queues.values_mut().for_each(Queue::end_all);
            }
        });
    }

    /// The next `messages` are stored, and their producer never learns of it.
    pub fn lose_confirms(&self, messages: usize) {
        self.shared.change(|state| state.confirms_to_lose = messages);
    }

    /// How many messages each queue holds at most from now on.
    pub fn set_messages_max(&self, messages: usize) {
        self.shared.change(|state| state.messages_max = messages);
    }

    /// Puts a message of any kind and body into a queue, as another producer would: malformed, of a later version, marked.
    ///
    /// # Errors
    /// No such queue.
    pub fn inject(&self, queue: &QueueName, message: Message) -> Result<(), BrokerError> {
        self.shared.change(|state| state.queue(queue).map(|q| q.publish(message)))
    }

    /// Publishes notifications again, in one message each, marked as published before.
    ///
    /// # Errors
    /// As with [`Submit::submit`], for the first that is not stored.
    pub fn repeat(&self, pool: &PoolName, notifications: &[Notification]) -> Result<(), SubmitError> {
        notifications
            .chunks(1)
            .try_for_each(|one| self.shared.change(|state| publish(state, pool, one, true)))
    }

    /// Every dead letter, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.state().dead_letters.clone()
    }

    /// How much is in a queue; nothing if there is no such queue.
    pub fn depth(&self, queue: &QueueName) -> Depth {
        self.shared.state().queue(queue).map(|q| q.depth()).unwrap_or_default()
    }

    /// How much is in all queues of a pool.
    pub fn pool_depth(&self, pool: &PoolName) -> Depth {
        let state = self.shared.state();
        let of_pool = state.queues.iter().filter(|(name, _)| name.pool == *pool);
        of_pool.map(|(_, queue)| queue.depth()).fold(Depth::default(), |sum, d| Depth {
            ready: sum.ready + d.ready,
            unsettled: sum.unsettled + d.unsettled,
        })
    }

    /// Which slots live where in a pool.
    pub fn slots(&self, pool: &PoolName) -> Option<SlotMap> {
        self.shared.state().pools.get(pool).map(|p| p.slots.clone())
    }
}

impl Broker for MemoryBroker {
    type Inbox = MemoryInbox;

    async fn attach(&self, queue: &QueueName, prefetch: u16) -> Result<MemoryInbox, BrokerError> {
        let lease = Arc::new(if self.shared.keeping.is_some() { Lease::shut() } else { Lease::forever() });
        let attachment = self.shared.change(|state| {
            if state.is_away {
                return Err(BrokerError::Away("switched off".into()));
            }
            state.attachments += 1;
            let attachment = state.attachments;
            state.queue(queue)?.line_up(attachment, Arc::clone(&self.client), prefetch, Arc::clone(&lease));
            Ok(attachment)
        })?;
        // From here on dropping the inbox, or this future, ends the attachment.
        let inbox = MemoryInbox::new(Arc::clone(&self.shared), queue.clone(), attachment, lease);
        inbox.is_served().await?;
        Ok(inbox)
    }
}

impl MemoryBroker {
    fn publish_all(
        &self,
        pool: &PoolName,
        notifications: &[Notification],
        repeat: bool,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        let mut outcomes = Vec::with_capacity(notifications.len());
        let mut rest = notifications;
        while !rest.is_empty() {
            let (message, after) = rest.split_at(message_len(rest));
            let published = self.shared.change(|state| publish(state, pool, message, repeat));
            outcomes.extend(message.iter().map(|n| published.clone().map(|()| Confirmation { id: n.id })));
            rest = after;
        }
        outcomes
    }
}

impl Submit for MemoryBroker {
    async fn submit(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.publish_all(pool, &notifications, false)
    }

    async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.publish_all(pool, &notifications, true)
    }
}

/// Bytes of an item in a batch, at most: token, user, id and the names of their fields.
const ITEM_BYTES_MAX: usize = 1024;

/// How many of the first notifications go out as one message: neighbours that share their content.
fn message_len(notifications: &[Notification]) -> usize {
    let Some(first) = notifications.first() else { return 0 };
    let shared = notifications.iter().take_while(|n| Arc::ptr_eq(&n.content, &first.content)).count();
    let room = wire::BODY_BYTES_MAX.saturating_sub(first.content.payload.len() + 2 * ITEM_BYTES_MAX);
    shared.min(wire::BATCH_ITEMS_MAX).min(room / ITEM_BYTES_MAX).max(1)
}

/// Stores one message in each queue that one of its slots is bound to.
fn publish(
    state: &mut State,
    pool: &PoolName,
    notifications: &[Notification],
    repeat: bool,
) -> Result<(), SubmitError> {
    if state.is_away {
        return Err(SubmitError::Away { waited: Duration::ZERO });
    }
    let slots = &state.pools.get(pool).ok_or_else(|| SubmitError::UnknownPool(pool.to_string()))?.slots;
    let mut numbers: Vec<u16> = notifications.iter().map(|n| slots.queue(n.slot())).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (kind, body) = match notifications {
        [one] => (wire::NOTIFICATION_V1, wire::encode(one)),
        many => (wire::BATCH_V1, wire::encode_batch(many)),
    };
    let not_json = |_| SubmitError::Invalid(crate::Fault::new("payload", "not JSON"));
    let message = Message { kind: kind.into(), body: body.map_err(not_json)?.into(), repeat };
    let names: Vec<QueueName> =
        numbers.into_iter().map(|number| QueueName { pool: pool.clone(), number }).collect();
    if names
        .iter()
        .any(|name| state.queues.get(name).is_some_and(|q| q.depth().total() >= state.messages_max))
    {
        return Err(SubmitError::BackPressure("a queue is full"));
    }
    for name in &names {
        if let Some(queue) = state.queues.get_mut(name) {
            queue.publish(message.clone());
        }
    }
    if state.confirms_to_lose > 0 {
        state.confirms_to_lose -= 1;
        return Err(SubmitError::Unknown);
    }
    Ok(())
}
