//! The log in memory: one shard for each connection, so that connections never wait for one another.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::row::Row;
use crate::clock::{monotonic_ns, wall_ms};

/// One client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Counted from 0 in order of acceptance.
    pub number: u32,
    /// The client's address; its port tells the client's processes apart.
    pub peer: SocketAddr,
    /// When it was accepted, in monotonic nanoseconds.
    pub opened_ns: u64,
    /// When it ended, in monotonic nanoseconds; `None` while it lives.
    pub closed_ns: Option<u64>,
}

/// The log at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every request, in the order of reading.
    pub rows: Vec<Row>,
    /// Every connection, by number.
    pub connections: Vec<Connection>,
    /// Rows that found no room. A history with dropped rows proves nothing.
    pub dropped: u64,
    /// Wall time minus monotonic time, in milliseconds, at the simulator's start.
    pub wall_offset_ms: u64,
}

impl Snapshot {
    /// When a row was read, in milliseconds since the epoch.
    pub fn read_wall_ms(&self, row: &Row) -> u64 {
        self.wall_offset_ms + row.read_ns() / 1_000_000
    }

    pub(super) fn sort(&mut self) {
        self.rows.sort_by_key(|row| (row.read_ns(), row.connection()));
        self.connections.sort_by_key(|connection| connection.number);
    }
}

/// The most connections in the log at once. Beyond, those without rows are forgotten; the rest go unlogged, which
/// shows as dropped rows.
const CONNECTIONS_MAX: usize = 1 << 17;

/// All shards and what they share.
#[derive(Debug)]
pub(crate) struct Book {
    enabled: bool,
    to_file: bool,
    rows_max: u64,
    held: AtomicU64,
    dropped: AtomicU64,
    shards: Mutex<Vec<Arc<Shard>>>,
    pub(super) wall_offset_ms: u64,
}

impl Book {
    pub(crate) fn new(mode: &super::LogMode) -> Self {
        let (enabled, to_file, rows_max) = match mode {
            super::LogMode::Off => (false, false, 0),
            super::LogMode::Memory { rows_max } => (true, false, *rows_max),
            super::LogMode::File { rows_max, .. } => (true, true, *rows_max),
        };
        Self {
            enabled,
            to_file,
            rows_max,
            held: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            shards: Mutex::default(),
            wall_offset_ms: wall_ms().saturating_sub(monotonic_ns() / 1_000_000),
        }
    }

    /// A shard for a new connection; `None` if the log is off.
    pub(crate) fn open(&self, number: u32, peer: SocketAddr) -> Option<Arc<Shard>> {
        if !self.enabled {
            return None;
        }
        let connection = Connection { number, peer, opened_ns: monotonic_ns(), closed_ns: None };
        let inner = ShardInner { connection, unsaved: true, ..ShardInner::new(connection) };
        let shard = Arc::new(Shard { inner: Mutex::new(inner) });
        let mut shards = lock(&self.shards);
        if shards.len() >= CONNECTIONS_MAX {
            shards.retain(|shard| {
                let inner = lock(&shard.inner);
                inner.connection.closed_ns.is_none() || !inner.rows.is_empty()
            });
        }
        if shards.len() >= CONNECTIONS_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        shards.push(Arc::clone(&shard));
        Some(shard)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot_since(0)
    }

    /// The rows that were read at this instant or later, and every connection.
    pub(crate) fn snapshot_since(&self, read_ns: u64) -> Snapshot {
        let mut snapshot = Snapshot {
            dropped: self.dropped.load(Ordering::Relaxed),
            wall_offset_ms: self.wall_offset_ms,
            ..Snapshot::default()
        };
        for shard in lock(&self.shards).iter() {
            let inner = lock(&shard.inner);
            // A connection's rows are in the order of reading.
            let from = inner.rows.partition_point(|row| row.read_ns() < read_ns);
            snapshot.rows.extend(inner.rows.range(from..));
            snapshot.connections.push(inner.connection);
        }
        snapshot.sort();
        snapshot
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Forgets all rows and every connection that has ended.
    pub(crate) fn clear(&self) {
        let mut shards = lock(&self.shards);
        for shard in shards.iter() {
            let mut inner = lock(&shard.inner);
            let forgotten = inner.rows.len() as u64;
            inner.first += forgotten as u32;
            inner.rows.clear();
            self.held.fetch_sub(forgotten, Ordering::Relaxed);
        }
        shards.retain(|shard| lock(&shard.inner).connection.closed_ns.is_none());
        self.dropped.store(0, Ordering::Relaxed);
    }

    /// Appends to `out` the records of all that changed since the last call, and lets go of settled rows.
    pub(super) fn drain_changes(&self, out: &mut Vec<u8>) {
        lock(&self.shards).retain(|shard| {
            let mut inner = lock(&shard.inner);
            let before = inner.rows.len();
            inner.drain_changes(out);
            self.held.fetch_sub((before - inner.rows.len()) as u64, Ordering::Relaxed);
            inner.connection.closed_ns.is_none() || !inner.rows.is_empty()
        });
    }
}

/// The rows of one connection. Rows are numbered from 0 in the order of reading.
#[derive(Debug)]
pub(crate) struct Shard {
    inner: Mutex<ShardInner>,
}

#[derive(Debug)]
struct ShardInner {
    connection: Connection,
    /// The connection itself has changed since it was saved.
    unsaved: bool,
    /// Number of the first row held.
    first: u32,
    rows: VecDeque<Row>,
    /// Rows below this number have been saved once.
    saved: u32,
    /// Numbers of saved rows that changed since.
    changed: Vec<u32>,
    overflowed: bool,
}

impl Shard {
    /// Adds rows, the first of which must be number `from`.
    pub(crate) fn append(&self, book: &Book, from: u32, rows: &[Row]) {
        let added = rows.len() as u64;
        let mut inner = lock(&self.inner);
        if inner.rows.is_empty() {
            inner.first = from;
            inner.overflowed = false;
        }
        if inner.overflowed || book.held.fetch_add(added, Ordering::Relaxed) + added > book.rows_max {
            if !inner.overflowed {
                book.held.fetch_sub(added, Ordering::Relaxed);
            }
            inner.overflowed = true;
            book.dropped.fetch_add(added, Ordering::Relaxed);
            return;
        }
        debug_assert_eq!(inner.first + inner.rows.len() as u32, from);
        inner.rows.extend(rows);
    }

    /// Changes the rows with these numbers, as far as they are still held.
    pub(crate) fn update(
        &self,
        book: &Book,
        numbers: impl Iterator<Item = u32>,
        change: impl FnMut(u32, &mut Row),
    ) {
        lock(&self.inner).change(book, numbers, change);
    }

    /// Runs `write`, which sends answers and says how much has gone, and whether all; then marks the rows that `next` gives for
    /// that. A snapshot waits meanwhile: who has got an answer finds it marked.
    pub(crate) fn write_answers(
        &self,
        book: &Book,
        write: impl FnOnce() -> io::Result<(u64, bool)>,
        mut next: impl FnMut(u64) -> Option<u32>,
    ) -> io::Result<bool> {
        let at_ns = monotonic_ns();
        let mut inner = lock(&self.inner);
        let (gone, is_all) = write()?;
        inner.change(book, std::iter::from_fn(|| next(gone)), |_, row| row.mark_written(at_ns));
        Ok(is_all)
    }

    pub(crate) fn close(&self) {
        let mut inner = lock(&self.inner);
        inner.connection.closed_ns = Some(monotonic_ns());
        inner.unsaved = true;
    }
}

impl ShardInner {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            unsaved: false,
            first: 0,
            rows: VecDeque::new(),
            saved: 0,
            changed: Vec::new(),
            overflowed: false,
        }
    }

    fn change(
        &mut self,
        book: &Book,
        numbers: impl Iterator<Item = u32>,
        mut change: impl FnMut(u32, &mut Row),
    ) {
        for number in numbers {
            let Some(at) = number.checked_sub(self.first) else { continue };
            let Some(row) = self.rows.get_mut(at as usize) else { continue };
            change(number, row);
            if book.to_file && number < self.saved {
                self.changed.push(number);
            }
        }
    }

    fn drain_changes(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.unsaved) {
            super::file::encode_connection(&self.connection, out);
        }
        let mut changed = std::mem::take(&mut self.changed);
        // A row may have changed more than once since; it is saved once.
        changed.sort_unstable();
        changed.dedup();
        for number in changed {
            if let Some(row) = self.rows.get(number.wrapping_sub(self.first) as usize) {
                row.encode(number, out);
            }
        }
        self.saved = self.saved.max(self.first);
        let end = self.first + self.rows.len() as u32;
        for number in self.saved..end {
            self.rows[(number - self.first) as usize].encode(number, out);
        }
        self.saved = end;
        let over = self.connection.closed_ns.is_some();
        while self.rows.front().is_some_and(|row| over || row.is_settled()) {
            self.rows.pop_front();
            self.first += 1;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogMode, NewRow};

    fn row(read_ns: u64) -> Row {
        NewRow { id: u128::from(read_ns), read_ns, ..NewRow::default() }.into()
    }

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5000))
    }

    #[test]
    fn rows_of_all_connections_come_out_in_order_of_reading() {
        let book = Book::new(&LogMode::default());
        let (one, two) = (book.open(0, peer()).expect("on"), book.open(1, peer()).expect("on"));
        one.append(&book, 0, &[row(1), row(4)]);
        two.append(&book, 0, &[row(2), row(3)]);
        one.update(&book, [1, 9].into_iter(), |_, row| row.mark_written(5));
        let snapshot = book.snapshot();
        assert_eq!(snapshot.rows.iter().map(Row::read_ns).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(snapshot.rows[3].written_ns(), Some(5));
        let late = book.snapshot_since(3);
        assert_eq!(late.rows.iter().map(Row::read_ns).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(late.connections.len(), 2);
        assert_eq!(snapshot.connections.len(), 2);
        book.clear();
        assert!(book.snapshot().rows.is_empty());
        one.append(&book, 2, &[row(9)]);
        assert_eq!(book.snapshot().rows.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_is_dropped_is_counted() {
        let book = Book::new(&LogMode::Memory { rows_max: 3 });
        let shard = book.open(0, peer()).expect("on");
        shard.append(&book, 0, &[row(1), row(2)]);
        shard.append(&book, 2, &[row(3), row(4)]);
        shard.append(&book, 4, &[row(5)]);
        assert_eq!(book.snapshot().rows.len(), 2);
        assert_eq!(book.snapshot().dropped, 3);
        assert!(Book::new(&LogMode::Off).open(0, peer()).is_none());
    }
}
