//! The log: what was read, when, from whom, and what came back; the ground truth that the history checker reads.

mod book;
mod file;
mod row;

pub(crate) use book::{Book, Shard, lock};
pub use book::{Connection, Snapshot};
pub(crate) use file::write_changes;
pub use file::{LogFileError, read_file, write_ndjson};
pub(crate) use row::id_text;
pub use row::{NewRow, Row};

use std::path::PathBuf;

/// Where the log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMode {
    /// Nowhere; for measuring others.
    Off,
    /// In memory, 64 bytes a row.
    Memory {
        /// Rows beyond this many are dropped and counted ([`Snapshot::dropped`]).
        rows_max: u64,
    },
    /// In a binary file, written at least every [`FLUSH_MS`] milliseconds; memory holds what is not settled yet.
    File {
        /// Overwritten if it exists.
        path: PathBuf,
        /// Rows waiting in memory beyond this many are dropped and counted.
        rows_max: u64,
    },
}

/// The usual bound of rows in memory: 4,194,304, which is 256 MiB.
pub const ROWS_MAX_DEFAULT: u64 = 1 << 22;
/// The longest time between two writes of the log file, in milliseconds.
pub const FLUSH_MS: u64 = 100;

impl Default for LogMode {
    fn default() -> Self {
        Self::Memory { rows_max: ROWS_MAX_DEFAULT }
    }
}
