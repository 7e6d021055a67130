//! What happened, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value, json};

use crate::reason::Reason;

const REASONS: usize = Reason::ALL.len() + 1;

/// Counters that all connections add to, a batch at a time.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_open: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) by_reason: [AtomicU64; REASONS],
    pub(crate) broadcasts: AtomicU64,
    pub(crate) silent: AtomicU64,
    pub(crate) odd_answers: AtomicU64,
    pub(crate) refused_streams: AtomicU64,
    pub(crate) stream_limit_violations: AtomicU64,
    pub(crate) goaways: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) wedges: AtomicU64,
    pub(crate) hostilities: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) tls_errors: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            connections_open: AtomicU64::default(),
            requests: AtomicU64::default(),
            accepted: AtomicU64::default(),
            by_reason: std::array::from_fn(|_| AtomicU64::default()),
            broadcasts: AtomicU64::default(),
            silent: AtomicU64::default(),
            odd_answers: AtomicU64::default(),
            refused_streams: AtomicU64::default(),
            stream_limit_violations: AtomicU64::default(),
            goaways: AtomicU64::default(),
            resets: AtomicU64::default(),
            stalls: AtomicU64::default(),
            wedges: AtomicU64::default(),
            hostilities: AtomicU64::default(),
            protocol_errors: AtomicU64::default(),
            tls_errors: AtomicU64::default(),
        }
    }
}

/// A copy of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections alive.
    pub connections_open: u64,
    /// Requests read.
    pub requests: u64,
    /// Device pushes answered with 200.
    pub accepted: u64,
    /// Answered with a refusal, by reason; those that never happened are left out.
    pub refused: Vec<(Reason, u64)>,
    /// Requests for broadcasts and channels that were granted.
    pub broadcasts: u64,
    /// Read and never answered, by fault.
    pub silent: u64,
    /// Answered with something that nobody documents, by fault.
    pub odd_answers: u64,
    /// Streams ended with `REFUSED_STREAM` or above a last-stream-id.
    pub refused_streams: u64,
    /// Streams opened beyond the limit in force.
    pub stream_limit_violations: u64,
    /// Connections ended by a GOAWAY of ours.
    pub goaways: u64,
    /// Connections reset.
    pub resets: u64,
    /// Connections stalled for good.
    pub stalls: u64,
    /// Connections whose credential was refused from some request on, by fault.
    pub wedges: u64,
    /// Connections on which the simulator broke HTTP/2, by fault.
    pub hostilities: u64,
    /// Connections ended because the client broke HTTP/2.
    pub protocol_errors: u64,
    /// Connections that failed in TLS.
    pub tls_errors: u64,
    /// Rows that found no room in the log.
    pub log_rows_dropped: u64,
}

impl Stats {
    pub(crate) fn counts(&self, log_rows_dropped: u64) -> Counts {
        let refused = Reason::ALL.into_iter().map(|reason| (reason, self.of(reason).load(Relaxed)));
        Counts {
            connections: self.connections.load(Relaxed),
            connections_open: self.connections_open.load(Relaxed),
            requests: self.requests.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: refused.filter(|(_, count)| *count > 0).collect(),
            broadcasts: self.broadcasts.load(Relaxed),
            silent: self.silent.load(Relaxed),
            odd_answers: self.odd_answers.load(Relaxed),
            refused_streams: self.refused_streams.load(Relaxed),
            stream_limit_violations: self.stream_limit_violations.load(Relaxed),
            goaways: self.goaways.load(Relaxed),
            resets: self.resets.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
            wedges: self.wedges.load(Relaxed),
            hostilities: self.hostilities.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            tls_errors: self.tls_errors.load(Relaxed),
            log_rows_dropped,
        }
    }

    pub(crate) fn of(&self, reason: Reason) -> &AtomicU64 {
        &self.by_reason[usize::from(reason.code())]
    }

    /// Back to zero, but for the connections that are open.
    pub(crate) fn clear(&self) {
        let single = [
            &self.connections,
            &self.requests,
            &self.accepted,
            &self.broadcasts,
            &self.silent,
            &self.odd_answers,
            &self.refused_streams,
            &self.stream_limit_violations,
            &self.goaways,
            &self.resets,
            &self.stalls,
            &self.wedges,
            &self.hostilities,
            &self.protocol_errors,
            &self.tls_errors,
        ];
        for counter in single.into_iter().chain(&self.by_reason) {
            counter.store(0, Relaxed);
        }
    }
}

impl Counts {
    /// Refusals for this reason.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.refused.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
    }

    /// As a JSON object, the reasons by their labels.
    pub fn to_json(&self) -> Value {
        let refused: Map<String, Value> =
            self.refused.iter().map(|(reason, count)| (reason.label().to_owned(), json!(count))).collect();
        json!({
            "connections": self.connections,
            "connections_open": self.connections_open,
            "requests": self.requests,
            "accepted": self.accepted,
            "refused": refused,
            "broadcasts": self.broadcasts,
            "silent": self.silent,
            "odd_answers": self.odd_answers,
            "refused_streams": self.refused_streams,
            "stream_limit_violations": self.stream_limit_violations,
            "goaways": self.goaways,
            "resets": self.resets,
            "stalls": self.stalls,
            "wedges": self.wedges,
            "hostilities": self.hostilities,
            "protocol_errors": self.protocol_errors,
            "tls_errors": self.tls_errors,
            "log_rows_dropped": self.log_rows_dropped,
        })
    }
}
