//! One turn of a client: connect, place, write, read, answer, and when to be woken again.

use super::{Client, Held};
use crate::answer::{ConnectFailure, NotSent};
use crate::connection::{Answered, Lost};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// For how long after a 500 other connections are better: long enough for the early retry that 5xx are worth, which is to be
/// on another (`retry_schedule.service`).
const SHUNNED: Duration = Duration::from_secs(5);

impl Client {
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>, answers: &mut Vec<Answered>) -> Poll<()> {
        let known = answers.len();
        self.links.set_task(cx.waker());
        loop {
            let now = Instant::now();
            self.poll_connecting(cx, now);
            self.place_held(now);
            let mut again = self.poll_links(now, answers);
            if self.place_held(now) {
                again |= self.poll_links(now, answers);
            }
            self.return_unsent(now, answers);
            again |= now >= self.upkeep_at && self.keep_up(now);
            if answers.len() > known || (self.wants_room.get() && self.room() > 0) {
                self.wants_room.set(false);
                return Poll::Ready(());
            }
            // What was written may have made room for more of what is held.
            again |= !self.held.is_empty() && self.links.sure_room() > 0;
            if again {
                continue;
            }
            let at = self.next_turn();
            if self.poll_timer(cx, at).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Polls each connection that something has happened to; says whether one ended.
    fn poll_links(&mut self, now: Instant, answers: &mut Vec<Answered>) -> bool {
        let mut ended = false;
        let places = self.links.take_ready(now);
        for place in &places {
            let place = *place;
            // Places of connections that have moved since are entered anew.
            let Some(link) = self.links.get_mut(place) else { continue };
            let (before, was_retiring) = (link.machine.counters(), link.machine.is_retiring());
            let had_served = link.machine.has_served();
            let had_stood = link.machine.has_heard_peer();
            let outcome = link.poll(&*self.gate, &mut self.buffer, now, answers);
            let after = link.machine.counters();
            if !had_stood && link.machine.has_heard_peer() {
                self.stood_at = Some(now);
            }
            if !link.has_left && (outcome.is_err() || link.machine.is_retiring()) {
                link.has_left = true;
                self.pacing.left(link.life(now), now);
            } else if after.replies > before.replies {
                self.pacing.serves(link.life(now));
            }
            if link.machine.is_wearing_out() {
                link.renew_at = link.renew_at.min(now);
            }
            if link.machine.is_retiring() != was_retiring || link.machine.has_served() != had_served {
                self.upkeep_at = now;
            }
            if link.machine.in_flight() == 0 {
                self.upkeep_at = self.upkeep_at.min(now.max(link.last_used + self.config.idle_max));
            }
            let is_done = link.machine.is_retiring() && link.machine.in_flight() == 0;
            if after.goaways > before.goaways {
                self.note_goaway(place);
            }
            if after.faults > before.faults {
                self.links.shun(place, now + SHUNNED);
                self.upkeep_at = now;
            }
            let lost = match outcome {
                Ok(()) if !is_done => {
                    self.links.recount(place);
                    self.links.note_due(place, now);
                    continue;
                }
                Ok(()) => Lost::Ours,
                Err(lost) => lost,
            };
            self.end_link(place, lost, now, answers);
            ended = true;
        }
        self.links.done(places);
        ended
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
            let why = self.why_unsent();
            answers.push(held.returned(NotSent::NoConnection(why), now));
        }
    }

    /// A failure is evidence only as long as no connection has stood since.
    fn why_unsent(&self) -> ConnectFailure {
        match &self.last_failure {
            _ if self.is_connected() => ConnectFailure::Busy,
            Some((error, at)) if !self.has_stood_since(*at) => error.failure,
            _ if self.stood_at.is_some() => ConnectFailure::NotServing,
            _ => ConnectFailure::Timeout,
        }
    }

    /// Whether a connection has stood since.
    pub(super) fn has_stood_since(&self, at: Instant) -> bool {
        self.stood_at.is_some_and(|stood_at| stood_at > at)
    }

    /// The next instant at which something is due without the peer's doing.
    fn next_turn(&self) -> Instant {
        let mut at = self.links.due().min(self.upkeep_at);
        if let Some(held) = self.held.front() {
            at = at.min(held.since + self.config.unsent_max);
        }
        at
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
