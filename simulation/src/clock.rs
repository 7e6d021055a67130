//! A host's clock: the simulation's, its wall clock set apart. (The boot clock of all is one: nothing sets that.)

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use skein_core::Timestamp;
use skein_core::lease::BootMillis;
use skein_core::memory::PausedClock;
use skein_core::seam::Clock;

/// One host's.
#[derive(Debug, Clone)]
pub struct HostClock {
    inner: PausedClock,
    /// By how many milliseconds its wall clock is ahead.
    ahead: Arc<AtomicI64>,
}

impl HostClock {
    /// One that is right.
    pub fn new(inner: PausedClock) -> Self {
        Self { inner, ahead: Arc::default() }
    }

    /// Sets its wall clock ahead by so much of the true time, or back.
    pub fn set_ahead(&self, millis: i64) {
        self.ahead.store(millis, Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { self.inner.now().minus(by) } else { self.inner.now().plus(by) }
    }

    fn boot(&self) -> BootMillis {
        self.inner.boot()
    }
}
