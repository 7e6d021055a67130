//! One HTTP/2 connection to APNs, sans-I/O: bytes and time in, bytes and answers out.
//!
//! The owner hands received bytes to [`Connection::recv`], writes [`Connection::outgoing`] to the peer and says how much
//! it wrote, and calls [`Connection::on_timeout`] when [`Connection::poll_timeout`] has come. Each request that
//! [`Connection::send`] takes gets exactly one answer, at the latest from [`Connection::close`].

mod budget;
mod call;
mod config;
mod flood;
mod flow;
mod frames_out;
mod goaway;
mod pace;
mod receive;
mod settings;
mod streams;
mod timers;

pub(crate) use call::{Call, Heard};
pub use config::{Config, Fault};
pub use goaway::GoAway;
pub use timers::Lost;

use crate::answer::{Answer, Evidence, InDoubt, NotSent};
use crate::body::ErrorBody;
use crate::frame::{self, FrameHeader, error_code, flag, kind};
use crate::header_block::HeaderBlocks;
use crate::hpack::Decoder;
use crate::request::Request;
use budget::Budget;
use config::HEADER_TABLE_BYTES;
use flood::Flood;
use flow::{ReceiveWindow, Sending};
use pace::Pace;
use receive::Inbox;
use settings::Peer;
use std::collections::VecDeque;
use std::time::Instant;
use streams::{NOT_QUEUED, Stream, Streams};
use timers::Timers;

/// A key of the caller and what became of its request.
pub type Answered = (u64, Answer);

/// What a connection has seen, as growing counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests taken.
    pub writes: u64,
    /// Answers of APNs, refusals included.
    pub replies: u64,
    /// Replies with status 200.
    pub accepted: u64,
    /// Replies with status 500 or more: faults of the server that answers here, or of the whole service.
    pub faults: u64,
    /// PINGs sent to a silent peer.
    pub pings: u64,
    /// PINGs of ours that the peer answered.
    pub pongs: u64,
    /// GOAWAY frames received.
    pub goaways: u64,
    /// RST_STREAM frames received for open streams.
    pub resets: u64,
    /// Requests whose deadline passed.
    pub deadlines: u64,
}

/// The state machine of one connection.
pub struct Connection {
    config: Config,
    out: Vec<u8>,
    /// Where in `out` the bytes begin that were not handed over yet.
    out_start: usize,
    /// Bytes handed over since the connection began.
    flushed: u64,
    blocks: HeaderBlocks,
    decoder: Decoder,
    inbox: Inbox,
    flood: Flood,
    peer: Peer,
    /// Whether more than one stream may be open: with a provider token not before a reply has shown that it is taken.
    proven: bool,
    has_served: bool,
    streams: Streams,
    sending: Sending,
    /// Streams that wait for a window, oldest first.
    blocked: VecDeque<u32>,
    receive_window: ReceiveWindow,
    timers: Timers,
    pace: Pace,
    goaway: Option<GoAway>,
    retired: bool,
    /// Replies that were neither 200 nor 410.
    refusals: Budget,
    /// Missed deadlines in a row.
    missed: u32,
    counters: Counters,
    /// What answered calls heard, until it is taken.
    heard: Vec<(u64, Box<Heard>)>,
}

impl Connection {
    /// Begins a connection: the preface and our SETTINGS are in [`Connection::outgoing`] at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut out = Vec::with_capacity(64 * 1024);
        out.extend_from_slice(frame::PREFACE);
        settings::encode_ours(&mut out);
        let mut receive_window = ReceiveWindow::new();
        receive_window.open(&mut out);
        Self {
            blocks: HeaderBlocks::new(config.authority.clone(), config.authorization.clone()),
            decoder: Decoder::new(HEADER_TABLE_BYTES),
            inbox: Inbox::new(),
            flood: Flood::new(now),
            peer: Peer::new(),
            proven: !config.one_stream_until_accepted,
            has_served: false,
            streams: Streams::new(),
            sending: Sending::new(),
            blocked: VecDeque::new(),
            receive_window,
            timers: Timers::new(now),
            pace: Pace::new(now),
            goaway: None,
            retired: false,
            refusals: Budget::default(),
            missed: 0,
            counters: Counters::default(),
            heard: Vec::new(),
            out,
            out_start: 0,
            flushed: 0,
            config,
        }
    }

    /// Opens a stream for `request` and queues its frames; `accepted` is when the caller got it, for its duration.
    /// Without [room](Connection::room) the request comes back.
    #[expect(clippy::result_large_err, reason = "the request itself comes back")]
    pub fn send(&mut self, request: Request, accepted: Instant, now: Instant) -> Result<(), Request> {
        if self.room() == 0 {
            return Err(request);
        }
        if self.streams.open() == 0 {
            self.timers.work_begins(now);
        }
        let id = self.streams.next_id();
        let end_stream = if request.payload.is_empty() { flag::END_STREAM } else { 0 };
        self.push_header_block(id, end_stream, &request);
        let mut stream = Stream::new(request.key, id, accepted, now + self.config.request_timeout);
        if request.payload.is_empty() {
            stream.end = self.queued_end();
        }
        let payload_bytes = request.payload.len();
        stream.rest = request.payload;
        let slot = self.streams.insert(stream);
        self.counters.writes += 1;
        self.push_body(slot);
        if self.streams.get(slot).end == NOT_QUEUED {
            self.blocked.push_back(slot);
        }
        self.pace.sent(payload_bytes);
        self.retired |= self.streams.are_used_up();
        Ok(())
    }

    /// Bytes to write to the peer.
    pub fn outgoing(&self) -> &[u8] {
        &self.out[self.out_start..]
    }

    /// The first `bytes` of [`Connection::outgoing`] were handed over and can't be taken back: from here on the requests
    /// that end in them are *written*.
    pub fn wrote(&mut self, bytes: usize) {
        self.out_start += bytes;
        self.flushed += bytes as u64;
        debug_assert!(self.out_start <= self.out.len());
        if self.out_start == self.out.len() {
            self.out.clear();
            self.out_start = 0;
        }
    }

    /// Takes no more requests; those that are open go on.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether no more requests are taken: GOAWAY, [`Connection::retire`], ids used up, or answers that say so.
    pub fn is_retiring(&self) -> bool {
        self.retired || self.goaway.is_some()
    }

    /// Whether a successor is wanted although it still takes requests: its stream ids are running out.
    pub fn is_wearing_out(&self) -> bool {
        self.streams.are_running_out()
    }

    /// Whether a PING into its silence is unanswered so far.
    pub fn is_suspect(&self) -> bool {
        self.timers.is_waiting()
    }

    /// Whether SETTINGS have come and, with a provider token, a first reply that did not refuse it.
    pub fn is_warm(&self) -> bool {
        self.peer.has_spoken && self.proven
    }

    /// Whether a reply has come that did not refuse our credential.
    pub fn has_served(&self) -> bool {
        self.has_served
    }

    /// Whether the peer's SETTINGS have come.
    pub fn has_heard_peer(&self) -> bool {
        self.peer.has_spoken
    }

    /// Whether the peer's SETTINGS have come and it is not retiring.
    pub fn is_in_service(&self) -> bool {
        self.peer.has_spoken && !self.is_retiring()
    }

    /// Whether the peer has shown that it reads what we write: it has acknowledged our SETTINGS or a PING, or replied.
    pub fn has_been_read(&self) -> bool {
        self.peer.has_answered
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.streams.open()
    }

    /// The peer's GOAWAY, the last one if there were several.
    pub fn goaway(&self) -> Option<&GoAway> {
        self.goaway.as_ref()
    }

    /// What it has seen.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Ends the connection for this machine: every open request is answered. What was not handed over by now is dropped,
    /// since its requests are answered as not sent; if nothing was left, a GOAWAY that tells the peer why is queued.
    pub fn close(&mut self, lost: Lost, now: Instant, answers: &mut Vec<Answered>) {
        self.retired = true;
        for slot in self.streams.open_slots() {
            let stream = self.streams.remove(slot);
            let answer = if stream.status != 0 {
                self.reply(stream, now)
            } else {
                let evidence = self.evidence(&stream, now);
                let written = stream.end <= self.flushed;
                match lost.of_written() {
                    _ if !written => (stream.key, Answer::NotSent { why: NotSent::NeverWritten, evidence }),
                    Ok(why) => (stream.key, Answer::InDoubt { why, evidence }),
                    Err(why) => (stream.key, Answer::NotSent { why, evidence }),
                }
            };
            answers.push(answer);
        }
        self.blocked.clear();
        if self.outgoing().is_empty() {
            FrameHeader { len: 8, kind: kind::GOAWAY, flags: 0, stream: 0 }.encode(&mut self.out);
            self.out.extend_from_slice(&0u32.to_be_bytes());
            self.out.extend_from_slice(&lost.code().to_be_bytes());
        } else {
            self.out.clear();
            self.out_start = 0;
        }
    }

    /// Takes a stream out of all tables.
    fn remove(&mut self, slot: u32) -> Stream {
        if self.streams.get(slot).end == NOT_QUEUED {
            self.blocked.retain(|blocked| *blocked != slot);
        }
        self.streams.remove(slot)
    }

    /// The stream's response is complete.
    fn finish(&mut self, slot: u32, now: Instant, answers: &mut Vec<Answered>) {
        let stream = self.remove(slot);
        if stream.end == NOT_QUEUED {
            // Answered before its body was out: the rest will not follow (RFC 9113 §8.1).
            self.reset_stream(stream.id, error_code::CANCEL);
        }
        let answer = self.reply(stream, now);
        answers.push(answer);
    }

    fn reply(&mut self, mut stream: Stream, now: Instant) -> Answered {
        let evidence = self.evidence(&stream, now);
        if let Some(heard) = stream.heard.take() {
            self.heard.push((stream.key, heard));
        }
        let body = if stream.status == 200 { ErrorBody::default() } else { ErrorBody::parse(&stream.body) };
        self.learn(stream.status, &body);
        let opened = stream.deadline - self.config.request_timeout;
        self.pace.answered(now.saturating_duration_since(opened));
        let answer = Answer::Reply {
            status: stream.status,
            reason: body.reason,
            timestamp_ms: body.timestamp_ms,
            apns_id: stream.apns_id,
            apns_unique_id: stream.apns_unique_id,
            evidence,
        };
        (stream.key, answer)
    }

    /// What a reply says about the connection itself.
    fn learn(&mut self, status: u16, body: &ErrorBody) {
        self.counters.replies += 1;
        self.counters.faults += u64::from(status >= 500);
        self.peer.has_answered = true;
        self.flood.answered();
        self.missed = 0;
        self.has_served |= status != 403;
        self.proven |= self.has_served;
        match status {
            200..=299 => {
                self.counters.accepted += 1;
                self.refusals.accepted();
            }
            410 => {}
            _ => self.refusals.refused(),
        }
        let by_status = status >= 500 && body.reason.is_none() || status == 421;
        let by_reason = body.reason.as_ref().is_some_and(|reason| reason.retires_connection());
        if by_status || by_reason || self.refusals.is_spent(self.config.refusals_max) {
            self.retired = true;
        }
    }

    fn not_sent(&mut self, slot: u32, why: NotSent, now: Instant) -> Answered {
        let stream = self.remove(slot);
        let evidence = self.evidence(&stream, now);
        (stream.key, Answer::NotSent { why, evidence })
    }

    fn in_doubt(&mut self, slot: u32, why: InDoubt, now: Instant) -> Answered {
        let stream = self.remove(slot);
        let evidence = self.evidence(&stream, now);
        (stream.key, Answer::InDoubt { why, evidence })
    }

    fn evidence(&self, stream: &Stream, now: Instant) -> Evidence {
        Evidence {
            connection: self.config.number,
            stream: stream.id,
            last_stream_id: self.goaway.as_ref().map(|goaway| goaway.last_stream_id),
            bytes_flushed: self.flushed,
            duration_us: now.saturating_duration_since(stream.accepted).as_micros() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
