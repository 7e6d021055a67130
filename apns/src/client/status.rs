//! What a client can say about itself, for health pages and metrics.

use crate::answer::ConnectFailure;
use crate::connection::{Counters, GoAway};
use std::time::Duration;

/// The state of a client now.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Connections in service: APNs has spoken, and they take work.
    pub open: usize,
    /// Connections being made, until APNs has spoken on them.
    pub connecting: usize,
    /// Connections that only finish what is open on them.
    pub retiring: usize,
    /// Requests written and not answered.
    pub in_flight: usize,
    /// Requests held until a connection takes them.
    pub held: usize,
    /// Connects in a row that failed, or led to a connection that never served.
    pub failures_in_row: u32,
    /// The latest failure to connect.
    pub last_failure: Option<LastFailure>,
    /// The latest GOAWAY.
    pub last_goaway: Option<GoAway>,
    /// How the latest connection that broke was lost.
    pub last_lost: Option<&'static str>,
}

/// A failure to connect.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// Its class.
    pub failure: ConnectFailure,
    /// What the system or TLS said; no secret.
    pub detail: String,
    /// How long ago.
    pub ago: Duration,
    /// A connection has stood since: it says nothing of how things are now.
    pub is_past: bool,
}

/// Growing counts since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Connections made.
    pub connects: u64,
    /// Failures to connect, in the order of [`ConnectFailure::ALL`].
    pub connect_failures: [u64; ConnectFailure::ALL.len()],
    /// Connections that broke while in service.
    pub connections_lost: u64,
    /// Of them, those whose peer had gone silent.
    pub silent: u64,
    /// Of them, those whose tunnel through a proxy ended without a word of APNs.
    pub tunnels_lost: u64,
    /// Of them, those whose peer broke the protocol.
    pub protocol_faults: u64,
    /// Connections that retired in good order: GOAWAY, age, budget, no need.
    pub retired: u64,
    /// Requests that came back because no connection took them in time.
    pub unsent: u64,
    /// Counts of all connections, ended ones included.
    pub connections: Counters,
}

impl Counters {
    pub(super) fn add(&mut self, other: Counters) {
        self.writes += other.writes;
        self.replies += other.replies;
        self.accepted += other.accepted;
        self.faults += other.faults;
        self.pings += other.pings;
        self.pongs += other.pongs;
        self.goaways += other.goaways;
        self.resets += other.resets;
        self.deadlines += other.deadlines;
    }
}
