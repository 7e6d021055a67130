//! When the next connect may begin: a bounded rate, and a growing pause with jitter after failures and after connections
//! that don't last.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Doublings of the pause, after which it is at its maximum anyway.
const DOUBLINGS_MAX: u32 = 16;
/// A connection that lasts this long has lasted.
const FLAPPING_AGE: Duration = Duration::from_secs(30);
/// One that has served this many requests was worth its handshake, however soon it ends.
const SERVED_ENOUGH: u64 = 100;
/// From the opening of one that served a little to the next connect, at most: what serves at all is replaced within 3 s.
const FLAP_PAUSE_MAX: Duration = Duration::from_millis(2_500);

/// A connection's life so far, as far as it says whether another should follow at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub opened: Instant,
    pub age: Duration,
    /// Requests that it answered, or is still to answer, other than with a fault of the service.
    pub served: u64,
    /// Whether an answer has come that did not refuse our credential.
    pub has_served: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It lasted, or was worth its handshake.
    Proven,
    /// It served, but not for long.
    Flap,
    /// It never served.
    Unserved,
}

impl Life {
    fn end(self) -> End {
        match self {
            _ if self.age >= FLAPPING_AGE => End::Proven,
            _ if !self.has_served => End::Unserved,
            _ if self.served >= SERVED_ENOUGH => End::Proven,
            _ => End::Flap,
        }
    }
}

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

    /// A connect failed.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = self.next_pause();
        self.failed_at = Some(now);
        self.not_before = self.not_before.max(now + pause);
    }

    /// A connection left service, not by our will.
    pub(super) fn left(&mut self, life: Life, now: Instant) {
        match life.end() {
            End::Proven => self.proved(life.opened),
            // Those that were open at the latest failure went the same way: one misfortune, counted once.
            _ if self.failed_at.is_some_and(|failed_at| life.opened < failed_at) => {}
            End::Unserved => self.failed(now),
            End::Flap => {
                let pause = self.next_pause().min(FLAP_PAUSE_MAX);
                self.failed_at = Some(now);
                self.not_before = self.not_before.max(life.opened + pause);
            }
        }
    }

    /// A connection is of use.
    pub(super) fn serves(&mut self, life: Life) {
        if life.end() == End::Proven {
            self.proved(life.opened);
        }
    }

    /// Only a connection that is younger than the latest failure proves anything: an older one may live by a credential
    /// that has been replaced since.
    fn proved(&mut self, opened: Instant) {
        if self.failed_at.is_none_or(|failed_at| opened >= failed_at) {
            self.failures = 0;
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = (self.backoff_min * 2u32.pow(self.failures.min(DOUBLINGS_MAX))).min(self.backoff_max);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + 0.5 * self.fraction())
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

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    fn pacing(now: Instant) -> Pacing {
        Pacing::new(Duration::from_millis(10), MIN, MAX, now)
    }

    fn life(opened: Instant, age: Duration, served: u64) -> Life {
        Life { opened, age, served, has_served: served > 0 }
    }

    #[test]
    fn pauses_grow_to_their_maximum_and_end_with_service() {
        let now = Instant::now();
        let mut pacing = pacing(now);
        let mut pauses = Vec::new();
        let mut at = now;
        for _ in 0..40 {
            pacing.failed(at);
            pauses.push(pacing.not_before() - at);
            at = pacing.not_before();
        }
        assert!(pauses[0] >= MIN / 2 && pauses[0] <= MIN);
        assert!(pauses[39] >= MAX / 2 && pauses[39] <= MAX);
        pacing.serves(life(now, FLAPPING_AGE, 1));
        assert_eq!(pacing.failures(), 40, "it is older than the failures");
        pacing.serves(life(at, Duration::from_secs(1), 1));
        assert_eq!(pacing.failures(), 40, "it may be gone at once");
        pacing.serves(life(at, Duration::from_secs(1), SERVED_ENOUGH));
        pacing.failed(at);
        assert!(pacing.not_before() - at <= MIN);
        assert_eq!(pacing.failures(), 1);
    }

    #[test]
    fn what_an_end_says() {
        let now = Instant::now();
        let (young, old) = (Duration::from_millis(20), FLAPPING_AGE);
        for (age, served, expected, why) in [
            (young, 0, End::Unserved, "it hung up"),
            (young, 2, End::Flap, "GOAWAY every second request"),
            (young, SERVED_ENOUGH, End::Proven, "GOAWAY every 500 requests at a high rate"),
            (old, 1, End::Proven, "little work, but it lasted"),
            (old, 0, End::Proven, "no work, but it lasted"),
        ] {
            assert_eq!(life(now, age, served).end(), expected, "{why}");
        }
        let refused = Life { has_served: false, ..life(now, young, 1_000) };
        assert_eq!(refused.end(), End::Unserved, "each was a refusal of our credential");
    }

    /// 20 ms after each connect its connection ends, having served 2.
    #[test]
    fn connections_that_do_not_last_are_made_ever_more_rarely_but_within_3_s() {
        let now = Instant::now();
        let mut pacing = pacing(now);
        let (mut at, mut connects) = (now, 0);
        while at < now + Duration::from_secs(20) {
            pacing.started(at);
            connects += 1;
            let age = Duration::from_millis(20);
            pacing.left(life(at, age, 2), at + age);
            assert!(pacing.not_before() <= at + Duration::from_secs(3));
            at = pacing.not_before().max(at + age);
        }
        assert!((8..=24).contains(&connects), "{connects}");
    }

    #[test]
    fn one_misfortune_counts_once() {
        let now = Instant::now();
        let mut pacing = pacing(now);
        let age = Duration::from_secs(1);
        for _ in 0..8 {
            pacing.left(life(now, age, 5), now + age);
        }
        assert_eq!(pacing.failures(), 1);
        assert!(pacing.not_before() <= now + age, "it stood for longer than the pause");
    }
}
