//! The last quarter of an hour, a point a second, in memory: what the charts show.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use skein_core::Timestamp;
use skein_core::lease::BootMillis;

use crate::api::{Fleet, HISTORY_SECONDS, History, Line};

/// From one point to the next.
const STEP: Duration = Duration::from_secs(1);
/// The most lines: pools and senders come and go.
const LINES_MAX: usize = 1024;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Point {
    rate: Option<f32>,
    delay_ms: Option<u32>,
    backlog: Option<u64>,
}

/// The ring.
#[derive(Debug, Default)]
pub struct Ring {
    lines: BTreeMap<(u8, String), VecDeque<Point>>,
    /// How many points every line has.
    points: usize,
    last: Option<(BootMillis, Timestamp)>,
}

const KINDS: [&str; 3] = ["fleet", "pool", "sender"];

impl Ring {
    /// Takes a point if one is due. Seconds that were missed are filled with what is not known.
    pub fn take(&mut self, fleet: &Fleet, now: BootMillis) {
        let steps = match self.last {
            Some((last, _)) => now.since(last).as_millis() / STEP.as_millis(),
            None => 1,
        };
        if steps == 0 {
            return;
        }
        let missed = usize::try_from(steps - 1).unwrap_or(HISTORY_SECONDS).min(HISTORY_SECONDS);
        let points = points(fleet);
        // A pass that was late by one is no gap.
        let unknown = BTreeMap::new();
        let between = if missed == 1 { &points } else { &unknown };
        for _ in 0..missed {
            self.push(between);
        }
        self.push(&points);
        let boot = match self.last {
            // The grid stays: a second that took longer does not shift the others.
            Some((last, _)) => last.plus(STEP * u32::try_from(steps).unwrap_or(u32::MAX)),
            None => now,
        };
        self.last = Some((boot, fleet.at));
    }

    /// The whole of it.
    pub fn history(&self) -> History {
        let points = u32::try_from(self.points.saturating_sub(1)).unwrap_or(0);
        let from = self.last.map(|(_, at)| at.minus(STEP * points)).unwrap_or_default();
        let lines = self.lines.iter().map(|((kind, name), line)| Line {
            kind: KINDS[usize::from(*kind)].to_owned(),
            name: name.clone(),
            rate: line.iter().map(|point| point.rate).collect(),
            delay_ms: line.iter().map(|point| point.delay_ms).collect(),
            backlog: line.iter().map(|point| point.backlog).collect(),
        });
        History { from, step_ms: STEP.as_millis() as u64, lines: lines.collect() }
    }

    fn push(&mut self, points: &BTreeMap<(u8, String), Point>) {
        for key in points.keys() {
            if self.lines.len() < LINES_MAX && !self.lines.contains_key(key) {
                let unknown = std::iter::repeat_n(Point::default(), self.points);
                self.lines.insert(key.clone(), unknown.collect());
            }
        }
        let full = self.points == HISTORY_SECONDS;
        for (key, line) in &mut self.lines {
            if full {
                line.pop_front();
            }
            line.push_back(points.get(key).copied().unwrap_or_default());
        }
        self.points += usize::from(!full);
        // What has not been there for the whole time is gone.
        self.lines.retain(|(kind, _), line| *kind == 0 || line.iter().any(|p| *p != Point::default()));
    }
}

fn points(fleet: &Fleet) -> BTreeMap<(u8, String), Point> {
    let mut points = BTreeMap::new();
    let mut all = Point::default();
    for sender in fleet.senders.iter().filter(|sender| sender.incarnation.is_some()) {
        let rate = sender.per_second.map(|rate| rate as f32);
        let point = Point { rate, delay_ms: sender.delay_ms, backlog: sender.held.map(u64::from) };
        all.rate = sum(all.rate, rate);
        all.delay_ms = all.delay_ms.max(sender.delay_ms);
        points.insert((2, sender.member.to_string()), point);
    }
    for queue in &fleet.queues {
        let pool: &mut Point = points.entry((1, queue.queue.pool.to_string())).or_default();
        pool.rate = sum(pool.rate, queue.out_per_second.map(|rate| rate as f32));
        pool.backlog = sum(pool.backlog, queue.depth);
        let oldest = queue.oldest_ms.map(|oldest| u32::try_from(oldest).unwrap_or(u32::MAX));
        pool.delay_ms = pool.delay_ms.max(oldest);
        all.backlog = sum(all.backlog, queue.depth);
    }
    points.insert((0, String::new()), all);
    points
}

/// What is known of two.
fn sum<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_a_second_and_gaps_are_gaps() {
        let mut ring = Ring::default();
        let at = |seconds: u64| (BootMillis(seconds * 1000), Timestamp::from_secs(seconds as i64));
        for second in (0..10).chain(12..2_000) {
            let (boot, at) = at(second);
            let fleet = Fleet { at, ..Fleet::default() };
            ring.take(&fleet, boot);
            ring.take(&fleet, boot);
        }
        let history = ring.history();
        assert_eq!(history.lines.len(), 1);
        assert_eq!(history.lines[0].rate.len(), HISTORY_SECONDS);
        assert_eq!(history.from, Timestamp::from_secs(2_000 - HISTORY_SECONDS as i64));
    }
}
