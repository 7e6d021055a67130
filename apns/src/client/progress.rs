//! One turn of a client: connect, place, write, read, answer, and when to be woken again.

use super::{Client, Held};
use crate::answer::{ConnectFailure, NotSent};
use crate::connection::{Answered, Lost};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Without anything due, a client looks around this often.
const IDLE_TURN: Duration = Duration::from_secs(60);
/// How often a shut gate is asked again.
const GATE_TURN: Duration = Duration::from_millis(20);

impl Client {
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>, answers: &mut Vec<Answered>) -> Poll<()> {
        let known = answers.len();
        loop {
            let now = Instant::now();
            self.keep_up(now);
            self.poll_connecting(cx, now);
            self.place_held(now);
            let ended = self.poll_links(cx, now, answers);
            if self.place_held(now) {
                self.flush_links(cx);
            }
            self.return_unsent(now, answers);
            if answers.len() > known || (self.wants_room.get() && self.room() > 0) {
                self.wants_room.set(false);
                return Poll::Ready(());
            }
            if ended {
                continue;
            }
            let at = self.next_turn(now);
            if self.poll_timer(cx, at).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Polls each connection once; says whether one ended.
    fn poll_links(&mut self, cx: &mut Context<'_>, now: Instant, answers: &mut Vec<Answered>) -> bool {
        let mut ended = false;
        let mut index = 0;
        while index < self.links.len() {
            let link = &mut self.links[index];
            let (replies, goaways) = (link.machine.counters().replies, link.machine.counters().goaways);
            let outcome = link.poll(cx, &*self.gate, &mut self.buffer, now, answers);
            if link.machine.counters().replies > replies && link.machine.has_served() {
                self.pacing.served(link.opened);
            }
            if link.machine.counters().goaways > goaways {
                self.note_goaway(index);
            }
            let link = &self.links[index];
            match outcome {
                Ok(()) if link.machine.is_retiring() && link.machine.in_flight() == 0 => {
                    self.end_link(index, Lost::Ours, cx, now, answers);
                    ended = true;
                }
                Ok(()) => index += 1,
                Err(lost) => {
                    self.end_link(index, lost, cx, now, answers);
                    ended = true;
                }
            }
        }
        ended
    }

    fn flush_links(&mut self, cx: &mut Context<'_>) {
        for link in &mut self.links {
            // A connection that breaks here is found broken by its next read.
            let _ = link.flush(cx, &*self.gate);
        }
    }

    /// Gives held requests to connections, oldest first; says whether any went.
    fn place_held(&mut self, now: Instant) -> bool {
        let before = self.held.len();
        while let Some(Held { request, since }) = self.held.pop_front() {
            if let Err(request) = self.place(request, since, now) {
                self.held.push_front(Held { request, since });
                break;
            }
        }
        self.held.len() < before
    }

    fn return_unsent(&mut self, now: Instant, answers: &mut Vec<Answered>) {
        while let Some(held) = self.held.front()
            && now >= held.since + self.config.unsent_max
            && let Some(held) = self.held.pop_front()
        {
            self.ended.unsent += 1;
            let in_service = self.links.iter().any(|link| !link.machine.is_retiring());
            let why = match &self.last_failure {
                Some((error, _)) if !in_service => error.failure,
                _ => ConnectFailure::Busy,
            };
            answers.push(held.returned(NotSent::NoConnection(why), now));
        }
    }

    /// The next instant at which something is due without the peer's doing.
    fn next_turn(&self, now: Instant) -> Instant {
        let mut at = now + IDLE_TURN;
        for link in &self.links {
            at = at.min(link.machine.poll_timeout());
            if link.is_gated {
                at = at.min(now + GATE_TURN);
            }
        }
        if let Some(held) = self.held.front() {
            at = at.min(held.since + self.config.unsent_max);
        }
        at.min(self.next_upkeep(now).unwrap_or(at))
    }

    /// Ready when `at` has come. The timer is only ever moved to an earlier instant, since moving it costs more than a
    /// turn for nothing.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) => {
                if at < self.timer_at {
                    timer.as_mut().reset(at.into());
                    self.timer_at = at;
                }
                timer
            }
            none => {
                self.timer_at = at;
                none.insert(Box::pin(tokio::time::sleep_until(at.into())))
            }
        };
        let poll = timer.as_mut().poll(cx);
        if poll.is_ready() {
            self.timer = None;
        }
        poll
    }
}
