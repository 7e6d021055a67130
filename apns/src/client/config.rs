//! Settings of a client, with defaults and their reasons.

use crate::endpoint::{Endpoint, Proxy};
use crate::tls::Roots;
use std::time::Duration;

/// How a client connects, how much it holds, how long it waits. Begin with [`ClientConfig::new`] and change what must
/// differ.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where APNs is.
    pub endpoint: Endpoint,
    /// Whom to believe to be APNs.
    pub roots: Roots,
    /// The way there, if not direct.
    pub proxy: Option<Proxy>,
    /// Connections kept open without work; 1 saves the first push a handshake.
    pub connections_min: usize,
    /// Connections at most, those that retire not counted.
    pub connections_max: usize,
    /// Requests open on one connection, whatever APNs allows.
    pub streams_max: u32,
    /// Requests open on all connections together, and held, at most.
    pub in_flight_max: usize,
    /// Requests held while no connection takes them.
    pub buffer_max: usize,
    /// How long one may be held before it comes back as not sent.
    pub unsent_max: Duration,
    /// From a request's stream to its deadline, after which it is in doubt.
    pub request_timeout: Duration,
    /// Silence with requests open, or before the first frame, after which a PING is sent.
    pub ping_after: Duration,
    /// Silence after that PING, after which the connection is replaced.
    pub ping_wait: Duration,
    /// Silence without requests, after which a PING is sent. Apple: about an hour is fine.
    pub idle_ping_after: Duration,
    /// For name, TCP, TLS and the first frame of APNs together.
    pub connect_timeout: Duration,
    /// Between the starts of two connects, on average. Apple takes rapid connecting for an attack.
    pub connect_interval_min: Duration,
    /// Pause after the first failure in a row; doubles from there.
    pub backoff_min: Duration,
    /// Pause at most.
    pub backoff_max: Duration,
    /// How long a request may wait for a connection: when one has, or when window and round trip say that it would, more
    /// are opened.
    pub grow_after: Duration,
    /// How long a connection beyond `connections_min` may be unused.
    pub idle_max: Duration,
    /// Age at which a connection with a certificate is replaced, so that load follows Apple's addresses.
    pub connection_age_max: Duration,
    /// Age at which a connection with a provider token is replaced: Apple takes a token for 60 minutes, and a second one
    /// on the same connection only after 20.
    pub token_age_max: Duration,
    /// Replies other than 200 and 410, after which a connection is replaced; three accepted pushes make up for one.
    pub refusals_max: u32,
    /// Missed deadlines without a reply between, after which a connection is replaced.
    pub deadlines_missed_max: u32,
}

impl ClientConfig {
    /// The defaults for an endpoint, with Apple's roots.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            roots: Roots::apple(),
            proxy: None,
            connections_min: 1,
            connections_max: 8,
            streams_max: 1_000,
            in_flight_max: 100_000,
            buffer_max: 256,
            unsent_max: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            ping_after: Duration::from_millis(1_250),
            ping_wait: Duration::from_millis(1_250),
            idle_ping_after: Duration::from_secs(3_600),
            connect_timeout: Duration::from_secs(10),
            connect_interval_min: Duration::from_millis(50),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            grow_after: Duration::from_millis(10),
            idle_max: Duration::from_secs(60),
            connection_age_max: Duration::from_secs(12 * 3_600),
            token_age_max: Duration::from_secs(50 * 60),
            refusals_max: 100,
            deadlines_missed_max: 3,
        }
    }
}
