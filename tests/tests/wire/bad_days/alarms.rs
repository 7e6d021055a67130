//! What the senders of this process log, by pool: each scenario names its pools as no other does.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static LISTENING: Once = Once::new();

/// Begins to listen; once for all tests.
pub fn listen() {
    LISTENING.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| Ear)
            .init();
    });
}

/// Warnings and errors about a pool, each its line.
pub fn of(pool: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&lines);
    let is_alarm = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
    text.lines()
        .filter(is_alarm)
        .filter(|line| line.contains(&format!("pool={pool} ")))
        .map(str::to_owned)
        .collect()
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
