//! Which connections there should be, and what their coming and going teaches.

use super::Client;
use super::links::IDLE_TURN;
use super::need::{Bounds, Need, connections_wanted};
use crate::connection::{Answered, Config, Connection, Lost};
use crate::credential::Credential;
use crate::dial::{DialError, Dialled, dial};
use crate::link::Link;
use futures_util::StreamExt;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// A connection may outlive the age at which its successor is wanted by this much, if there is none.
const OVERTIME: Duration = Duration::from_secs(5 * 60);
/// Part of a connection's age by which it may be renewed early, so that a fleet does not renew all at once.
const AGE_JITTER: f64 = 0.1;

/// Connects under way at once.
const CONNECTING_MAX: usize = 16;
/// While requests are held, the number of connections is thought over this often.
const THINK_TURN: Duration = Duration::from_millis(10);

/// The connections that are not retiring, counted.
#[derive(Default)]
struct Census {
    /// Young enough, whatever they take now.
    young: usize,
    /// Of these, those that have not gone silent.
    sound: usize,
    /// Of these, those that take requests without a limit of the handshake's.
    warm: usize,
    /// Young ones that have served.
    served: usize,
    /// A young one is shunned for a fault of the service.
    is_one_shunned: bool,
    aged: usize,
    aged_in_use: usize,
    /// Of one that is warm.
    per_second: Option<f64>,
}

impl Client {
    /// Retires what is old or unused, and begins a connect if one is wanted and allowed; says whether one was begun.
    pub(super) fn keep_up(&mut self, now: Instant) -> bool {
        self.thought_at = now;
        let mut census = self.census(now);
        if self.retire_beyond(census.young, now) > 0 {
            census = self.census(now);
        }
        let wanted = self.wanted(&census, now);
        self.retire_old(&census, wanted, now);
        self.retire_unused(&census, now);
        self.upkeep_at = self.upkeep_due(now);
        let coming = self.connecting.len();
        let is_wanted = census.sound + coming < wanted && census.young + coming < self.config.connections_max;
        if !is_wanted || coming >= CONNECTING_MAX {
            return false;
        }
        let at = self.pacing.not_before();
        if now < at {
            self.upkeep_at = self.upkeep_at.min(at);
            return false;
        }
        self.pacing.started(now);
        self.upkeep_at = self.upkeep_at.min(self.pacing.not_before());
        self.turn = self.turn.wrapping_add(1);
        self.connecting.push(Box::pin(dial(self.route.clone(), self.turn)));
        true
    }

    fn census(&self, now: Instant) -> Census {
        let mut census = Census::default();
        for link in self.links.iter().filter(|link| !link.machine.is_retiring()) {
            if link.renew_at <= now {
                census.aged += 1;
                census.aged_in_use += usize::from(link.machine.in_flight() > 0);
                continue;
            }
            census.young += 1;
            census.served += usize::from(link.machine.has_served());
            if link.machine.is_suspect() {
                continue;
            }
            census.sound += 1;
            census.is_one_shunned |= link.shunned_until > now;
            if link.machine.is_warm() {
                census.warm += 1;
                census.per_second = census.per_second.or(link.machine.per_second());
            }
        }
        census
    }

    fn wanted(&self, census: &Census, now: Instant) -> usize {
        if self.draining && self.held.is_empty() {
            return 0;
        }
        let need = Need {
            warm: census.warm,
            aged_in_use: census.aged_in_use,
            held: self.held.len(),
            waited: self
                .held
                .front()
                .map_or(Duration::ZERO, |held| now.saturating_duration_since(held.since)),
            per_second: census.per_second,
        };
        let bounds = Bounds {
            // What met a fault of the service has another connection to be tried on.
            min: if census.is_one_shunned {
                self.config.connections_min.max(2)
            } else {
                self.config.connections_min
            },
            max: self.config.connections_max,
            wait_max: self.config.grow_after,
        };
        connections_wanted(need, bounds)
    }

    /// Each young connection that has served lets one go that is past its age; without a young one they go on for a while.
    fn retire_old(&mut self, census: &Census, wanted: usize, now: Instant) {
        let kept = if census.served == 0 { census.aged } else { wanted.saturating_sub(census.served) };
        let mut surplus = census.aged.saturating_sub(kept);
        for link in self.links.iter_mut().filter(|link| !link.machine.is_retiring()) {
            if now >= link.expires_at {
                link.retire();
            } else if surplus > 0 && link.renew_at <= now {
                surplus -= 1;
                link.retire();
            }
        }
    }

    fn retire_unused(&mut self, census: &Census, now: Instant) {
        let mut spare = census.young.saturating_sub(self.config.connections_min);
        let idle_max = self.config.idle_max;
        for link in self.links.iter_mut() {
            if spare > 0 && self.held.is_empty() && link.is_unused(now) && now >= link.last_used + idle_max {
                spare -= 1;
                link.retire();
            }
        }
    }

    /// Retires what is more than there may be, which is so only once the bound was lowered, those in trouble first; says how many.
    fn retire_beyond(&mut self, young: usize, now: Instant) -> usize {
        let surplus = young.saturating_sub(self.config.connections_max);
        if surplus == 0 {
            return 0;
        }
        let links = self.links.iter_mut();
        let mut young: Vec<_> =
            links.filter(|link| !link.machine.is_retiring() && link.renew_at > now).collect();
        young.sort_by_key(|link| !link.machine.is_suspect() && link.shunned_until <= now);
        young.into_iter().take(surplus).for_each(|link| link.retire());
        surplus
    }

    /// The next instant at which age, disuse or a held request may change something.
    fn upkeep_due(&self, now: Instant) -> Instant {
        let mut at = now + IDLE_TURN;
        let spare = self.links.len() > self.config.connections_min && self.held.is_empty();
        for link in self.links.iter().filter(|link| !link.machine.is_retiring()) {
            at = at.min(if link.renew_at > now { link.renew_at } else { link.expires_at });
            if spare && link.is_unused(now) {
                at = at.min((link.last_used + self.config.idle_max).max(now + THINK_TURN));
            }
        }
        if self.held.is_empty() { at } else { at.min(now + THINK_TURN) }
    }

    /// Something waits: the number of connections is thought over, but not in each turn.
    pub(super) fn think_soon(&mut self, now: Instant) {
        self.upkeep_at = self.upkeep_at.min(now.max(self.thought_at + THINK_TURN));
    }

    /// Carries connects on.
    pub(super) fn poll_connecting(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(Some(result)) = self.connecting.poll_next_unpin(cx) {
            self.upkeep_at = now;
            match result {
                Ok(dialled) => self.welcome(dialled, now),
                Err(error) => {
                    self.note_failure(error, now);
                    self.pacing.failed(now);
                }
            }
        }
    }

    fn welcome(&mut self, dialled: Dialled, now: Instant) {
        let number = self.next_number;
        self.next_number += 1;
        let (authorization, age) = match &self.credential {
            Credential::Token(key) => (Some(key.authorization(SystemTime::now())), self.config.token_age_max),
            Credential::Certificate(_) => (None, self.config.connection_age_max),
        };
        let machine = Connection::new(
            Config {
                number,
                authority: self.config.endpoint.authority(),
                one_stream_until_accepted: authorization.is_some(),
                authorization,
                streams_max: self.config.streams_max,
                request_timeout: self.config.request_timeout,
                settings_wait: dialled.time_left,
                ping_after: self.config.ping_after,
                ping_wait: self.config.ping_wait,
                idle_ping_after: self.config.idle_ping_after,
                refusals_max: self.config.refusals_max,
                deadlines_missed_max: self.config.deadlines_missed_max,
            },
            now,
        );
        let mut link = Link::new(dialled, machine, number, now);
        let early = self.pacing.fraction() * AGE_JITTER;
        link.renew_at = now + age.mul_f64(1.0 - early);
        link.expires_at = now + age + OVERTIME;
        tracing::debug!(connection = number, address = %link.address, "connected to apns");
        self.links.push(link);
        self.ended.connects += 1;
    }

    fn note_failure(&mut self, error: DialError, now: Instant) {
        tracing::debug!(class = error.failure.label(), detail = %error.detail, "can't connect to apns");
        self.ended.connect_failures[error.failure.index()] += 1;
        self.last_failure = Some((error, now));
    }

    pub(super) fn note_goaway(&mut self, index: usize) {
        let link = &self.links[index];
        if let Some(goaway) = link.machine.goaway() {
            tracing::info!(
                connection = link.number,
                last_stream_id = goaway.last_stream_id,
                code = goaway.code,
                reason = goaway.reason.as_ref().map(|reason| reason.label()),
                "apns ends a connection"
            );
            self.last_goaway = Some(goaway.clone());
        }
    }

    pub(super) fn end_link(&mut self, index: usize, lost: Lost, now: Instant, answers: &mut Vec<Answered>) {
        let link = self.links.swap_remove(index);
        self.upkeep_at = now;
        let counters = link.machine.counters();
        let in_order = link.machine.is_retiring() && link.machine.in_flight() == 0;
        let has_stood = link.machine.has_heard_peer();
        self.ended.connections.add(counters);
        let age = now.saturating_duration_since(link.opened);
        if in_order {
            self.ended.retired += 1;
        } else if has_stood {
            self.ended.connections_lost += 1;
            self.last_lost = Some(lost.label());
            tracing::info!(
                connection = link.number,
                why = lost.label(),
                in_flight = link.machine.in_flight(),
                age_s = age.as_secs(),
                "lost a connection to apns"
            );
        }
        match lost {
            Lost::Silent => self.ended.silent += 1,
            Lost::Fault(_) => self.ended.protocol_faults += 1,
            Lost::Tunnel if has_stood => self.ended.tunnels_lost += 1,
            _ => {}
        }
        let is_of_connecting = !has_stood || matches!(lost, Lost::Fault(_) | Lost::CertificateRefused);
        if is_of_connecting && !in_order && counters.replies == 0 {
            self.note_failure(connect_error(lost), now);
        }
        link.end(lost, &mut Context::from_waker(Waker::noop()), now, answers);
    }
}

/// What the end of a connection that had not begun to serve says of connecting.
fn connect_error(lost: Lost) -> DialError {
    let what = match lost {
        Lost::Fault(fault) => return DialError::new(lost.of_connecting(), fault),
        Lost::Cut => "the server hangs up before it speaks http/2; it may refuse our certificate",
        Lost::Tunnel => "the tunnel ended before apns spoke",
        Lost::Silent | Lost::Mute => "connected, but the server does not speak http/2",
        Lost::CertificateRefused => "the server refuses our certificate",
        Lost::Ours => "we ended it",
    };
    DialError::new(lost.of_connecting(), what)
}
