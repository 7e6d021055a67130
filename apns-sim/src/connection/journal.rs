//! What one connection has to tell the log, a batch at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::devices::{Delivery, Devices, Scene};
use crate::log::{Book, Row, Shard};
use crate::reason::Reason;

/// Something that became of a row after it was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Answered(u16, Option<Reason>),
    Delivered,
    Refused,
}

impl Change {
    fn apply(self, row: &mut Row) {
        match self {
            Self::Answered(status, reason) => row.answer(status, reason, status == 200),
            Self::Delivered => row.answer(0, None, true),
            Self::Refused => row.mark_refused(),
        }
    }
}

pub(super) struct Journal {
    book: Arc<Book>,
    shard: Option<Arc<Shard>>,
    /// Number of the first row of this batch.
    first: u32,
    rows: Vec<Row>,
    /// Changes to rows of earlier batches.
    changes: Vec<(u32, Change)>,
    /// Rows whose answers wait to be flushed, in order.
    unflushed: Vec<u32>,
    /// How many of them were taken for sending, ...
    taken: usize,
    /// ... and how many are in the bytes being sent.
    sending: usize,
    deliveries: Vec<Delivery>,
}

impl Journal {
    pub(super) fn new(book: &Arc<Book>, number: u32, peer: SocketAddr) -> Self {
        Self {
            book: Arc::clone(book),
            shard: book.open(number, peer),
            first: 0,
            rows: Vec::new(),
            changes: Vec::new(),
            unflushed: Vec::new(),
            taken: 0,
            sending: 0,
            deliveries: Vec::new(),
        }
    }

    /// Rows read in this batch.
    pub(super) fn batch_len(&self) -> usize {
        self.rows.len()
    }

    /// Enters a row and returns its number.
    pub(super) fn read(&mut self, row: Row) -> u32 {
        self.rows.push(row);
        self.first + self.rows.len() as u32 - 1
    }

    pub(super) fn change(&mut self, number: u32, change: Change) {
        match number.checked_sub(self.first) {
            Some(at) => change.apply(&mut self.rows[at as usize]),
            None => self.changes.push((number, change)),
        }
    }

    /// The row's answer is among what will be flushed next.
    pub(super) fn is_queued(&mut self, number: u32) {
        self.unflushed.push(number);
    }

    pub(super) fn queued(&self) -> usize {
        self.unflushed.len()
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        self.deliveries.push(delivery);
    }

    /// Hands the batch over; before its answers are flushed, so that who got an answer finds it in the log.
    pub(super) fn commit(&mut self, devices: Option<&Devices>, scene: Scene<'_>) {
        if let Some(devices) = devices
            && !self.deliveries.is_empty()
        {
            devices.deliver(scene, self.deliveries.drain(..));
        }
        if let Some(shard) = &self.shard {
            if !self.rows.is_empty() {
                shard.append(&self.book, self.first, &self.rows);
            }
            if !self.changes.is_empty() {
                let mut changes = self.changes.iter();
                let numbers = self.changes.iter().map(|(number, _)| *number);
                shard.update(&self.book, numbers, |number, row| {
                    if let Some((_, change)) = changes.find(|(other, _)| *other == number) {
                        change.apply(row);
                    }
                });
            }
        }
        self.first += self.rows.len() as u32;
        self.rows.clear();
        self.changes.clear();
    }

    /// Rows queued since the last call.
    pub(super) fn take_queued(&mut self) -> usize {
        let rows = self.unflushed.len() - self.taken;
        self.taken = self.unflushed.len();
        rows
    }

    /// The answers of the next `rows` rows are in the bytes being sent.
    pub(super) fn sends(&mut self, rows: usize) {
        self.sending += rows;
    }

    /// Runs `write`, which sends what is to be sent, and marks its rows if it says that all of it went.
    pub(super) fn write_queued(&mut self, write: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
        let done = match &self.shard {
            Some(shard) if self.sending > 0 => {
                shard.write_answers(&self.book, &self.unflushed[..self.sending], write)?
            }
            _ => write()?,
        };
        if done {
            self.unflushed.drain(..self.sending);
            self.taken -= self.sending;
            self.sending = 0;
        }
        Ok(done)
    }

    pub(super) fn close(&self) {
        if let Some(shard) = &self.shard {
            shard.close();
        }
    }
}
