//! A breaker per pool: while APNs refuses the credential, write nothing but one probe at a time; the queue is kept.

use std::time::Duration;

use skein_core::lease::BootMillis;
use skein_core::verdict::PoolAction;

/// The first pause; each further one is twice as long, up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between probes.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How many answers are looked back on for suspect settings.
pub const SUSPECT_WINDOW: u32 = 256;
/// How many suspect answers among them stop the pool: a wrong environment or topic, not single bad tokens.
pub const SUSPECT_MAX: u32 = 128;

/// Whether a pool may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: BootMillis },
    Probing,
}

/// The breaker of one pool on one shard.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    pause: Duration,
    answers: u32,
    suspects: u32,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The pool stopped: alarm once.
    Stopped,
    /// The pool writes again.
    Resumed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, pause: PAUSE_MIN, answers: 0, suspects: 0 }
    }
}

impl Breaker {
    /// How many writes may begin now, of `room`.
    pub fn allows(&self, room: usize, now: BootMillis) -> usize {
        match self.state {
            State::Closed => room,
            State::Open { until } if now >= until => room.min(1),
            State::Open { .. } | State::Probing => 0,
        }
    }

    /// A write began.
    pub fn began(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
    }

    /// When the next probe may begin, if it waits for one.
    pub fn next_probe(&self) -> Option<BootMillis> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing => None,
        }
    }

    /// Whether the pool is stopped.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// An answer came: `action` is what it asks, `accepted` whether APNs took the notification.
    pub fn answered(&mut self, action: PoolAction, accepted: bool, now: BootMillis) -> Change {
        self.answers += 1;
        if action == PoolAction::SuspectSettings {
            self.suspects += 1;
        }
        let suspect = self.suspects >= SUSPECT_MAX;
        if self.answers >= SUSPECT_WINDOW || suspect {
            (self.answers, self.suspects) = (0, 0);
        }
        if action == PoolAction::Pause || suspect {
            let stopped = self.state == State::Closed;
            self.probe_failed();
            self.state = State::Open { until: now.plus(self.pause) };
            return if stopped { Change::Stopped } else { Change::None };
        }
        match self.state {
            State::Closed => Change::None,
            State::Open { .. } if !accepted => Change::None,
            _ if accepted => {
                self.state = State::Closed;
                self.pause = PAUSE_MIN;
                Change::Resumed
            }
            _ => {
                self.probe_failed();
                self.state = State::Open { until: now.plus(self.pause) };
                Change::None
            }
        }
    }

    /// A probe's failure makes the next pause twice as long; what was in flight when the pool stopped does not.
    fn probe_failed(&mut self) {
        if self.state == State::Probing {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_stops_probes_and_resumes() {
        let mut breaker = Breaker::default();
        let t = BootMillis;
        assert_eq!(breaker.allows(10, t(0)), 10);
        assert_eq!(breaker.answered(PoolAction::Pause, false, t(0)), Change::Stopped);
        assert_eq!(
            breaker.answered(PoolAction::Pause, false, t(0)),
            Change::None,
            "the alarm is raised once"
        );
        assert_eq!(breaker.allows(10, t(500)), 0);
        let probe = breaker.next_probe().unwrap();
        assert_eq!(breaker.allows(10, probe), 1);
        breaker.began();
        assert_eq!(breaker.allows(10, probe), 0, "one probe at a time");
        assert_eq!(breaker.answered(PoolAction::None, true, probe), Change::Resumed);
        assert_eq!(breaker.allows(10, probe), 10);
    }

    #[test]
    fn many_bad_tokens_mean_wrong_settings() {
        let mut breaker = Breaker::default();
        for n in 1..SUSPECT_MAX {
            assert_eq!(
                breaker.answered(PoolAction::SuspectSettings, false, BootMillis(0)),
                Change::None,
                "{n}"
            );
        }
        assert_eq!(breaker.answered(PoolAction::SuspectSettings, false, BootMillis(0)), Change::Stopped);
        let mut calm = Breaker::default();
        for n in 0..10_000 {
            let action = if n % 3 == 0 { PoolAction::SuspectSettings } else { PoolAction::None };
            assert_eq!(calm.answered(action, n % 3 != 0, BootMillis(0)), Change::None);
        }
    }

    #[test]
    fn a_probe_that_is_lost_is_tried_again() {
        let mut breaker = Breaker::default();
        breaker.answered(PoolAction::Pause, false, BootMillis(0));
        let probe = breaker.next_probe().unwrap();
        breaker.began();
        breaker.answered(PoolAction::None, false, probe);
        assert!(breaker.next_probe().is_some());
    }
}
