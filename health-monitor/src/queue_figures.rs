//! A queue's figures from one reading to the next: depth, rates, and an estimate of how long its oldest message waits.

use std::collections::VecDeque;
use std::time::Duration;

use skein_core::lease::BootMillis;

/// What the broker counts of a queue at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Waiting.
    pub ready: u64,
    /// Delivered and not settled.
    pub unacked: u64,
    /// Settled, since the queue or the broker began.
    pub settled: u64,
}

/// Readings kept: one that changes nothing is not kept, so it is a long time for an idle queue.
const READINGS_MAX: usize = 256;
/// How often the broker counts (`collect_statistics_interval`). What is read in between is the last count again.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Rates are over about so long.
const RATE_OVER: Duration = Duration::from_secs(10);
/// The load that balance goes by is over about so long.
const LOAD_OVER: Duration = Duration::from_secs(60);

/// A queue's figures.
#[derive(Debug, Clone, Default)]
pub struct QueueFigures {
    readings: VecDeque<(BootMillis, Reading)>,
    last: Option<(BootMillis, Reading)>,
}

/// What a queue's history says at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Waiting.
    pub ready: u64,
    /// Delivered and not settled.
    pub unacked: u64,
    /// What comes in and what is settled, a second; `None` before there are two readings.
    pub rates: Option<(f64, f64)>,
    /// What balance goes by, a second.
    pub load: u32,
    /// How long the oldest message had been there at the last count, estimated; `None` if longer than is remembered.
    pub oldest: Option<Duration>,
}

impl QueueFigures {
    /// What it says; `None` before the first reading.
    pub fn figures(&self) -> Option<Figures> {
        let (_, Reading { ready, unacked, .. }) = self.last?;
        let (rates, load, oldest) = (self.rates(), self.load(), self.oldest());
        Some(Figures { ready, unacked, rates, load, oldest })
    }

    /// Takes in a reading. One whose counters have gone back begins a new history: the broker has restarted.
    pub fn read(&mut self, at: BootMillis, reading: Reading) {
        if self.last.is_some_and(|(_, last)| reading.settled < last.settled) {
            self.readings.clear();
            self.last = None;
        }
        if self.last.is_none_or(|(_, last)| last != reading) {
            // The instant up to which nothing had changed belongs to the history too: rates and ages are counted from there.
            if let Some(last) = self.last.filter(|last| self.readings.back() != Some(last)) {
                self.push(last);
            }
            self.push((at, reading));
        }
        self.last = Some((at, reading));
    }

    fn rates(&self) -> Option<(f64, f64)> {
        self.rates_over(RATE_OVER)
    }

    /// The greater of the two rates, over a longer time.
    fn load(&self) -> u32 {
        self.rates_over(LOAD_OVER).map_or(0, |(come, settled)| come.max(settled).round() as u32)
    }

    /// How long the oldest message had been there when the broker counted last: since as many had come in as are settled now,
    /// by a straight line between two counts. Queues are first in, first out. `None` if that is longer ago than what is remembered.
    fn oldest(&self) -> Option<Duration> {
        let (at, last) = self.last?;
        if last.depth() == 0 {
            return Some(Duration::ZERO);
        }
        let index = self.readings.iter().rposition(|(_, reading)| reading.come() <= last.settled)?;
        let (then, before) = self.readings[index];
        let (until, after) = self.readings.get(index + 1).copied().unwrap_or((at, last));
        let came = after.come().saturating_sub(before.come()).max(1);
        let share = (last.settled - before.come()) as f64 / came as f64;
        let came_at = then.plus(until.since(then).mul_f64(share.min(1.0)));
        Some(self.counted_at()?.since(came_at))
    }

    /// When the broker counted last: when its figures changed last, or, if they have not for long, at most [`COUNT_EVERY`] ago.
    fn counted_at(&self) -> Option<BootMillis> {
        let (at, _) = self.last?;
        let (changed_at, _) = self.readings.back()?;
        let unchanged = at.since(*changed_at);
        Some(changed_at.plus(unchanged.saturating_sub(COUNT_EVERY)))
    }

    fn push(&mut self, reading: (BootMillis, Reading)) {
        if self.readings.len() == READINGS_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    fn rates_over(&self, over: Duration) -> Option<(f64, f64)> {
        let (at, last) = self.last?;
        let first = self.readings.iter().rev().find(|(then, _)| at.since(*then) >= over);
        let (then, first) = *first.or(self.readings.front())?;
        // Between two readings nothing was known to change.
        let seconds = at.since(then).min(over).as_secs_f64();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        (seconds > 0.0).then(|| (rate(last.come(), first.come()), rate(last.settled, first.settled)))
    }
}

impl Reading {
    /// Ready and unacked.
    pub fn depth(&self) -> u64 {
        self.ready + self.unacked
    }

    /// What has come in, by the same count as `settled`.
    fn come(&self) -> u64 {
        self.depth() + self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootMillis {
        BootMillis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn rates_and_age_from_counters() {
        let mut queue = QueueFigures::default();
        assert_eq!((queue.rates(), queue.oldest()), (None, None));
        // 10 a second come in; nothing is settled before second 30, then 20 a second.
        for second in 0..=60u64 {
            let come = second * 10;
            let settled = second.saturating_sub(30) * 20;
            let ready = come - settled;
            queue.read(at(second), Reading { ready, unacked: 0, settled });
            if second == 30 {
                assert_eq!(queue.oldest(), Some(Duration::from_secs(30)));
            }
            if second == 40 {
                // 200 are settled: the head came in at second 20.
                assert_eq!(queue.oldest(), Some(Duration::from_secs(20)));
                assert_eq!(queue.rates(), Some((10.0, 20.0)));
            }
        }
        assert_eq!(queue.oldest(), Some(Duration::ZERO), "it is empty");
        assert_eq!(queue.load(), 10);
        queue.read(at(61), Reading { ready: 5, unacked: 0, settled: 600 });
        queue.read(at(66), Reading { ready: 15, unacked: 0, settled: 600 });
        assert_eq!(queue.oldest(), Some(Duration::from_secs(6)));
        queue.read(at(67), Reading { ready: 5, unacked: 0, settled: 0 });
        assert_eq!(queue.rates(), None, "the broker began anew");
    }

    #[test]
    fn a_queue_that_flows_is_young_between_two_counts_and_one_that_stands_grows_old() {
        let mut queue = QueueFigures::default();
        // The broker counts every five seconds and is read every second: 40 a second come in, and two are always under way.
        let counted = |second: u64| Reading { ready: 0, unacked: 2, settled: second / 5 * 200 };
        for second in 0..30 {
            queue.read(at(second), counted(second));
            let oldest = queue.oldest();
            assert!(second < 5 || oldest < Some(Duration::from_millis(100)), "{oldest:?} at {second}");
        }
        for second in 30..90 {
            queue.read(at(second), counted(25));
        }
        assert!(queue.oldest().unwrap() >= Duration::from_secs(89 - 25 - 5), "{:?}", queue.oldest());
    }

    #[test]
    fn an_idle_queue_costs_nothing() {
        let mut queue = QueueFigures::default();
        for second in 0..10_000 {
            queue.read(at(second), Reading { ready: 3, unacked: 0, settled: 7 });
        }
        assert_eq!(queue.readings.len(), 1);
        assert_eq!(queue.rates(), Some((0.0, 0.0)));
    }
}
