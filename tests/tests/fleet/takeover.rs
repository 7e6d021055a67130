//! A fault, as it is remembered until the log tells what it cost.

use std::time::Duration;

use skein_core::Timestamp;

use crate::timeline::{Timeline, Writer};

/// What was done to whom, and which queues it held.
#[derive(Debug, Clone)]
pub struct Fault {
    pub at_ns: u64,
    /// Whose queues they were; the next writer is somebody else (a later life of the same member counts).
    pub writer: Writer,
    pub queues: Vec<u16>,
}

/// What the faults of a row cost, in nanoseconds, one sample for each queue of each fault.
#[derive(Debug, Default)]
pub struct Costs {
    /// From the fault to the read of the next owner's first request.
    pub takeovers: Vec<u64>,
    /// From the last request before it to that one.
    pub gaps: Vec<u64>,
    /// The same with when the takeover was over, the queue's number and the fault's, from 1 on: where to look in the logs.
    pub places: Vec<(u64, u64, u16, usize)>,
    /// Queues that nobody else wrote for.
    pub missing: usize,
}

impl Costs {
    pub fn of(faults: &[Fault], timeline: &Timeline) -> Self {
        let mut costs = Self::default();
        for (number, fault) in faults.iter().enumerate() {
            for queue in &fault.queues {
                let Some(first) = timeline.first_by_another(*queue, fault.at_ns, fault.writer) else {
                    costs.missing += 1;
                    continue;
                };
                costs.takeovers.push(first.at_ns - fault.at_ns);
                costs.places.push((first.at_ns - fault.at_ns, first.at_ns, *queue, number + 1));
                let before = timeline.last_before(*queue, first.at_ns);
                costs.gaps.extend(before.map(|before| first.at_ns - before.at_ns));
            }
        }
        costs
    }

    /// Where it is open whether the owner changes: a queue's longest pause within this time of the fault, and when it was over.
    pub fn of_pauses(faults: &[Fault], timeline: &Timeline, within: Duration) -> Self {
        let mut costs = Self::default();
        for fault in faults {
            for queue in &fault.queues {
                let until_ns = fault.at_ns + within.as_nanos() as u64;
                let Some((begin, end)) = timeline.longest_pause(*queue, fault.at_ns, until_ns) else {
                    costs.missing += 1;
                    continue;
                };
                costs.takeovers.push(end - fault.at_ns);
                costs.gaps.push(end - begin);
            }
        }
        costs
    }
}

/// How many of the slowest are told.
const SLOWEST: usize = 8;

impl Costs {
    /// Tells which takeovers took longest, with the wall clock as the processes' logs have it. `wall_offset_ns`: that minus the log's.
    pub fn tell_slowest(&self, row: &str, wall_offset_ns: i128) {
        let mut places = self.places.clone();
        places.sort_unstable_by(|a, b| b.cmp(a));
        for (took_ns, at_ns, queue, fault) in places.into_iter().take(SLOWEST) {
            let wall_ms = (i128::from(at_ns) + wall_offset_ns) / 1_000_000;
            let at = Timestamp::from_millis(wall_ms as i64);
            eprintln!(
                "{row}: fault {fault}, queue {queue}: taken over after {} ms, at {at}",
                took_ns / 1_000_000
            );
        }
    }
}

/// A quantile of samples, in milliseconds.
pub fn quantile_ms(samples: &[u64], quantile: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let place = ((sorted.len() as f64 * quantile).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).map(|ns| (*ns as f64 / 1e5).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::quantile_ms;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let samples: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        assert_eq!(quantile_ms(&samples, 0.5), Some(50.0));
        assert_eq!(quantile_ms(&samples, 0.95), Some(95.0));
        assert_eq!(quantile_ms(&samples, 1.0), Some(100.0));
        assert_eq!(quantile_ms(&[], 0.5), None);
    }
}
