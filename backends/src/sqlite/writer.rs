//! The one writer of the file, on a thread of its own: natural group commit. What arrives while one transaction commits forms
//! the next; nothing waits for a timer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use skein_core::fact::{Fact, Registration};
use skein_core::seam::{DeadLetter, LedgerError, Recorded};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Notify, oneshot};

use super::fault::Fault;
use super::queue::Queue;
use super::round::{Round, Rounds};

/// How long the writer waits before it tries settlements again that the file did not take.
const SETTLE_AGAIN: Duration = Duration::from_millis(200);

/// A message to be stored.
pub(super) struct NewMessage {
    pub(super) queue: Arc<Queue>,
    pub(super) kind: i64,
    pub(super) body: Bytes,
}

/// Messages to be stored, all or none.
pub(super) struct SubmitOrder {
    pub(super) messages: Vec<NewMessage>,
    pub(super) done: oneshot::Sender<Result<(), Fault>>,
}

/// Facts to be recorded, all that can be or none.
pub(super) struct RecordOrder {
    pub(super) facts: Vec<Fact>,
    pub(super) done: oneshot::Sender<Result<Recorded, LedgerError>>,
}

/// What is rare.
pub(super) enum OtherOrder {
    Register(Vec<(Registration, Vec<u8>)>, oneshot::Sender<Result<(), Fault>>),
    Bury(DeadLetter, oneshot::Sender<Result<(), Fault>>),
    /// Delete what is older, a part at a time; answers how many rows went.
    Forget(skein_core::Timestamp, oneshot::Sender<Result<u64, Fault>>),
    /// Answers when all that was ordered before has been tried.
    Barrier(oneshot::Sender<()>),
}

/// A settled message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) place: i64,
    pub(super) bytes: u64,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) submits: std::collections::VecDeque<SubmitOrder>,
    pub(super) records: std::collections::VecDeque<RecordOrder>,
    pub(super) others: Vec<OtherOrder>,
    pub(super) settled: Vec<Settled>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.submits.is_empty()
            && self.records.is_empty()
            && self.others.is_empty()
            && self.settled.is_empty()
    }
}

/// What the writer and its callers share.
#[derive(Default)]
pub(super) struct Desk {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    closed: AtomicBool,
    /// Bytes of bodies in the file, and of those on their way there.
    pub(super) queue_bytes: AtomicU64,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something on the desk; false if the engine is closed.
    pub(super) fn put(&self, put: impl FnOnce(&mut Waiting)) -> bool {
        {
            let mut waiting = self.waiting();
            if self.is_closed() {
                return false;
            }
            put(&mut waiting);
        }
        self.arrived.notify_one();
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes no more; what is on the desk is still done.
    pub(super) fn close(&self) {
        {
            let _waiting = self.waiting();
            self.closed.store(true, Ordering::Release);
        }
        self.arrived.notify_one();
    }

    /// Waits until all that was ordered before has been tried.
    pub(super) async fn barrier(&self) {
        let (done, tried) = oneshot::channel();
        if self.put(|waiting| waiting.others.push(OtherOrder::Barrier(done))) {
            drop(tried.await);
        }
    }
}

/// Writes until the desk is closed and empty.
pub(super) async fn run(desk: Arc<Desk>, connection: SqliteConnection, rows_max: usize) {
    let mut rounds = Rounds::new(connection, Arc::clone(&desk));
    loop {
        let round = Round::take(&mut desk.waiting(), rows_max);
        if round.is_empty() {
            if desk.is_closed() && desk.waiting().is_empty() {
                break;
            }
            desk.arrived.notified().await;
            continue;
        }
        let unsettled = rounds.commit(round).await;
        if !unsettled.is_empty() {
            if desk.is_closed() {
                break;
            }
            desk.waiting().settled.extend(unsettled);
            // What else arrives is tried meanwhile.
            drop(tokio::time::timeout(SETTLE_AGAIN, desk.arrived.notified()).await);
        }
    }
    rounds.close().await;
}
