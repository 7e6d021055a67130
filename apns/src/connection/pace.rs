//! What a connection takes now, and what it carries a second: window left × round trip, streams × latency.

use super::Connection;
use super::config::{BLOCKED_STREAMS_MAX, OUT_BYTES_MAX, PAYLOAD_BYTES_MAX};
use std::time::{Duration, Instant};

/// A round trip or latency below it is taken for it: what is measured on one machine says nothing about rates.
const ROUND_TRIP_MIN: Duration = Duration::from_micros(100);
/// Part of the newest value in a running mean.
const NEWEST: f32 = 1.0 / 16.0;

/// Running measures of one connection.
pub(super) struct Pace {
    opened: Instant,
    /// The shortest seen, of our SETTINGS or a request; `None` until one has come back.
    round_trip: Option<Duration>,
    /// Mean microseconds from a request's stream to its reply; 0 before the first.
    latency_us: f32,
    /// Mean bytes of a payload; 0 before the first.
    payload_bytes: f32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { opened: now, round_trip: None, latency_us: 0.0, payload_bytes: 0.0 }
    }

    pub(super) fn sent(&mut self, payload_bytes: usize) {
        mix(&mut self.payload_bytes, payload_bytes as f32);
    }

    /// Our SETTINGS, the first thing sent, are acknowledged.
    pub(super) fn settings_acknowledged(&mut self, now: Instant) {
        self.came_back(now.saturating_duration_since(self.opened));
    }

    pub(super) fn answered(&mut self, latency: Duration) {
        mix(&mut self.latency_us, latency.as_micros() as f32);
        self.came_back(latency);
    }

    fn came_back(&mut self, round_trip: Duration) {
        if self.round_trip.is_none_or(|known| round_trip < known) {
            self.round_trip = Some(round_trip);
        }
    }
}

fn mix(mean: &mut f32, newest: f32) {
    if *mean == 0.0 {
        *mean = newest;
    } else {
        *mean += (newest - *mean) * NEWEST;
    }
}

impl Connection {
    /// How many streams may be opened now; 0 before the peer's SETTINGS, once the connection is retiring, while a PING is
    /// unanswered, and while nothing can be sent. A window that runs out may end it sooner: see [`Connection::sure_room`].
    ///
    /// SETTINGS are waited for although RFC 9113 §3.4 does not ask it: with TLS 1.3 most servers judge our certificate after
    /// our side of the handshake is done, and some then hang up without a word. What was written before that would be in
    /// doubt.
    pub fn room(&self) -> usize {
        if !self.peer.has_spoken
            || self.is_retiring()
            || self.is_suspect()
            || self.blocked.len() >= BLOCKED_STREAMS_MAX
            || !self.sending.has_window()
            || self.outgoing().len() >= OUT_BYTES_MAX
            || self.streams.is_spread_out()
        {
            return 0;
        }
        let limit = if self.proven { self.streams_max() } else { self.streams_max().min(1) };
        limit.saturating_sub(self.streams.open())
    }

    /// How many requests with at most 5,120 bytes of payload, Apple's largest, [`Connection::send`] certainly takes
    /// before it is handed anything else.
    pub fn sure_room(&self) -> usize {
        let room = self.room();
        if room == 0 {
            return 0;
        }
        let by_window = self.sending.window().div_ceil(PAYLOAD_BYTES_MAX);
        let by_buffer = (OUT_BYTES_MAX - self.outgoing().len()).div_ceil(2 * PAYLOAD_BYTES_MAX);
        let by_blocked = if (self.peer.initial_window as usize) < PAYLOAD_BYTES_MAX {
            BLOCKED_STREAMS_MAX - self.blocked.len()
        } else {
            usize::MAX
        };
        room.min(by_window).min(by_buffer).min(by_blocked)
    }

    /// Requests a second that the peer's limits allow, by what was measured so far: as many payloads as its window
    /// holds each round trip, and as many streams as it allows each latency. `None` before the first reply.
    pub fn per_second(&self) -> Option<f64> {
        let latency = Duration::from_micros(self.pace.latency_us as u64);
        if latency.is_zero() {
            return None;
        }
        let round_trip = self.pace.round_trip?.max(ROUND_TRIP_MIN).as_secs_f64();
        let payloads = self.sending.window_most() as f64 / f64::from(self.pace.payload_bytes.max(1.0));
        let streams = self.streams_max() as f64;
        Some((payloads / round_trip).min(streams / latency.max(ROUND_TRIP_MIN).as_secs_f64()))
    }

    /// The shortest round trip seen, of our SETTINGS or a request.
    pub fn round_trip(&self) -> Option<Duration> {
        self.pace.round_trip
    }

    fn streams_max(&self) -> usize {
        self.peer.max_streams.min(self.config.streams_max) as usize
    }
}
