//! The machine's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use skein_core::Timestamp;
use skein_core::lease::BootMillis;
use skein_core::seam::Clock;

/// The clocks of the machine this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn boot(&self) -> BootMillis {
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        // macOS counts suspended time in its monotonic clock.
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        let millis = i128::from(time.tv_sec) * 1000 + i128::from(time.tv_nsec) / 1_000_000;
        BootMillis(u64::try_from(millis).unwrap_or(0))
    }
}
