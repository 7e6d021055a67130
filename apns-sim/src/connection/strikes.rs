//! Faults of a whole connection: when they strike, and what a GOAWAY leaves behind.

use skein_apns::frame::MAX_31_BITS;

use super::writer;
use crate::faults::{
    ANNOUNCED_MS, ANNOUNCED_REQUESTS, ConnectionFault, ConnectionFaults, Faults, GoawayData,
};

/// The request numbers at which this connection is struck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strikes {
    pub(super) goaway_at: u64,
    pub(super) reset_at: u64,
    pub(super) stall_at: u64,
}

impl Strikes {
    /// Counted from the connection's request number `from` on.
    pub(super) fn new(faults: &Faults, connection: u32, from: u64) -> Self {
        let at = |every, kind| faults.strikes_at(every, kind, connection).saturating_add(from);
        Self {
            goaway_at: at(faults.connection.goaway_every, ConnectionFault::Goaway),
            reset_at: at(faults.connection.reset_every, ConnectionFault::Reset),
            stall_at: at(faults.connection.stall_every, ConnectionFault::Stall),
        }
    }
}

/// How far a connection's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goaway {
    None,
    /// Announced; the true one comes at this request number or this time.
    Announced {
        at_request: u64,
        at_ns: u64,
    },
    /// Streams above this one are not processed.
    Final {
        last_stream: u32,
    },
}

impl Goaway {
    pub(super) fn announce(faults: &ConnectionFaults, requests: u64, now_ns: u64, out: &mut Vec<u8>) -> Self {
        writer::goaway(MAX_31_BITS, faults.goaway_code, &data(faults), out);
        let at_ns = now_ns + ANNOUNCED_MS * 1_000_000;
        Self::Announced { at_request: requests + ANNOUNCED_REQUESTS, at_ns }
    }

    pub(super) fn finish(faults: &ConnectionFaults, last_stream: u32, out: &mut Vec<u8>) -> Self {
        for _ in 0..1 + usize::from(faults.goaway_twice) {
            writer::goaway(last_stream, faults.goaway_code, &data(faults), out);
        }
        Self::Final { last_stream }
    }

    pub(super) fn leaves_out(self, stream: u32) -> bool {
        matches!(self, Self::Final { last_stream } if stream > last_stream)
    }
}

fn data(faults: &ConnectionFaults) -> Vec<u8> {
    match faults.goaway_data {
        GoawayData::Json => serde_json::json!({ "reason": faults.goaway_reason }).to_string().into_bytes(),
        GoawayData::Text => faults.goaway_reason.clone().into_bytes(),
        GoawayData::Empty => Vec::new(),
    }
}
