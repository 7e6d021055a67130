//! Broker, submit and ledger over one SQLite file: the embedded engine, for one machine.
//!
//! One writer with group commit (see `writer`) does every change; a commit is synced before anybody is told. A message is
//! a row of its queue until it is settled; what is stored while a queue is served goes to its attachment in memory, and is read
//! from the file only after a restart, after an attachment ended, or when the attachment fell behind.

mod attach;
mod bulk;
mod fact_rows;
mod fault;
mod file;
mod inbox;
mod ledger;
mod options;
mod queue;
mod read;
mod round;
mod submit;
mod trace;
mod upkeep;
mod writer;

pub use attach::EmbeddedBroker;
pub use inbox::EmbeddedInbox;
pub use ledger::EmbeddedLedger;
pub use options::{EmbeddedOptions, OpenError, Synchronous};
pub use submit::EmbeddedSubmit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use skein_core::{PoolName, QueueName, SlotMap};
use sqlx::SqlitePool;
use tokio::sync::oneshot;

use crate::token_cipher::TokenCipher;
use queue::Queue;
use writer::Desk;

/// The open engine. Its handles share it; when it and they are gone, or after [`Embedded::close`], the file is closed.
pub struct Embedded {
    engine: Arc<Engine>,
}

/// What all handles share.
struct Engine {
    desk: Arc<Desk>,
    pools: HashMap<PoolName, Pool>,
    readers: SqlitePool,
    cipher: TokenCipher,
    options: EmbeddedOptions,
    /// Answers when the writer has closed the file.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// A pool and its queues, by number.
struct Pool {
    slots: SlotMap,
    queues: Vec<Arc<Queue>>,
}

impl Embedded {
    /// Opens the file, or makes it. Nobody else can open it until it is closed; its end, however it comes, frees it.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, its settings changed in a way that would lose the order, or it cannot be read.
    pub async fn open(options: EmbeddedOptions, cipher: TokenCipher) -> Result<Self, OpenError> {
        Ok(Self { engine: Arc::new(file::open(options, cipher).await?) })
    }

    /// The broker.
    pub fn broker(&self) -> EmbeddedBroker {
        EmbeddedBroker::new(Arc::clone(&self.engine))
    }

    /// The way in.
    pub fn submit(&self) -> EmbeddedSubmit {
        EmbeddedSubmit::new(Arc::clone(&self.engine))
    }

    /// The ledger.
    pub fn ledger(&self) -> EmbeddedLedger {
        EmbeddedLedger::new(Arc::clone(&self.engine))
    }

    /// Takes no more, finishes what is under way, and closes the file. Its handles fail from then on.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("path", &self.engine.options.path).finish_non_exhaustive()
    }
}

impl Engine {
    fn queue(&self, name: &QueueName) -> Option<&Arc<Queue>> {
        self.pools.get(&name.pool)?.queues.get(usize::from(name.number))
    }

    fn stop(&self) {
        self.desk.close();
        self.pools.values().flat_map(|pool| &pool.queues).for_each(|queue| queue.changed.notify_one());
    }

    async fn close(&self) {
        self.stop();
        self.readers.close().await;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            drop(ended.await);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
