//! Which connections there should be, and what their coming and going teaches.

use super::Client;
use crate::answer::ConnectFailure;
use crate::connection::{Answered, Config, Connection, Lost};
use crate::credential::Credential;
use crate::dial::{DialError, Dialled, dial};
use crate::link::Link;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// A connection may outlive the age at which its successor is wanted by this much, if there is none.
const OVERTIME: Duration = Duration::from_secs(5 * 60);
/// A connection that ends earlier than this without having served counts as a failure to connect.
const FLAPPING_AGE: Duration = Duration::from_secs(30);
/// Part of a connection's age by which it may be renewed early, so that a fleet does not renew all at once.
const AGE_JITTER: f64 = 0.1;

impl Client {
    /// Retires what is old or unused, and begins a connect if one is wanted and allowed.
    pub(super) fn keep_up(&mut self, now: Instant) {
        self.retire_expired(now);
        if self.connect_wanted_at(now).is_some_and(|at| at <= now) {
            self.pacing.started(now);
            self.turn = self.turn.wrapping_add(1);
            self.connecting.push(Box::pin(dial(self.route.clone(), self.turn)));
        }
    }

    /// Connections that take work and need no successor yet.
    fn in_service(&self, now: Instant) -> usize {
        self.links.iter().filter(|link| is_in_service(link, now)).count()
    }

    fn retire_expired(&mut self, now: Instant) {
        let succeeded = self.links.iter().any(|link| is_in_service(link, now) && link.machine.has_served());
        let mut spare = self.in_service(now).saturating_sub(self.config.connections_min);
        for link in &mut self.links {
            if link.machine.is_retiring() {
                continue;
            }
            let unused = link.machine.in_flight() == 0 && now >= link.last_used + self.config.idle_max;
            if now >= link.expires_at || (succeeded && now >= link.renew_at) {
                link.machine.retire();
            } else if spare > 0 && unused && self.held.is_empty() {
                spare -= 1;
                link.machine.retire();
            }
        }
    }

    /// When the next connect should begin; `None` if none is wanted.
    fn connect_wanted_at(&self, now: Instant) -> Option<Instant> {
        if self.draining && self.held.is_empty() {
            return None;
        }
        let coming = self.connecting.len();
        let there = self.in_service(now) + coming;
        let wanted = if there < self.config.connections_min || (there == 0 && !self.held.is_empty()) {
            now
        } else if there < self.config.connections_max
            && coming == 0
            && self.links.iter().all(|link| link.machine.is_warm() || link.machine.is_retiring())
            && let Some(held) = self.held.front()
        {
            held.since + self.config.grow_after
        } else {
            return None;
        };
        Some(wanted.max(self.pacing.not_before()))
    }

    /// The next instant at which [`Client::keep_up`] has something to do.
    pub(super) fn next_upkeep(&self, now: Instant) -> Option<Instant> {
        let mut at = self.connect_wanted_at(now);
        let mut consider = |instant: Instant| at = Some(at.map_or(instant, |at| at.min(instant)));
        let spare = self.in_service(now) > self.config.connections_min;
        for link in self.links.iter().filter(|link| !link.machine.is_retiring()) {
            consider(if link.renew_at > now { link.renew_at } else { link.expires_at });
            if spare && link.machine.in_flight() == 0 && self.held.is_empty() {
                consider(link.last_used + self.config.idle_max);
            }
        }
        at
    }

    pub(super) fn poll_connecting(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut index = 0;
        while index < self.connecting.len() {
            match self.connecting[index].as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(result) => {
                    drop(self.connecting.swap_remove(index));
                    match result {
                        Ok(dialled) => self.welcome(dialled, now),
                        Err(error) => self.note_failure(error, now),
                    }
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
        self.pacing.failed(now);
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

    pub(super) fn end_link(
        &mut self,
        index: usize,
        lost: Lost,
        cx: &mut Context<'_>,
        now: Instant,
        answers: &mut Vec<Answered>,
    ) {
        let link = self.links.swap_remove(index);
        let counters = link.machine.counters();
        let in_order = link.machine.is_retiring() && link.machine.in_flight() == 0;
        self.ended.connections.add(counters);
        let age = now.saturating_duration_since(link.opened);
        if !link.machine.has_served() && age < FLAPPING_AGE {
            // It never served: without this, a server that accepts and hangs up would be called without pause.
            self.pacing.failed(now);
        }
        if in_order {
            self.ended.retired += 1;
        } else {
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
            Lost::Fault(fault) => {
                self.ended.protocol_faults += 1;
                if counters.replies == 0 {
                    self.note_class(ConnectFailure::Protocol, &fault, now);
                }
            }
            Lost::CertificateRefused => {
                self.note_class(
                    ConnectFailure::ClientCertificate,
                    &"the server refuses our certificate",
                    now,
                );
            }
            Lost::Tunnel => self.ended.tunnels_lost += 1,
            Lost::Cut | Lost::Ours => {}
        }
        link.end(lost, cx, now, answers);
    }

    fn note_class(&mut self, failure: ConnectFailure, detail: &dyn std::fmt::Display, now: Instant) {
        self.ended.connect_failures[failure.index()] += 1;
        self.last_failure = Some((DialError::new(failure, detail), now));
    }
}

fn is_in_service(link: &Link, now: Instant) -> bool {
    !link.machine.is_retiring() && link.renew_at > now
}
