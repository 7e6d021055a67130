//! What one connection has to tell the log, a batch at a time.

use std::collections::VecDeque;
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
    /// Rows whose answers wait to be flushed, in order: where each answer ends in all that is ever written, and its row.
    unflushed: VecDeque<(u64, u32)>,
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
            unflushed: VecDeque::new(),
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

    /// The row's answer is among what will be flushed next, and ends at `end` of all that is ever written.
    pub(super) fn is_queued(&mut self, number: u32, end: u64) {
        self.unflushed.push_back((end, number));
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

    /// Runs `write`, which sends what is to be sent and says how much of all that was ever written has gone, and whether all
    /// that was to be sent; then marks the rows whose answers have gone.
    pub(super) fn write_queued(
        &mut self,
        write: impl FnOnce() -> io::Result<(u64, bool)>,
    ) -> io::Result<bool> {
        let any = !self.unflushed.is_empty();
        let mut next = |gone: u64| Some(self.unflushed.pop_front_if(|(end, _)| *end <= gone)?.1);
        match &self.shard {
            Some(shard) if any => shard.write_answers(&self.book, write, next),
            _ => {
                let (gone, is_all) = write()?;
                std::iter::repeat_with(|| next(gone)).take_while(Option::is_some).for_each(drop);
                Ok(is_all)
            }
        }
    }

    pub(super) fn close(&self) {
        if let Some(shard) = &self.shard {
            shard.close();
        }
    }
}
