//! Submitting: each notification to its queue, those that share their content as one batch a queue, confirmed after the
//! commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use skein_core::notification::{Fault as FieldFault, Notification};
use skein_core::seam::{Confirmation, Submit, SubmitError};
use skein_core::{PoolName, wire};
use tokio::sync::{Semaphore, oneshot};

use super::fault::Fault;
use super::queue::{BATCH, NOTIFICATION, Queue, REPEAT};
use super::writer::{NewMessage, SubmitOrder};
use super::{Engine, Pool};

/// The most items in a stored batch: less than the wire allows, so that a batch is a small part of an owner's window.
const BATCH_ITEMS: usize = 250;
/// The most KiB of bodies on their way to the file; further submissions wait.
const UNDER_WAY_KIB: u32 = 64 << 10;

/// The way in over the file. Clones share it.
#[derive(Clone)]
pub struct EmbeddedSubmit {
    engine: Arc<Engine>,
    under_way: Arc<Semaphore>,
}

/// A message made of some of the notifications given.
struct Made {
    queue: Arc<Queue>,
    kind: i64,
    body: Bytes,
    /// Their places in what was given.
    of: Vec<usize>,
}

impl EmbeddedSubmit {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, under_way: Arc::new(Semaphore::new(UNDER_WAY_KIB as usize)) }
    }

    /// Stores messages in one transaction.
    async fn store(&self, messages: Vec<NewMessage>) -> Result<(), SubmitError> {
        let bytes: u64 = messages.iter().map(|message| message.body.len() as u64).sum();
        let desk = &self.engine.desk;
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, UNDER_WAY_KIB);
        let Ok(_permit) = self.under_way.acquire_many(kib).await else { return Err(closed()) };
        if disk_is_low(&self.engine.options) {
            return Err(SubmitError::BackPressure("the disk is nearly full"));
        }
        if desk.queue_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.engine.options.queue_bytes_max
        {
            desk.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(SubmitError::BackPressure("the queue is full"));
        }
        let (done, stored) = oneshot::channel();
        let ordered = desk.put(|waiting| waiting.submits.push_back(SubmitOrder { messages, done }));
        let outcome = match ordered {
            false => Err(closed()),
            true => match stored.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Fault::Full)) => Err(SubmitError::BackPressure("the disk is full")),
                Ok(Err(Fault::Data(_))) => Err(SubmitError::Rejected("the file does not take it")),
                Ok(Err(Fault::NotAllNew | Fault::Away(_))) => {
                    Err(SubmitError::BackPressure("the file cannot be written"))
                }
                Err(_) => Err(SubmitError::Unknown),
            },
        };
        desk.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
        outcome
    }
}

fn closed() -> SubmitError {
    SubmitError::Away { waited: std::time::Duration::ZERO }
}

fn disk_is_low(options: &super::EmbeddedOptions) -> bool {
    // A folder that cannot be asked is no reason to refuse; a full disk shows at the commit.
    rustix::fs::statvfs(options.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(".".as_ref()))
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < options.disk_free_min)
}

impl EmbeddedSubmit {
    /// Stores all; `mark` is added to the kind of each message.
    async fn submit_marked(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
        mark: i64,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        let Some(known) = self.engine.pools.get(pool) else {
            return notifications.iter().map(|_| Err(SubmitError::UnknownPool(pool.to_string()))).collect();
        };
        let mut outcomes: Vec<Result<Confirmation, SubmitError>> =
            notifications.iter().map(|n| Ok(Confirmation { id: n.id })).collect();
        let mut made = make(known, notifications, &mut outcomes);
        let rows_max = self.engine.options.batch_rows_max.max(1);
        while !made.is_empty() {
            let later = made.split_off(made.len().min(rows_max));
            let (messages, of): (Vec<NewMessage>, Vec<Vec<usize>>) = made
                .into_iter()
                .map(|m| (NewMessage { queue: m.queue, kind: m.kind + mark, body: m.body }, m.of))
                .unzip();
            if let Err(error) = self.store(messages).await {
                of.iter().flatten().for_each(|place| outcomes[*place] = Err(error.clone()));
            }
            made = later;
        }
        outcomes
    }
}

impl Submit for EmbeddedSubmit {
    async fn submit(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit_marked(pool, notifications, 0).await
    }

    async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit_marked(pool, notifications, REPEAT).await
    }
}

/// Notifications that go together, with their places in what was given.
type Group = (Vec<usize>, Vec<Notification>);

/// Makes messages: in each queue in the order given; neighbours there that share their content go together.
fn make(
    pool: &Pool,
    notifications: Vec<Notification>,
    outcomes: &mut [Result<Confirmation, SubmitError>],
) -> Vec<Made> {
    let mut groups: BTreeMap<u16, Vec<Group>> = BTreeMap::new();
    for (place, notification) in notifications.into_iter().enumerate() {
        let of_queue = groups.entry(pool.slots.queue(notification.slot())).or_default();
        match of_queue.last_mut() {
            Some((places, open))
                if open.len() < BATCH_ITEMS
                    && open.last().is_some_and(|n| Arc::ptr_eq(&n.content, &notification.content)) =>
            {
                places.push(place);
                open.push(notification);
            }
            _ => of_queue.push((vec![place], vec![notification])),
        }
    }
    let mut made = Vec::new();
    for (number, of_queue) in groups {
        let queue = &pool.queues[usize::from(number)];
        for (places, group) in of_queue {
            encode(queue, places, &group, &mut made, outcomes);
        }
    }
    made
}

/// Encodes a group, halving it while it is too large for a message.
fn encode(
    queue: &Arc<Queue>,
    mut places: Vec<usize>,
    group: &[Notification],
    made: &mut Vec<Made>,
    outcomes: &mut [Result<Confirmation, SubmitError>],
) {
    let (kind, body) = match group {
        [one] => (NOTIFICATION, wire::encode(one)),
        several => (BATCH, wire::encode_batch(several)),
    };
    let fault = match body {
        Ok(body) if body.len() <= wire::BODY_BYTES_MAX => {
            made.push(Made { queue: Arc::clone(queue), kind, body: body.into(), of: places });
            return;
        }
        Ok(_) if group.len() > 1 => {
            let middle = group.len() / 2;
            let later = places.split_off(middle);
            encode(queue, places, &group[..middle], made, outcomes);
            encode(queue, later, &group[middle..], made, outcomes);
            return;
        }
        Ok(_) => FieldFault::new("payload", format!("the message is over {} bytes", wire::BODY_BYTES_MAX)),
        Err(_) => FieldFault::new("payload", "not JSON"),
    };
    for place in places {
        outcomes[place] = Err(SubmitError::Invalid(fault.clone()));
    }
}
