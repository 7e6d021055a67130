//! What came back for one write: a reply of APNs, *not sent*, or *in doubt*.

use crate::reason::Reason;
use crate::time::Timestamp;

/// What came back for one write. Each write ends in exactly one. Only [`Answer::InDoubt`] may lead to a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// APNs replied.
    Reply(Reply),
    /// APNs cannot have processed it: refused stream, above the last-stream-id of a GOAWAY, or never written.
    NotSent(NotSent),
    /// It was written, and nobody can know what became of it.
    InDoubt(InDoubt),
}

/// A reply of APNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Apple's word, where the body held one.
    pub reason: Option<Reason>,
    /// With 410: when APNs found the token invalid.
    pub timestamp: Option<Timestamp>,
    /// `apns-unique-id`: the key into Apple's delivery log (sandbox).
    pub unique_id: Option<Box<str>>,
}

impl Reply {
    /// A reply of a status without a body.
    pub fn bare(status: u16) -> Self {
        Self { status, reason: None, timestamp: None, unique_id: None }
    }

    /// A refusal with a reason.
    pub fn refusal(status: u16, reason: Reason) -> Self {
        Self { reason: Some(reason), ..Self::bare(status) }
    }
}

/// Why APNs cannot have processed a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// `RST_STREAM` with `REFUSED_STREAM` (RFC 9113 §8.7).
    StreamRefused,
    /// Its stream is above the last-stream-id of a GOAWAY (RFC 9113 §6.8).
    AboveLastStream,
    /// It never left this process.
    NeverWritten,
}

impl NotSent {
    /// The word in ledger and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::StreamRefused => "stream_refused",
            Self::AboveLastStream => "above_last_stream",
            Self::NeverWritten => "never_written",
        }
    }
}

/// Why nobody can know what became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InDoubt {
    /// The connection was lost after the write.
    ConnectionLost,
    /// No answer within the deadline of the request.
    Deadline,
    /// The stream was reset with another code than `REFUSED_STREAM`.
    StreamReset,
}

impl InDoubt {
    /// The word in ledger and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConnectionLost => "connection_lost",
            Self::Deadline => "deadline",
            Self::StreamReset => "stream_reset",
        }
    }
}

/// Where and how a write was answered: the evidence behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The sender's number of the connection.
    pub connection: u32,
    /// The HTTP/2 stream, 0 if none was opened.
    pub stream: u32,
    /// From write to answer, in microseconds.
    pub duration_us: u32,
}
