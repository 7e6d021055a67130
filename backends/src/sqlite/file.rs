//! Opening the file: its lock, its schema, its queues, its writer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use skein_core::{PoolName, QueueName, SLOTS, SlotMap};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlSafeStr, SqlitePool};
use tokio::sync::oneshot;

use super::queue::Queue;
use super::writer::{self, Desk};
use super::{EmbeddedOptions, Engine, OpenError, Pool, Synchronous};
use crate::token_cipher::TokenCipher;

/// Connections that read beside the writer.
const READERS: u32 = 2;
/// Pages of the write-ahead log after which its pages are moved to the file. Fewer would move a page more often, more would
/// let the log grow.
const CHECKPOINT_PAGES: &str = "4000";
/// The size that the log is cut back to.
const LOG_BYTES: &str = "67108864";
/// Memory for pages, in KiB.
const CACHE_KIB: &str = "-32768";
const PAGE_BYTES: u32 = 4096;
/// How long a reader waits for another; the writer never waits for readers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const VERSIONS: [(i64, &str, &str); 1] =
    [(1, "embedded", include_str!("../../migrations/sqlite/0001_embedded.sql"))];

pub(super) async fn open(options: EmbeddedOptions, cipher: TokenCipher) -> Result<Engine, OpenError> {
    for (pool, queues) in &options.pools {
        if !(1..=SLOTS).contains(queues) {
            return Err(OpenError::QueueNumber { pool: pool.to_string(), queues: *queues });
        }
    }
    let lock = lock(&options.path)?;
    let failed =
        |error: sqlx::Error| OpenError::Database { path: options.path.clone(), why: error.to_string() };
    let mut connection = connect_options(&options).connect().await.map_err(failed)?;
    let of = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(VERSIONS.iter().map(of).collect())
        .run(&mut connection)
        .await
        .map_err(|error| OpenError::Database { path: options.path.clone(), why: error.to_string() })?;
    let desk = Arc::new(Desk::default());
    let bytes: i64 = sqlx::query_scalar("SELECT coalesce(sum(length(body)), 0) FROM message")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    desk.queue_bytes.store(bytes.unsigned_abs(), Ordering::Relaxed);
    let mut pools = HashMap::new();
    for (pool, queues) in &options.pools {
        pools.insert(pool.clone(), open_pool(&mut connection, &options.path, pool, *queues).await?);
    }
    let readers = readers(&options);
    let ended = start(Arc::clone(&desk), connection, options.batch_rows_max, lock)
        .map_err(|source| OpenError::Lock { path: options.path.clone(), source })?;
    Ok(Engine { desk, pools, readers, cipher, options, ended: Mutex::new(Some(ended)) })
}

/// Locks a file beside the database, since SQLite's own locks on it would end when any handle to it is closed.
fn lock(path: &Path) -> Result<File, OpenError> {
    let beside = {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    };
    let failed = |source| OpenError::Lock { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(beside).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

fn connect_options(options: &EmbeddedOptions) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(&options.path)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match options.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Extra => SqliteSynchronous::Extra,
        })
        .busy_timeout(BUSY_TIMEOUT)
        // On macOS a plain sync leaves data in the drive's cache.
        .pragma("fullfsync", "1")
        .pragma("checkpoint_fullfsync", "1")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("cache_size", CACHE_KIB)
        .thread_name(|id| format!("skein-sqlite-{id}"))
        .disable_statement_logging();
    match options.file_bytes_max {
        Some(bytes) => connect.pragma("max_page_count", (bytes / u64::from(PAGE_BYTES)).max(1).to_string()),
        None => connect,
    }
}

fn readers(options: &EmbeddedOptions) -> SqlitePool {
    let connect = SqliteConnectOptions::new()
        .filename(&options.path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false).connect_lazy_with(connect)
}

/// Finds a pool's queues in the file, or makes them.
async fn open_pool(
    connection: &mut SqliteConnection,
    path: &Path,
    pool: &PoolName,
    wanted: u16,
) -> Result<Pool, OpenError> {
    let failed = |error: sqlx::Error| OpenError::Database { path: path.to_owned(), why: error.to_string() };
    let known: Vec<(i64, String)> =
        sqlx::query_as("SELECT number, name FROM queue").fetch_all(&mut *connection).await.map_err(failed)?;
    let mut known: HashMap<QueueName, i64> = known
        .into_iter()
        .filter_map(|(number, name)| Some((QueueName::parse(&name)?, number)))
        .filter(|(name, _)| name.pool == *pool)
        .collect();
    let was = known.len();
    if was != 0 && was != usize::from(wanted) {
        for number in known.values() {
            if last_place(connection, *number).await.map_err(failed)?.is_some() {
                let (path, pool) = (path.to_owned(), pool.to_string());
                return Err(OpenError::QueuesChanged { path, pool, was, wanted });
            }
        }
        for number in known.values() {
            let delete = sqlx::query("DELETE FROM queue WHERE number = ?").bind(number);
            delete.execute(&mut *connection).await.map_err(failed)?;
        }
        known.clear();
    }
    let mut queues = Vec::with_capacity(usize::from(wanted));
    for number in 0..wanted {
        let name = QueueName { pool: pool.clone(), number };
        let number = match known.get(&name) {
            Some(number) => *number,
            None => sqlx::query("INSERT INTO queue (name) VALUES (?)")
                .bind(name.to_string())
                .execute(&mut *connection)
                .await
                .map_err(failed)?
                .last_insert_rowid(),
        };
        let last = last_place(connection, number).await.map_err(failed)?;
        queues.push(Arc::new(Queue::new(number, last)));
    }
    Ok(Pool { slots: SlotMap::even(wanted), queues })
}

async fn last_place(connection: &mut SqliteConnection, number: i64) -> Result<Option<i64>, sqlx::Error> {
    let places = Queue::places_of(number);
    sqlx::query_scalar("SELECT max(place) FROM message WHERE place >= ? AND place < ?")
        .bind(places.start)
        .bind(places.end)
        .fetch_one(connection)
        .await
}

/// Starts the writer on a thread of its own, which keeps the lock.
fn start(
    desk: Arc<Desk>,
    connection: SqliteConnection,
    rows_max: usize,
    lock: File,
) -> Result<oneshot::Receiver<()>, std::io::Error> {
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("skein-writer".into()).spawn(move || {
        runtime.block_on(writer::run(desk, connection, rows_max));
        drop(lock);
        // Nobody waits if the engine was dropped.
        let _ = end.send(());
    })?;
    Ok(ended)
}
