//! A queue's figures against what is known of it: by hand, and against a plain model that remembers every arrival.

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

/// What is true of a queue: when each that waits came in.
struct Model {
    seed: u64,
    waiting: VecDeque<u64>,
    settled: u64,
    /// How many a second come in at most, and are settled at most.
    paces: (u64, u64),
}

impl Model {
    /// With a backlog that came in before anybody looked.
    fn new(seed: u64, backlog: u64) -> Self {
        let waiting = (0..backlog).map(|n| n * BEFORE / backlog.max(1)).collect();
        Self { seed, waiting, settled: 0, paces: (0, 0) }
    }

    /// Below `bound`.
    fn any(&mut self, bound: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A second goes by. Now and then the paces change: nothing is settled for long, or nothing comes in, or both flow.
    fn second(&mut self, now: u64) {
        if self.any(600) == 0 {
            self.paces = [(8, 0), (8, 8), (3, 12), (0, 20), (1, 0), (20, 19)][self.any(6) as usize];
        }
        let (come, settled) = self.paces;
        let (come, settled) = (self.any(come + 1), self.any(settled + 1));
        self.waiting.extend((0..come).map(|_| now));
        let settled = settled.min(self.waiting.len() as u64);
        self.waiting.drain(..settled as usize);
        self.settled += settled;
    }

    fn reading(&mut self) -> Reading {
        let (depth, unacked) = (self.waiting.len() as u64, self.any(9));
        let unacked = unacked.min(depth);
        Reading { ready: depth - unacked, unacked, settled: self.settled }
    }
}

/// When a model is looked at for the first time, in seconds.
const BEFORE: u64 = 3600;
/// For how long, in seconds.
const LOOKED_AT: u64 = 8 * 3600;
/// What the broker's counting every five seconds, and being read between two counts, may add to an age, in seconds.
const COUNTED_LATE: f64 = 11.0;

#[test]
fn the_age_of_a_backlog_of_hours_is_known_or_at_least_as_long_as_it_was_watched() {
    let (mut known, mut at_least, mut oldest_of_all) = (0, 0, 0.0_f64);
    for seed in 0..6 {
        let backlog = [0, 50, 40_000][seed as usize % 3];
        let (mut queue, mut model) = (QueueFigures::default(), Model::new(seed, backlog));
        let mut counted = model.reading();
        for second in BEFORE..BEFORE + LOOKED_AT {
            model.second(second);
            if second % 5 == 0 {
                counted = model.reading();
            }
            queue.read(at(second), counted);
            assert!(queue.readings.len() <= READINGS_MAX);
            let told = queue.figures().unwrap().oldest.as_secs_f64();
            let Some(came) = model.waiting.front().copied() else { continue };
            let age = (second - came) as f64;
            let bound = if came >= BEFORE {
                known += 1;
                COUNTED_LATE + age / 12.0
            } else {
                // It was there before anybody looked: never said to be older than it is, nor younger than it was watched.
                at_least += 1;
                assert!(told <= age, "{told} of {age} at {second} of {seed}");
                (came.abs_diff(BEFORE)) as f64 + COUNTED_LATE
            };
            // What was settled since the last count is still thought to be there, and may have been far older.
            let fresh = counted.settled == model.settled && counted.depth() > 0;
            assert!(!fresh || (told - age).abs() <= bound, "{told} of {age} at {second} of {seed}");
            oldest_of_all = oldest_of_all.max(told);
        }
    }
    assert!(
        known > 50_000 && at_least > 10_000 && oldest_of_all > 3600.0,
        "{known} {at_least} {oldest_of_all}"
    );
}

#[test]
fn a_backlog_that_grows_for_a_day_grows_old_all_the_while() {
    let mut queue = QueueFigures::default();
    for count in 0..24 * 720 {
        let second = count * 5;
        queue.read(at(second), Reading { ready: 1000 + count, unacked: 0, settled: 3 });
        assert_eq!(queue.oldest(), Some(Duration::from_secs(second)), "since it was first seen");
        assert!(queue.readings.len() <= READINGS_MAX);
    }
}
