//! What the embedded engine is opened with.

use std::path::PathBuf;

use skein_core::PoolName;

/// What the embedded engine is opened with.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The database file; its folder must exist. Two more files appear beside it (`-wal`, `-shm`), and its lock (`.lock`).
    pub path: PathBuf,
    /// The pools and how many queues each has (1 to 1,024). The number can change while the pool's queues are empty.
    pub pools: Vec<(PoolName, u16)>,
    /// The most bytes of waiting messages; beyond it submissions get back-pressure.
    pub queue_bytes_max: u64,
    /// The least free bytes of the disk; below it submissions get back-pressure, so that verdicts can still be written.
    pub disk_free_min: u64,
    /// The most rows of a kind in one commit.
    pub batch_rows_max: usize,
    /// How hard a commit is synced to the disk.
    pub synchronous: Synchronous,
    /// The largest size of the file; at it submissions get back-pressure and facts wait.
    pub file_bytes_max: Option<u64>,
}

impl EmbeddedOptions {
    /// Options with the usual bounds: 4 GiB of waiting messages, 512 MiB kept free, 2,000 rows a commit.
    pub fn new(path: impl Into<PathBuf>, pools: Vec<(PoolName, u16)>) -> Self {
        Self {
            path: path.into(),
            pools,
            queue_bytes_max: 4 << 30,
            disk_free_min: 512 << 20,
            batch_rows_max: 2000,
            synchronous: Synchronous::Full,
            file_bytes_max: None,
        }
    }
}

/// SQLite's `synchronous`; less than full would lose what was confirmed at a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The log is synced at each commit.
    #[default]
    Full,
    /// Its folder too, where a checkpoint changes it.
    Extra,
}

/// The file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by another process; stop that one first, or give this one another file")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {source}; its folder must exist and be writable")]
    Lock {
        /// The database file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The number of a pool's queues changed while messages wait in them.
    #[error(
        "{path} holds messages of pool {pool} in {was} queues, the settings say {wanted}; let them be sent first"
    )]
    QueuesChanged {
        /// The database file.
        path: PathBuf,
        /// The pool.
        pool: String,
        /// How many queues it has there.
        was: usize,
        /// How many it should have.
        wanted: u16,
    },
    /// A pool without queues, or with too many.
    #[error("pool {pool} has {queues} queues; use 1 to 1024")]
    QueueNumber {
        /// The pool.
        pool: String,
        /// How many.
        queues: u16,
    },
    /// SQLite's own fault.
    #[error("cannot open {path}: {why}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// SQLite's word.
        why: String,
    },
}
