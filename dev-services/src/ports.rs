//! Free loopback ports that stay ours: locked against every other test process until they are dropped.
//!
//! They lie below the usual ephemeral ranges, so that no outgoing connection takes one between a service's end and
//! its new start on the same port.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU16, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static STEP: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1 that no other holder of a `Port` has, whatever its process.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds a port that nobody listens on and locks it.
    ///
    /// # Panics
    /// When none of the range is free, or the lock folder in the temp folder can't be written.
    #[must_use]
    pub fn claim() -> Self {
        let folder = lock_folder();
        std::fs::create_dir_all(&folder)
            .unwrap_or_else(|e| panic!("cannot create the port locks' folder {}: {e}", folder.display()));
        let seed =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos()) ^ process::id();
        let start = (seed % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let offset = STEP.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + ((u32::from(start) + u32::from(offset)) % u32::from(COUNT)) as u16;
            let path = folder.join(number.to_string());
            let Ok(lock) = OpenOptions::new().create(true).truncate(false).write(true).open(&path) else {
                continue;
            };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number.fmt(f)
    }
}

fn lock_folder() -> PathBuf {
    std::env::temp_dir().join(format!("skein-ports-{}", rustix::process::geteuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn two_holders_never_share_a_port() {
        let ports: Vec<Port> = (0..50).map(|_| Port::claim()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
