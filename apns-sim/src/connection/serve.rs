//! A whole request: judged, logged, answered.

use std::sync::atomic::Ordering::Relaxed;

use skein_apns::frame::error_code;

use super::answers::{Answer, Decision};
use super::journal::Change;
use super::strikes::Goaway;
use super::{Connection, End, hostile, writer};
use crate::devices::Delivery;
use crate::faults::{
    BAD_DEVICE_TOKEN_WEIGHT, Fate, GoawayForm, LastStream, OVER_LIMIT_TEXT, OverLimit, Stall,
};
use crate::log::NewRow;
use crate::payload;
use crate::reason::Reason;
use crate::request::Head;

impl Connection {
    /// Adds what is wrong with a request's credential and topic to its faults.
    pub(super) fn authorize(&mut self, head: &mut Head, token: Result<(), Reason>) {
        let broadcast = head.broadcast.as_deref();
        let wrong_topic = |reason| if broadcast.is_some() { Reason::TopicMismatch } else { reason };
        if !self.role.serves(broadcast) {
            head.faults.add(Reason::BadPath);
        }
        if let Some(certificate) = &self.certificate {
            match certificate.check(head.topic, self.shared.environment, self.now_ms / 1000) {
                Err(Reason::TopicDisallowed) => head.faults.add(wrong_topic(Reason::TopicDisallowed)),
                Err(reason) => head.faults.add(reason),
                Ok(()) => {}
            }
        } else if !head.authorization {
            head.faults.add(Reason::MissingProviderToken);
        } else if let Err(reason) = token {
            head.faults.add(reason);
        } else {
            self.limit_after_valid_token();
            if let Err(reason) = self.authorization.check_topic(head.topic, &self.tokens) {
                head.faults.add(wrong_topic(reason));
            }
        }
        match head.topic {
            None if self.certificate.is_none() && !head.names_topic() => {
                head.faults.add(Reason::MissingTopic)
            }
            Some(topic)
                if !self.shared.bundles.is_empty() && !self.shared.bundles.contains(&topic.bundle_hash) =>
            {
                head.faults.add(wrong_topic(Reason::TopicDisallowed));
            }
            _ => {}
        }
    }

    fn limit_after_valid_token(&mut self) {
        if !self.shown_valid_token {
            self.shown_valid_token = true;
            self.limit.raise(&mut self.answers.out);
        }
    }

    pub(super) fn is_over_limit(&self) -> bool {
        let open = self.open.len() + self.answers.pending() + self.journal.queued() + self.silent.len();
        self.limit.is_violated_by(open)
    }

    /// `before` is the newest stream within the limit.
    pub(super) fn refuse_over_limit(&mut self, stream: u32, before: u32, head: &Head) {
        self.shared.stats.stream_limit_violations.fetch_add(1, Relaxed);
        let row = self.enter(head, head.id.unwrap_or(0), None);
        if self.goaway.leaves_out(stream) {
            return self.leave_out(row);
        }
        match self.faults.connection.over_limit {
            OverLimit::RefuseStream => self.refuse_stream(stream, row),
            OverLimit::Goaway => {
                self.goaway_form = GoawayForm {
                    data: OVER_LIMIT_TEXT.into(),
                    code: error_code::PROTOCOL_ERROR,
                    last_stream: LastStream::Current,
                    twice: false,
                };
                self.begin_goaway(before);
                self.leave_out(row);
            }
        }
    }

    /// Judges a request and answers it, now or later.
    pub(super) fn serve(&mut self, stream: u32, mut head: Head, body: &[u8]) {
        self.requests += 1;
        head.take_body_length(body.len());
        let id = head.id.unwrap_or_else(|| self.shared.new_id());
        let sequence = payload::sequence(body);
        let row = self.enter(&head, id, sequence);
        if self.goaway.leaves_out(stream) {
            return self.leave_out(row);
        }
        if self.requests >= self.strikes.stall_at {
            self.stalled = true;
            self.shared.stats.stalls.fetch_add(1, Relaxed);
            return;
        }
        if self.requests >= self.strikes.hostile_at {
            self.stalled = true;
            self.shared.stats.hostilities.fetch_add(1, Relaxed);
            return hostile::write(self.faults.hostility(self.number), stream, &mut self.answers.out);
        }
        if self.requests >= self.strikes.wedge_at {
            self.strikes.wedge_at = u64::MAX;
            self.shared.stats.wedges.fetch_add(1, Relaxed);
            self.authorization.wedge(Reason::ExpiredProviderToken);
            head.faults.add(Reason::ExpiredProviderToken);
        }
        if self.requests >= self.strikes.goaway_at {
            self.strikes.goaway_at = u64::MAX;
            self.begin_goaway(stream);
            if self.goaway.leaves_out(stream) {
                return self.leave_out(row);
            }
        }
        let attempt = if self.faults.counts_attempts() { self.shared.attempt(id) } else { 0 };
        let decision = self.decide(&head, id, body, attempt);
        let mut delivery = Delivery { id, token: head.token, sequence, ..Delivery::default() };
        if self.shared.devices.is_some() && matches!(decision, Decision::Accept | Decision::Silence) {
            delivery.topic = head.topic.map_or(0, |topic| topic.hash);
            delivery.collapse = head.collapse;
            delivery.expiration = head.expiration;
            delivery.badge = payload::badge(body);
            delivery.text = payload::text(body);
        }
        let answer = Answer { stream, row, decision, delivery };
        let delay_ns = self.faults.delay_ns(id, attempt);
        if self.faults.stall == Stall::Answers {
            self.answers.hold(answer);
        } else if delay_ns > 0 {
            self.answers.wait_until(self.now_ns + delay_ns, answer);
        } else {
            self.emit(answer);
        }
        if self.requests >= self.strikes.reset_at {
            self.shared.stats.resets.fetch_add(1, Relaxed);
            self.end = Some(End::Reset);
        }
    }

    /// Enters a request into the log, a nanosecond after the one before it.
    fn enter(&mut self, head: &Head, id: u128, sequence: Option<u64>) -> u32 {
        self.shared.stats.requests.fetch_add(1, Relaxed);
        let read_ns = self.read_ns + self.journal.batch_len() as u64;
        let row =
            NewRow { id, token: head.token, sequence, connection: self.number, read_ns, ..NewRow::default() };
        self.journal.read(row.into())
    }

    fn decide(&self, head: &Head, id: u128, body: &[u8], attempt: u32) -> Decision {
        if let Some(broadcast) = &head.broadcast {
            return self.decide_broadcast(head, broadcast, id, body, attempt);
        }
        if let Some(reason) = head.faults.first() {
            return Decision::Refuse(reason, None);
        }
        if self.shared.strictness.json_body
            && serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_err()
        {
            return Decision::Refuse(Reason::PayloadEmpty, None);
        }
        if let Some(reason) = self.shared.token_state(&self.faults, head.token).refusal() {
            return self.refuse_token(reason);
        }
        match self.faults.fate(id, attempt) {
            Fate::Pass => Decision::Accept,
            Fate::Refuse(reason) => self.refuse_token(reason),
            Fate::RefuseStream => Decision::RefuseStream,
            Fate::Silence => Decision::Silence,
            Fate::Odd => Decision::Odd(self.faults.oddity(id, attempt)),
        }
    }

    fn refuse_token(&self, reason: Reason) -> Decision {
        let timestamp =
            if reason.status() == 410 { self.faults.tokens.gone_timestamp.at(self.now_ms) } else { None };
        Decision::Refuse(reason, timestamp)
    }

    /// Writes an answer and tells the log.
    pub(super) fn emit(&mut self, Answer { stream, row, decision, delivery }: Answer) {
        let stats = &self.shared.stats;
        let out = &mut self.answers.out;
        match decision {
            Decision::Accept => {
                stats.accepted.fetch_add(1, Relaxed);
                let sandbox = self.shared.environment == crate::Environment::Sandbox;
                writer::accepted(stream, delivery.id, sandbox.then(|| self.shared.new_id()), out);
                if self.faults.connection.limit_drops {
                    self.limit.raise(out);
                }
                self.journal.change(row, Change::Answered(200, None));
                self.journal.is_queued(row, self.answers.end());
                if self.shared.devices.is_some() {
                    self.journal.deliver(delivery);
                }
            }
            Decision::Refuse(reason, timestamp_ms) => {
                stats.of(reason).fetch_add(1, Relaxed);
                let status = reason.status();
                writer::refused_headers(stream, delivery.id, status, Some(writer::JSON), out);
                if self.faults.connection.limit_drops && (400..500).contains(&status) && status != 410 {
                    self.limit.drop_to_one(out);
                }
                self.journal.change(row, Change::Answered(status, Some(reason)));
                if self.answers.body(stream, row, writer::refused_body(reason, timestamp_ms)) {
                    self.journal.is_queued(row, self.answers.end());
                }
                self.spend_error_budget(reason);
            }
            Decision::Odd(oddity) => {
                stats.odd_answers.fetch_add(1, Relaxed);
                let content = oddity.content();
                writer::refused_headers(
                    stream,
                    delivery.id,
                    oddity.status(),
                    content.map(|(kind, _)| kind),
                    out,
                );
                self.journal.change(row, Change::Answered(oddity.status(), None));
                if content.is_none_or(|(_, text)| self.answers.body(stream, row, text.to_vec())) {
                    self.journal.is_queued(row, self.answers.end());
                }
            }
            Decision::RefuseStream => self.refuse_stream(stream, row),
            Decision::Silence => {
                stats.silent.fetch_add(1, Relaxed);
                self.silent.insert(stream);
                self.journal.change(row, Change::Delivered);
                if self.shared.devices.is_some() && delivery.token != 0 {
                    self.journal.deliver(delivery);
                }
            }
            Decision::Broadcast(reply) => self.emit_broadcast(stream, row, delivery.id, *reply),
        }
    }

    fn spend_error_budget(&mut self, reason: Reason) {
        self.errors += match reason {
            Reason::BadDeviceToken => BAD_DEVICE_TOKEN_WEIGHT,
            other => u64::from((400..500).contains(&other.status()) && other.status() != 410),
        };
        let budget = self.faults.connection.error_budget;
        if budget > 0 && self.errors >= budget {
            self.begin_goaway(self.newest_stream);
        }
    }

    fn refuse_stream(&mut self, stream: u32, row: u32) {
        self.shared.stats.refused_streams.fetch_add(1, Relaxed);
        writer::refuse_stream(stream, &mut self.answers.out);
        self.journal.change(row, Change::Refused);
    }

    fn leave_out(&mut self, row: u32) {
        self.shared.stats.refused_streams.fetch_add(1, Relaxed);
        self.journal.change(row, Change::Refused);
    }

    /// Sends the GOAWAY that the faults ask for; `stream` is the last that is processed.
    pub(super) fn begin_goaway(&mut self, stream: u32) {
        if self.goaway != Goaway::None {
            return;
        }
        self.shared.stats.goaways.fetch_add(1, Relaxed);
        let form = &self.goaway_form;
        let out = &mut self.answers.out;
        self.goaway = match form.last_stream {
            LastStream::Current => Goaway::finish(form, stream, out),
            LastStream::Announced => Goaway::announce(form, self.requests, self.now_ns, out),
            // What was delivered and stays unanswered cannot be disowned.
            LastStream::Zero if !self.silent.is_empty() => Goaway::finish(form, stream, out),
            LastStream::Zero => {
                let goaway = Goaway::finish(form, 0, out);
                for row in self.answers.abandon() {
                    self.journal.change(row, Change::Refused);
                }
                self.open.clear();
                goaway
            }
        };
    }

    /// Follows an announcing GOAWAY with the true one in time, and ends a connection that has nothing left to do.
    pub(super) fn finish_goaway(&mut self) {
        if let Goaway::Announced { at_request, at_ns } = self.goaway
            && (self.requests >= at_request || self.now_ns >= at_ns)
        {
            self.goaway = Goaway::finish(&self.goaway_form, self.newest_stream, &mut self.answers.out);
        }
        if let Goaway::Final { last_stream } = self.goaway
            && self.end.is_none()
            && self.answers.pending() == 0
            && !self.open.keys().any(|stream| *stream <= last_stream)
        {
            self.end = Some(End::Close);
        }
    }
}
