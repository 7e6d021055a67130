//! When the next connect may begin: a bounded rate, and a growing pause with jitter after failures.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Doublings of the pause, after which it is at its maximum anyway.
const DOUBLINGS_MAX: u32 = 16;

pub(super) struct Pacing {
    interval: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
    not_before: Instant,
    failures: u32,
    failed_at: Option<Instant>,
    random: u64,
}

impl Pacing {
    pub(super) fn new(
        interval: Duration,
        backoff_min: Duration,
        backoff_max: Duration,
        now: Instant,
    ) -> Self {
        let random = RandomState::new().hash_one(0u8) | 1;
        Self { interval, backoff_min, backoff_max, not_before: now, failures: 0, failed_at: None, random }
    }

    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn started(&mut self, now: Instant) {
        let jittered = self.interval.mul_f64(0.5 + self.fraction());
        self.not_before = now + jittered;
    }

    /// A connect failed, or a connection ended before it had served.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = (self.backoff_min * 2u32.pow(self.failures.min(DOUBLINGS_MAX))).min(self.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        let jittered = pause.mul_f64(0.5 + 0.5 * self.fraction());
        self.not_before = self.not_before.max(now + jittered);
    }

    /// A connection opened at `opened` serves. Only one that is younger than the latest failure proves anything: an
    /// older one may live by a credential that has been replaced since.
    pub(super) fn served(&mut self, opened: Instant) {
        if self.failed_at.is_none_or(|failed_at| opened >= failed_at) {
            self.failures = 0;
        }
    }

    /// Between 0 and 1; xorshift64 is good enough to spread a fleet.
    pub(super) fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_maximum_and_end_with_service() {
        let now = Instant::now();
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut pacing = Pacing::new(Duration::from_millis(10), min, max, now);
        let mut pauses = Vec::new();
        let mut at = now;
        for _ in 0..40 {
            pacing.failed(at);
            pauses.push(pacing.not_before() - at);
            at = pacing.not_before();
        }
        assert!(pauses[0] >= min / 2 && pauses[0] <= min);
        assert!(pauses[39] >= max / 2 && pauses[39] <= max);
        pacing.served(now);
        assert_eq!(pacing.failures(), 40);
        pacing.served(at);
        pacing.failed(at);
        assert!(pacing.not_before() - at <= min);
        assert_eq!(pacing.failures(), 1);
    }
}
