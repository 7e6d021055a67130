//! Settings of a producer, each with its bound.

use std::time::Duration;

use skein_core::PoolName;

use crate::link::LinkOptions;

/// How long a caller waits for a notification to be *published*: for a place in the window, for the connection, for a broker
/// that blocks or whose queue is full. What becomes of it then is always waited for, at most
/// [`ProducerOptions::outcome_limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: what cannot go out now comes back as an error.
    No,
    /// So long.
    For(Duration),
    /// Until it is published.
    Forever,
}

/// Everything a producer is told.
#[derive(Clone)]
pub struct ProducerOptions {
    /// The connection.
    pub link: LinkOptions,
    /// The pools that can be submitted to.
    pub pools: Vec<PoolName>,
    /// How many messages (a batch is one) may be taken and without an outcome at once. Bounds memory: a message is at most
    /// 96 KiB.
    pub window: usize,
    /// What [`crate::Producer::submit`] and the seam do.
    pub wait: Wait,
    /// How long after its first publication an outcome is waited for, before it is reported as unknown.
    pub outcome_limit: Duration,
    /// The pause before the second attempt to connect, or to publish what was nacked; doubled each time, with jitter.
    pub backoff_first: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
    /// The AMQP `app_id` of its messages. Skein's front door has one; others need none.
    pub app_id: Option<&'static str>,
}

impl ProducerOptions {
    /// The defaults: a window of 1,000 messages, waiting up to 10 s, outcomes for 60 s, pauses of 50 ms to 2 s.
    pub fn new(link: LinkOptions, pools: Vec<PoolName>) -> Self {
        Self {
            link,
            pools,
            window: 1000,
            wait: Wait::For(Duration::from_secs(10)),
            outcome_limit: Duration::from_secs(60),
            backoff_first: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            app_id: None,
        }
    }

    /// The pause after `failures` failures in a row (from 1), between half and the whole of the doubled one.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        use std::hash::{BuildHasher as _, Hasher as _};
        let doubled = self.backoff_first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let longest = doubled.min(self.backoff_max);
        let random = std::hash::RandomState::new().build_hasher().finish() as u32;
        longest / 2 + longest.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let options = ProducerOptions::new(LinkOptions::new(Vec::new(), "test"), Vec::new());
        for failures in 1..40 {
            let pause = options.pause(failures);
            assert!(pause >= options.backoff_first / 2 && pause <= options.backoff_max, "P8: {pause:?}");
        }
        assert!(options.pause(20) >= options.backoff_max / 2);
    }
}
