//! Real RabbitMQ, ZooKeeper and PostgreSQL as child processes: private ports, private folders, ended with the test.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use skein_dev_services::RabbitMq;
//! let shared = RabbitMq::shared().await?; // one a process, or the one that tests/run started
//! let url = shared.vhost("orders").await?; // a fresh vhost of it
//! let mut own = RabbitMq::start().await?; // a private one, to be killed
//! own.kill9();
//! own.start_again().await?; // same folder, same ports
//! # Ok(()) }
//! ```
//!
//! Used by the tests of every room and by `skein dev cluster`. It depends on no other crate of the workspace.
//!
//! Dropping one ends its processes and deletes its folder; so does the end of the test process, however it comes
//! (`kill -9` included). Set `SKEIN_TEST_KEEP=1` to keep the folders of a failed run (logs are in them).

pub mod http;
pub mod ports;
pub mod process;

mod guard;
mod postgres_wire;
mod postgresql;
mod programs;
mod rabbitmq;
mod tls;
mod wait;
mod zookeeper;

pub use postgres_wire::Row;
pub use postgresql::{PostgreSql, PostgreSqlAddress};
pub use programs::{chromium, is_present, missing};
pub use rabbitmq::{Quorum, RabbitMq, RabbitMqAddress};
pub use tls::ServerTls;
pub use wait::{TimedOut, until};
pub use zookeeper::{ZooKeeper, ZooKeeperAddress};

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::Signal;

use tempfile::TempDir;

use guard::Guarded;

const START_LIMIT: Duration = Duration::from_secs(90);

/// The environment variable with the address of a RabbitMQ to share, as the `services` program prints it.
pub const RABBITMQ_URL: &str = "RABBITMQ_URL";
/// The environment variable with the address of that RabbitMQ's management API.
pub const RABBITMQ_MANAGEMENT: &str = "RABBITMQ_MANAGEMENT";
/// The environment variable with the address of a PostgreSQL to share.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The environment variable with the address of a ZooKeeper to share.
pub const ZOOKEEPER: &str = "ZOOKEEPER";

/// Set to `shared`, it lets the variables above count: nobody's own database is ever used by accident.
pub const SHARED: &str = "SKEIN_TEST_SERVICES";

/// The value of one of the variables above, if what they name is there to be shared.
fn given(variable: &str) -> Option<String> {
    std::env::var(SHARED).is_ok_and(|value| value == "shared").then(|| std::env::var(variable).ok()).flatten()
}

/// A service's own folder, deleted on drop unless `SKEIN_TEST_KEEP` is set.
#[derive(Debug)]
struct Folder(TempDir);

impl Folder {
    fn new(service: &str) -> std::io::Result<Self> {
        let mut folder = tempfile::Builder::new().prefix(&format!("skein-{service}-")).tempdir()?;
        folder.disable_cleanup(kept());
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What the watchdog deletes when this process is killed.
    fn to_delete(&self) -> Option<&Path> {
        (!kept()).then(|| self.path())
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

fn kept() -> bool {
    std::env::var_os("SKEIN_TEST_KEEP").is_some()
}

/// `name` made unique among everything that shares a service: other tests, other processes.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Starts a service's process and waits until `answers` yields something.
async fn start_process(
    service: &str,
    command: Command,
    folder: &Folder,
    last_signal: Signal,
    answers: impl AsyncFn() -> Option<()>,
) -> anyhow::Result<Guarded> {
    let log = folder.join("output.log");
    let mut process = Guarded::spawn(command, &log, folder.to_delete(), last_signal)?;
    let what = format!("{service} to answer");
    let answered = until(&what, START_LIMIT, async || match process.exit_status() {
        Some(status) => Some(Err(status)),
        None => answers().await.map(Ok),
    });
    match answered.await {
        Ok(Ok(())) => Ok(process),
        Ok(Err(status)) => Err(with_log(anyhow::anyhow!("{service} ends while it starts: {status}"), &log)),
        Err(timed_out) => Err(with_log(timed_out, &log)),
    }
}

/// Ends with the tail of a service's log, since the folder is gone when somebody reads the message.
fn with_log(error: impl Into<anyhow::Error>, log: &Path) -> anyhow::Error {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    error.into().context(format!("the last lines of {}:\n{tail}\n", log.display()))
}
