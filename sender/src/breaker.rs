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
/// How many suspect answers stop it when nothing at all was accepted between them.
pub const SUSPECT_RUN_MAX: u32 = 32;
/// So many connections that refused the credential, none between that did not, stop the pool though each took something before: a
/// provider token that is made at the limit of its age is good for the rest of a second.
pub const REFUSED_RUN: usize = 4;

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
    /// Suspect answers since one was accepted.
    run: u32,
    /// The connection whose credential was refused, if nothing was accepted since.
    refused_on: Option<u32>,
    /// The newest connections that took something or refused the credential, and whether they refused it.
    newest: [(u32, bool); REFUSED_RUN],
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
        Self {
            state: State::Closed,
            pause: PAUSE_MIN,
            answers: 0,
            suspects: 0,
            run: 0,
            refused_on: None,
            newest: [(0, false); REFUSED_RUN],
        }
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

    /// An answer came: `action` is what it asks, `accepted` whether APNs took the notification, `connection` the sender's number of
    /// the connection it came on.
    pub fn answered(
        &mut self,
        action: PoolAction,
        accepted: bool,
        connection: u32,
        now: BootMillis,
    ) -> Change {
        if self.stops(action, accepted, connection) {
            let stopped = self.state == State::Closed;
            self.stop(now);
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
                self.stop(now);
                Change::None
            }
        }
    }

    /// Whether an answer, with those before it, stops the pool.
    fn stops(&mut self, action: PoolAction, accepted: bool, connection: u32) -> bool {
        self.answers += 1;
        if accepted {
            (self.run, self.refused_on) = (0, None);
            self.note(connection, false);
        }
        let stops = match action {
            PoolAction::None => false,
            PoolAction::Pause => true,
            PoolAction::SuspectSettings => {
                self.suspects += 1;
                self.run += 1;
                self.suspects >= SUSPECT_MAX || self.run >= SUSPECT_RUN_MAX
            }
            PoolAction::SuspectCredential => {
                // The transport gives a connection up that is answered so: what else it answers was written before.
                let another_refused = *self.refused_on.get_or_insert(connection) != connection;
                self.note(connection, true);
                another_refused || self.newest.iter().all(|(_, refused)| *refused)
            }
        };
        if self.answers >= SUSPECT_WINDOW || stops {
            (self.answers, self.suspects) = (0, 0);
        }
        stops
    }

    fn note(&mut self, connection: u32, refused: bool) {
        match self.newest.iter_mut().find(|(known, _)| *known == connection) {
            Some(known) => known.1 |= refused,
            None => {
                self.newest.rotate_right(1);
                self.newest[0] = (connection, refused);
            }
        }
    }

    /// A probe's failure makes the next pause twice as long; what was in flight when the pool stopped does not.
    fn stop(&mut self, now: BootMillis) {
        if self.state == State::Probing {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        self.state = State::Open { until: now.plus(self.pause) };
    }
}

#[cfg(test)]
#[path = "breaker/tests.rs"]
mod tests;
