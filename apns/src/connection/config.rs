//! What a connection is told, and its fixed bounds.

use crate::secret::Secret;
use std::time::Duration;

/// Bytes of dynamic table that the peer may use (the default of RFC 9113; announced by not changing it).
pub(super) const HEADER_TABLE_BYTES: usize = 4_096;
/// Bytes of a response's header block, all its CONTINUATION frames together.
pub(super) const HEADER_BLOCK_BYTES_MAX: usize = 32 * 1024;
/// CONTINUATION frames of one block.
pub(super) const CONTINUATIONS_MAX: u32 = 32;
/// Decoded bytes of a response's header list; announced as SETTINGS_MAX_HEADER_LIST_SIZE.
pub(super) const HEADER_LIST_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a refusal's body that are kept for parsing.
pub(super) const BODY_BYTES_KEPT: usize = 4 * 1024;
/// Bytes of body after which a stream is cut off: an error body is some hundred.
pub(super) const BODY_BYTES_MAX: usize = 32 * 1024;
/// Bytes of GOAWAY debug data that are read.
pub(super) const DEBUG_DATA_BYTES_MAX: usize = 1_024;
/// Bytes of an `apns-unique-id` that are kept.
pub(super) const UNIQUE_ID_BYTES_MAX: usize = 64;
/// Streams whose body waits for a window, before no more are opened.
pub(super) const BLOCKED_STREAMS_MAX: usize = 16;
/// Bytes of the largest payload that Apple takes (VoIP and broadcasts; 4,096 for all others).
pub(super) const PAYLOAD_BYTES_MAX: usize = 5_120;
/// Stream ids left, below which a successor is wanted: enough for a minute at a rate that one connection reaches.
pub(super) const STREAM_IDS_SPARE: u32 = 16 * 1024 * 1024;
/// Frames a second that serve no request (PING, SETTINGS, empty DATA, unknown ones) between two replies, above which the
/// peer is flooding us.
pub(super) const IDLE_FRAMES_MAX: u32 = 10_000;
/// Bytes queued for the peer, before no more streams are opened.
pub(super) const OUT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes queued when a PING or SETTINGS is answered, above which the peer is flooding us without reading.
pub(super) const OUT_FLOOD_BYTES: usize = 2 * 1024 * 1024;
/// Stream ids between the oldest open stream and the newest, halved, before no more are opened.
pub(super) const STREAM_SPREAD_MAX: usize = 256 * 1024;

/// Settings of one connection.
#[derive(Clone)]
pub struct Config {
    /// The connection's running number, for evidence.
    pub number: u64,
    /// `:authority` of the requests.
    pub authority: Box<str>,
    /// The whole value of `authorization`, with token credentials.
    pub authorization: Option<Secret>,
    /// Whether APNs allows one stream only until a provider token was accepted: true with token credentials.
    pub one_stream_until_accepted: bool,
    /// Streams open at once, whatever the peer allows.
    pub streams_max: u32,
    /// From a request's stream to its deadline.
    pub request_timeout: Duration,
    /// From the connection's begin to the peer's SETTINGS, before which nothing is asked of it.
    pub settings_wait: Duration,
    /// Silence with requests open, or before the peer's SETTINGS, after which a PING is sent.
    pub ping_after: Duration,
    /// Silence after that PING, after which the connection is lost.
    pub ping_wait: Duration,
    /// Silence without requests, after which a PING is sent. Apple: about an hour is fine.
    pub idle_ping_after: Duration,
    /// Replies other than 200 and 410, after which the connection retires; three accepted pushes make up for one.
    pub refusals_max: u32,
    /// Missed deadlines without a reply between, after which the connection retires.
    pub deadlines_missed_max: u32,
}

/// The peer broke the protocol; the connection must be closed with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server breaks http/2: {what}")]
pub struct Fault {
    /// One of [`crate::frame::error_code`].
    pub code: u32,
    /// What it did.
    pub what: &'static str,
}
