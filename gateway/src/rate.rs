//! How fast one key may submit: a bucket that fills at the rate and holds the burst.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_core::lease::BootMillis;

/// The buckets of all callers; bounded, since callers are configured.
#[derive(Debug)]
pub(crate) struct Rates {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    burst: f64,
    buckets: HashMap<Arc<str>, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: BootMillis,
}

impl Rates {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let (per_second, burst) = (at_least_one(per_second), at_least_one(burst));
        Self { state: Mutex::new(State { per_second, burst, buckets: HashMap::new() }) }
    }

    /// Puts another rate and burst in force; what is in the buckets stays.
    pub(crate) fn set(&self, per_second: u32, burst: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.per_second, state.burst) = (at_least_one(per_second), at_least_one(burst));
    }

    /// Takes `count` notifications out of a caller's bucket. A request larger than the burst passes a full bucket, and is
    /// paid for afterwards.
    ///
    /// # Errors
    /// How long it takes until they would pass; nothing was taken.
    pub(crate) fn take(&self, caller: &Arc<str>, count: usize, now: BootMillis) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { per_second, burst, buckets } = &mut *state;
        let bucket = buckets.entry(Arc::clone(caller)).or_insert(Bucket { level: *burst, at: now });
        let gained = now.since(bucket.at).as_secs_f64() * *per_second;
        bucket.level = (bucket.level + gained).min(*burst);
        bucket.at = bucket.at.max(now);
        let count = count as f64;
        let missing = count.min(*burst) - bucket.level;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / *per_second));
        }
        bucket.level -= count;
        Ok(())
    }
}

fn at_least_one(n: u32) -> f64 {
    f64::from(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let rates = Rates::new(10, 20);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let at = BootMillis;
        assert_eq!(rates.take(&a, 20, at(0)), Ok(()));
        assert_eq!(rates.take(&a, 1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rates.take(&b, 20, at(0)), Ok(()), "another caller has a bucket of its own");
        assert_eq!(rates.take(&a, 1, at(100)), Ok(()));
        assert_eq!(rates.take(&a, 21, at(1100)), Err(Duration::from_secs(1)));
        assert_eq!(rates.take(&a, 30, at(10_000)), Ok(()), "more than the burst passes a full bucket");
        assert_eq!(rates.take(&a, 1, at(10_000)), Err(Duration::from_millis(1100)), "and is paid for");
        rates.set(110, 20);
        assert_eq!(rates.take(&a, 1, at(10_000)), Err(Duration::from_millis(100)), "another rate in force");
    }
}
