//! When the database was last found away: connections from before are dead, and are not tried one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skein_core::seam::LedgerError;

/// The last time a statement failed because the database was away.
pub(super) struct Cuts {
    start: Instant,
    /// Microseconds after `start`, plus 1; 0 if never.
    last: AtomicU64,
}

impl Default for Cuts {
    fn default() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Cuts {
    /// Looks at the outcome of a statement.
    pub(super) fn see<T>(&self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if matches!(outcome, Err(LedgerError::Away(_))) {
            self.found_away();
        }
        outcome
    }

    /// The database was found away just now.
    pub(super) fn found_away(&self) {
        self.last.fetch_max(self.micros() + 1, Ordering::Relaxed);
    }

    /// Whether the last cut was before a connection of this age was made.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        last == 0 || self.micros().saturating_sub(age) >= last
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_condemns_what_is_older() {
        let cuts = Cuts { start: Instant::now() - Duration::from_secs(100), last: AtomicU64::new(0) };
        assert!(cuts.is_older_than(Duration::from_secs(50)));
        assert!(cuts.see(Err::<(), _>(LedgerError::Refused("x".into()))).is_err());
        assert!(cuts.is_older_than(Duration::from_secs(50)));
        assert!(cuts.see(Err::<(), _>(LedgerError::Away("x".into()))).is_err());
        assert!(!cuts.is_older_than(Duration::from_secs(50)));
        cuts.last.store(50_000_000, Ordering::Relaxed);
        assert!(cuts.is_older_than(Duration::from_secs(10)));
        assert!(!cuts.is_older_than(Duration::from_secs(90)));
    }
}
