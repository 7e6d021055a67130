//! The gate: a lease on an attachment to the broker, kept by round trips on its own channel. Who writes to APNs looks at it
//! before each flush; shut, it only waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A point of the boot clock, in milliseconds: a clock that counts suspended time (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootMillis(pub u64);

impl BootMillis {
    /// This point plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One attachment's right to write, until a deadline that its keeper moves on. Reading it costs one atomic load.
#[derive(Debug, Default)]
pub struct Lease {
    until: AtomicU64,
    ended: AtomicBool,
}

impl Lease {
    /// A lease that never ends: for an engine without another owner.
    pub const fn forever() -> Self {
        Self { until: AtomicU64::new(u64::MAX), ended: AtomicBool::new(false) }
    }

    /// A lease that is shut until it is renewed.
    pub const fn shut() -> Self {
        Self { until: AtomicU64::new(0), ended: AtomicBool::new(false) }
    }

    /// A round trip that began at `began` has succeeded: the lease runs until `began + length`. Never shortens it.
    pub fn renew(&self, began: BootMillis, length: Duration) {
        self.until.fetch_max(began.plus(length).0, Ordering::Release);
    }

    /// The attachment is gone: nothing may be written any more, whatever renewals are still under way.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it is open at `now`.
    pub fn is_open(&self, now: BootMillis) -> bool {
        !self.ended.load(Ordering::Acquire) && now.0 < self.until.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_and_shuts() {
        let lease = Lease::shut();
        assert!(!lease.is_open(BootMillis(0)));
        lease.renew(BootMillis(1000), Duration::from_millis(700));
        assert!(lease.is_open(BootMillis(1699)));
        assert!(!lease.is_open(BootMillis(1700)), "P2: the lease is over at its deadline, not after it");
        lease.renew(BootMillis(500), Duration::from_millis(700));
        assert!(lease.is_open(BootMillis(1699)), "a late answer does not shorten it");
        lease.end();
        lease.renew(BootMillis(5000), Duration::from_millis(700));
        assert!(!lease.is_open(BootMillis(5001)), "P2: a late renewal does not open what has ended");
        assert!(Lease::forever().is_open(BootMillis(u64::MAX - 1)));
    }
}
