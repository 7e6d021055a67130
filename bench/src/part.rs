//! The processes of a run: what each prints when it is done, and how fast it goes.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::arguments::Part;
use crate::{apns, baseline, http_producer, producer};

/// Runs a part to its end; what it gives is to be printed as one JSON line.
///
/// # Errors
/// What it talks to refuses or is away.
pub fn run(part: &Part) -> Result<serde_json::Value> {
    Ok(match part {
        Part::Producer(arguments) => serde_json::to_value(producer::run(arguments)?)?,
        Part::HttpProducer(arguments) => serde_json::to_value(http_producer::run(arguments)?)?,
        Part::BaselinePublish(arguments) => serde_json::to_value(baseline::publish(arguments)?)?,
        Part::BaselineConsume(arguments) => serde_json::to_value(baseline::consume(arguments)?)?,
        Part::ApnsClient(arguments) => serde_json::to_value(apns::client::run(arguments)?)?,
        Part::ApnsServer(arguments) => apns::server::run(arguments)?,
    })
}

/// The line that the parent waits for; the last line is printed by the command itself.
pub(crate) fn announce(ready: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, ready)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// What a part that submits or publishes says at its end. Times are `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Submitted {
    /// Confirmed notifications.
    pub(crate) confirmed: u64,
    /// Notifications without a confirmation.
    pub(crate) refused: u64,
    /// When it began to submit.
    pub(crate) began_ns: u64,
    /// When the last outcome was there.
    pub(crate) ended_ns: u64,
}

/// What the consuming part of the baseline says: first that it is ready, then at its end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Consumed {
    /// Messages decoded.
    pub(crate) messages: u64,
    /// When the last one was decoded.
    pub(crate) ended_ns: u64,
}

/// Submits evenly: number `n` not before its time.
pub(crate) struct Pace {
    began: Instant,
    per_second: u32,
}

impl Pace {
    /// So many a second; 0 is as fast as it goes.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { began: Instant::now(), per_second }
    }

    /// What it was made with.
    pub(crate) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// How long until number `n` is due.
    pub(crate) fn left(&self, n: u64) -> Duration {
        if self.per_second == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(n as f64 / f64::from(self.per_second)).saturating_sub(self.began.elapsed())
    }

    /// How many are due by now.
    pub(crate) fn due(&self) -> u64 {
        match self.per_second {
            0 => u64::MAX,
            rate => 1 + (self.began.elapsed().as_secs_f64() * f64::from(rate)) as u64,
        }
    }

    /// Waits until number `n` is due.
    pub(crate) async fn wait(&mut self, n: u64) {
        let left = self.left(n);
        if left > Duration::ZERO {
            tokio::time::sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_spreads_evenly() {
        let pace = Pace::new(1000);
        assert_eq!(pace.left(0), Duration::ZERO);
        assert!(pace.left(60_000) > Duration::from_secs(50));
        assert_eq!(Pace::new(0).left(1_000_000), Duration::ZERO);
        assert!((1..1000).contains(&pace.due()));
        assert_eq!(Pace::new(0).due(), u64::MAX);
    }
}
