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

/// Readings kept: one that changes nothing is not kept, and where there are more, those are left out that lie closest together for their
/// age. So many reach over days, none further from the next than a twelfth of its age.
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
    /// How long the oldest message had been there at the last count, estimated; where it was there before this queue was first read
    /// or the broker began to count anew, since then: at least so long.
    pub oldest: Duration,
}

impl QueueFigures {
    /// What it says; `None` before the first reading.
    pub fn figures(&self) -> Option<Figures> {
        let (_, Reading { ready, unacked, .. }) = self.last?;
        let (rates, load, oldest) = (self.rates(), self.load(), self.oldest()?);
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
    /// by a straight line between two counts. Queues are first in, first out. If that is longer ago than what is remembered, at least as
    /// long as that.
    fn oldest(&self) -> Option<Duration> {
        let (at, last) = self.last?;
        if last.depth() == 0 {
            return Some(Duration::ZERO);
        }
        let Some(index) = self.head_came_after() else {
            let (first, _) = self.readings.front()?;
            return Some(self.counted_at()?.since(*first));
        };
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

    /// The last reading at which all that had come in is settled now.
    fn head_came_after(&self) -> Option<usize> {
        let (_, last) = self.last?;
        self.readings.iter().rposition(|(_, reading)| reading.come() <= last.settled)
    }

    fn push(&mut self, reading: (BootMillis, Reading)) {
        if self.readings.len() == READINGS_MAX {
            self.forget_one(reading.0);
        }
        self.readings.push_back(reading);
    }

    /// Leaves out the reading whose neighbours lie closest together for their age, but never the first: nobody else knows since when at
    /// least what is still there has waited. What was settled long ago tells nothing any more.
    fn forget_one(&mut self, now: BootMillis) {
        let settled = self.head_came_after().unwrap_or(0);
        let old = self.readings.partition_point(|(at, _)| now.since(*at) > LOAD_OVER);
        let needless = settled.min(old.saturating_sub(1));
        self.readings.drain(..needless);
        if needless > 0 {
            return;
        }
        let share = |index: usize| {
            let [before, after] = [index - 1, index + 1].map(|index| self.readings[index].0);
            after.since(before).as_secs_f64() / now.since(before).as_secs_f64().max(f64::EPSILON)
        };
        let least = (1..READINGS_MAX - 1).min_by(|a, b| share(*a).total_cmp(&share(*b)));
        if let Some(index) = least {
            self.readings.remove(index);
        }
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
mod tests;
