//! A clock over tokio's, which a test may pause and advance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;

use crate::lease::BootMillis;
use crate::seam::Clock;
use crate::time::Timestamp;

/// The boot clock's reading when a [`PausedClock`] is made: not 0, so that a lease counted back from it stays in range.
const BOOT_AT_START: BootMillis = BootMillis(1_000_000);

/// A clock that goes as tokio's does: paused where that is paused. Its wall clock can be set, and then steps; its boot clock
/// never does. Clones share it.
#[derive(Debug, Clone)]
pub struct PausedClock {
    start: Instant,
    wall_at_start: Arc<AtomicI64>,
}

impl PausedClock {
    /// A clock whose wall clock shows `now`.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { start: Instant::now(), wall_at_start: Arc::new(AtomicI64::new(now.as_millis())) }
    }

    /// Steps the wall clock, as an operator or a time server might.
    pub fn set(&self, now: Timestamp) {
        let elapsed = self.start.elapsed();
        self.wall_at_start.store(now.minus(elapsed).as_millis(), Ordering::Release);
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_at_start.load(Ordering::Acquire)).plus(self.start.elapsed())
    }

    fn boot(&self) -> BootMillis {
        BOOT_AT_START.plus(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn goes_with_tokio_and_steps_only_on_the_wall() {
        let clock = PausedClock::starting_at(Timestamp::from_secs(1_000));
        let boot = clock.boot();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), Timestamp::from_secs(1_005));
        clock.clone().set(Timestamp::from_secs(10));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Timestamp::from_secs(11));
        assert_eq!(clock.boot().since(boot), Duration::from_secs(6));
    }
}
