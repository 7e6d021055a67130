//! Time: deadlines of requests, PING into silence, and the ways a connection is lost.

use super::config::Fault;
use super::{Answered, Connection};
use crate::answer::{ConnectFailure, InDoubt, NotSent};
use crate::frame::{FrameHeader, error_code, kind};
use std::time::Instant;

/// How a connection ended while requests were open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Reset or closed by the peer or the network.
    Cut,
    /// The tunnel through a proxy ended, without a word of APNs.
    Tunnel,
    /// A PING found no answer.
    Silent,
    /// The peer's SETTINGS did not come in time.
    Mute,
    /// The peer broke the protocol.
    Fault(Fault),
    /// The TLS handshake's end refused our certificate: no request was looked at.
    CertificateRefused,
    /// We close it.
    Ours,
}

impl Lost {
    /// What it means for a request whose last byte is written.
    pub(super) fn of_written(self) -> Result<InDoubt, NotSent> {
        match self {
            Lost::Cut => Ok(InDoubt::ConnectionLost),
            Lost::Tunnel => Ok(InDoubt::TunnelLost),
            Lost::Silent | Lost::Mute => Ok(InDoubt::Silent),
            Lost::Fault(_) => Ok(InDoubt::ProtocolFault),
            Lost::CertificateRefused => Err(NotSent::CertificateRefused),
            Lost::Ours => Ok(InDoubt::Closed),
        }
    }

    /// Its class, if the connection had not begun to serve.
    pub(crate) fn of_connecting(self) -> ConnectFailure {
        match self {
            // The only way in which some servers refuse a certificate.
            Lost::Cut => ConnectFailure::TlsHandshake,
            Lost::Tunnel => ConnectFailure::ProxyLost,
            Lost::Silent | Lost::Mute => ConnectFailure::Timeout,
            Lost::Fault(_) => ConnectFailure::Protocol,
            Lost::CertificateRefused => ConnectFailure::ClientCertificate,
            Lost::Ours => ConnectFailure::Other,
        }
    }

    pub(super) fn code(self) -> u32 {
        match self {
            Lost::Fault(fault) => fault.code,
            _ => error_code::NO_ERROR,
        }
    }

    /// For metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Lost::Cut => "cut",
            Lost::Tunnel => "tunnel",
            Lost::Silent => "silent",
            Lost::Mute => "mute",
            Lost::Fault(_) => "protocol_fault",
            Lost::CertificateRefused => "certificate_refused",
            Lost::Ours => "closed",
        }
    }
}

pub(super) struct Timers {
    began: Instant,
    /// Since when nothing was read; not before the first of the open requests.
    quiet_since: Instant,
    ping_sent: Option<Instant>,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, quiet_since: now, ping_sent: None }
    }

    pub(super) fn work_begins(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.ping_sent.is_some()
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.quiet_since = now;
        self.ping_sent = None;
    }
}

impl Connection {
    /// When [`Connection::on_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Instant {
        if !self.peer.has_spoken {
            let mute = self.settings_due();
            let ping = self.timers.quiet_since + self.config.ping_after;
            return if self.timers.is_waiting() { mute } else { ping.min(mute) };
        }
        let silence = match self.timers.ping_sent {
            Some(sent) => sent + self.config.ping_wait,
            None if self.streams.open() > 0 => self.timers.quiet_since + self.config.ping_after,
            None => self.timers.quiet_since + self.config.idle_ping_after,
        };
        match self.streams.oldest() {
            Some(slot) => silence.min(self.streams.get(slot).deadline),
            None => silence,
        }
    }

    fn settings_due(&self) -> Instant {
        self.timers.began + self.config.settings_wait
    }

    /// Does what is due: answers requests whose deadline has passed, sends a PING into silence. Call it after what the
    /// peer has sent was read, or a slow reader looks like a silent peer.
    ///
    /// # Errors
    ///
    /// [`Lost::Silent`] when a PING found no answer, [`Lost::Mute`] when the peer has not begun to speak in time:
    /// [`Connection::close`] is next.
    pub fn on_timeout(&mut self, now: Instant, answers: &mut Vec<Answered>) -> Result<(), Lost> {
        if !self.peer.has_spoken && now >= self.settings_due() {
            return Err(Lost::Mute);
        }
        while let Some(slot) = self.streams.oldest()
            && self.streams.get(slot).deadline <= now
        {
            self.miss_deadline(slot, now, answers);
        }
        if let Some(sent) = self.timers.ping_sent {
            let is_lost = self.peer.has_spoken && now >= sent + self.config.ping_wait;
            return if is_lost { Err(Lost::Silent) } else { Ok(()) };
        }
        if self.poll_timeout() <= now {
            FrameHeader { len: 8, kind: kind::PING, flags: 0, stream: 0 }.encode(&mut self.out);
            self.out.extend_from_slice(&self.counters.pings.to_be_bytes());
            self.counters.pings += 1;
            self.timers.ping_sent = Some(now);
        }
        Ok(())
    }

    fn miss_deadline(&mut self, slot: u32, now: Instant, answers: &mut Vec<Answered>) {
        let stream = self.streams.get(slot);
        self.reset_stream(stream.id, error_code::CANCEL);
        let stream = self.streams.get(slot);
        let answer = if stream.status != 0 {
            let stream = self.remove(slot);
            self.reply(stream, now)
        } else if stream.end == super::NOT_QUEUED {
            self.not_sent(slot, NotSent::NeverWritten, now)
        } else {
            self.in_doubt(slot, InDoubt::Deadline, now)
        };
        answers.push(answer);
        self.counters.deadlines += 1;
        self.missed += 1;
        if self.missed >= self.config.deadlines_missed_max {
            self.retired = true;
        }
    }
}
