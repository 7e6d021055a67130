//! The log: lines on standard error, as text or JSON.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use skein_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

type Change = Box<dyn Fn(LogLevel) + Send + Sync>;

/// What changes the level of the log that was started.
static CHANGE: OnceLock<Change> = OnceLock::new();

/// Starts the log, once in a process.
pub fn start(log: &Log) {
    let (plain, level) = (tracing_subscriber::fmt().with_writer(io::stderr), filter(log.level));
    // A second start in one process leaves the first in place.
    match log.format {
        LogFormat::Text => {
            let builder =
                plain.with_ansi(io::stderr().is_terminal()).with_env_filter(level).with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                changes_by(move |level| drop(handle.reload(filter(level))));
            }
        }
        LogFormat::Json => {
            let builder = plain.json().flatten_event(true).with_env_filter(level).with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                changes_by(move |level| drop(handle.reload(filter(level))));
            }
        }
    }
}

/// Changes the level from now on.
pub fn level(level: LogLevel) {
    if let Some(change) = CHANGE.get() {
        change(level);
    }
}

fn changes_by(change: impl Fn(LogLevel) + Send + Sync + 'static) {
    // One log, one change.
    let _ = CHANGE.set(Box::new(change));
}

/// Skein at its level; drivers only where they warn. RabbitMQ's driver calls every lost connection an error, PostgreSQL's and
/// ZooKeeper's warn of each one they lose: what that means is said by those who reconnect.
fn filter(level: LogLevel) -> EnvFilter {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "warn"),
        LogLevel::Trace => ("trace", "info"),
    };
    EnvFilter::new(format!("{others},lapin=off,sqlx=error,zookeeper_client=error,skein={ours}"))
}
