//! The log: lines on standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use skein_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// Starts the log, once in a process.
pub fn start(log: &Log) {
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter(log.level));
    // A second start in one process leaves the first in place.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
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
