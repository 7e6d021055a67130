//! The gateway's bounds.

use std::time::Duration;

/// The gateway's bounds. The defaults are those of `config/default.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Most notifications or devices in one request; a batch on the wire has at most 1,000.
    pub items_max: usize,
    /// Most requests under way at once; the next one is answered `busy` at once.
    pub requests_max: usize,
    /// Most notifications a second for one key.
    pub rate_max: u32,
    /// Most notifications above the rate for one key at once.
    pub rate_burst: u32,
    /// Longest wait for the engine; then the answer is `outcome_unknown`, and what was begun goes on.
    pub request_deadline: Duration,
    /// Longest wait for a request's body.
    pub body_deadline: Duration,
    /// What `Retry-After` says where nothing better is known.
    pub retry_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: 2 << 20,
            items_max: 1000,
            requests_max: 1024,
            rate_max: 5000,
            rate_burst: 20_000,
            request_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
        }
    }
}
