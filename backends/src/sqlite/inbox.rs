//! One attachment to a queue of the file.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use skein_core::lease::Lease;
use skein_core::seam::{BrokerError, DeadLetter, Delivery, Inbox};
use skein_core::wire;
use sqlx::Row;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::Engine;
use super::queue::{BATCH, Next, Queue, REPEAT, Stored};
use super::writer::{OtherOrder, Settled};

/// The most messages read from the file at once.
const READ_MAX: usize = 256;

static NOTIFICATION_KIND: LazyLock<Arc<str>> = LazyLock::new(|| wire::NOTIFICATION_V1.into());
static BATCH_KIND: LazyLock<Arc<str>> = LazyLock::new(|| wire::BATCH_V1.into());

/// One attachment to a queue of the file.
pub struct EmbeddedInbox {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    /// Held while attached.
    consumer: Option<OwnedMutexGuard<()>>,
    prefetch: usize,
    /// What is delivered and not settled, with the bytes of its body.
    unsettled: HashMap<u64, u64>,
    /// The last place that was delivered before this attachment.
    delivered_before: i64,
    lease: Arc<Lease>,
}

impl EmbeddedInbox {
    pub(super) fn begin(
        engine: Arc<Engine>,
        queue: Arc<Queue>,
        consumer: OwnedMutexGuard<()>,
        prefetch: u16,
    ) -> Self {
        let delivered_before = queue.begin();
        Self {
            engine,
            queue,
            consumer: Some(consumer),
            prefetch: usize::from(prefetch.max(1)),
            unsettled: HashMap::new(),
            delivered_before,
            lease: Arc::new(Lease::forever()),
        }
    }

    /// Ends the attachment without a farewell: what it did not settle comes back to the front.
    pub(super) fn end(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.lease.end();
            self.queue.end();
            drop(consumer);
        }
    }

    fn attached(&mut self) -> Result<(), BrokerError> {
        if self.engine.desk.is_closed() {
            self.end();
        }
        match self.consumer {
            Some(_) => Ok(()),
            None => Err(BrokerError::Away("the attachment ended; attach anew".into())),
        }
    }

    fn deliver(&mut self, messages: Vec<Stored>) -> Vec<Delivery> {
        let delivery = |message: Stored| {
            let tag = (message.place - self.queue.places.start).unsigned_abs();
            self.unsettled.insert(tag, message.body.len() as u64);
            let is_batch = message.kind & !REPEAT == BATCH;
            Delivery {
                tag,
                kind: Arc::clone(if is_batch { &BATCH_KIND } else { &NOTIFICATION_KIND }),
                redelivered: message.place <= self.delivered_before,
                body: message.body,
                returns: 0,
                repeat: message.kind & REPEAT != 0,
                // There is no other way in.
                from_front_door: true,
            }
        };
        messages.into_iter().map(delivery).collect()
    }

    /// Reads past a place from the file.
    async fn read(&self, position: i64, most: usize) -> Result<Vec<Stored>, BrokerError> {
        let away = |error: sqlx::Error| BrokerError::Away(error.to_string());
        let rows = sqlx::query(
            "SELECT place, kind, body FROM message WHERE place > ? AND place < ? ORDER BY place LIMIT ?",
        )
        .bind(position)
        .bind(self.queue.places.end)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.engine.readers)
        .await
        .map_err(away)?;
        let stored = |row: &sqlx::sqlite::SqliteRow| {
            let body: Vec<u8> = row.try_get(2)?;
            Ok(Stored { place: row.try_get(0)?, kind: row.try_get(1)?, body: Bytes::from(body) })
        };
        rows.iter().map(|row| stored(row).map_err(away)).collect()
    }
}

impl Inbox for EmbeddedInbox {
    async fn take(&mut self, most: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.attached()?;
            let room = most.min(self.prefetch.saturating_sub(self.unsettled.len()));
            if room == 0 {
                // Only a settlement makes room, and that needs this inbox.
                self.queue.changed.notified().await;
                continue;
            }
            match self.queue.next(room) {
                Next::Deliver(messages) => return Ok(self.deliver(messages)),
                Next::Read { position, committed } => {
                    let most = room.min(READ_MAX);
                    let messages = self.read(position, most).await?;
                    let last = messages.last().map(|message| message.place);
                    self.queue.have_read(last, messages.len() < most, committed);
                    if !messages.is_empty() {
                        return Ok(self.deliver(messages));
                    }
                }
                Next::Wait => self.queue.changed.notified().await,
            }
        }
    }

    async fn cut(&mut self) -> BrokerError {
        loop {
            if let Err(error) = self.attached() {
                return error;
            }
            // A change that is no cut is seen by the next `take`, which looks before it waits.
            self.queue.changed.notified().await;
        }
    }

    async fn settle(&mut self, tags: &mut Vec<u64>) -> Result<(), BrokerError> {
        self.attached()?;
        let start = self.queue.places.start;
        let settled: Vec<Settled> = tags
            .drain(..)
            .filter_map(|tag| {
                let bytes = self.unsettled.remove(&tag)?;
                Some(Settled { place: start.saturating_add_unsigned(tag), bytes })
            })
            .collect();
        if self.engine.desk.put(|waiting| waiting.settled.extend(settled)) { Ok(()) } else { self.attached() }
    }

    async fn bury(&mut self, letter: DeadLetter) -> Result<(), BrokerError> {
        self.attached()?;
        let (done, buried) = oneshot::channel();
        let closed = || BrokerError::Away("the file is closed".into());
        if !self.engine.desk.put(|waiting| waiting.others.push(OtherOrder::Bury(letter, done))) {
            return Err(closed());
        }
        let buried = buried.await.map_err(|_| closed())?;
        buried.map_err(|fault| BrokerError::Away(skein_core::seam::LedgerError::from(fault).to_string()))
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    async fn leave(mut self) {
        self.engine.desk.barrier().await;
        self.end();
    }
}

impl Drop for EmbeddedInbox {
    fn drop(&mut self) {
        self.end();
    }
}
