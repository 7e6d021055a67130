//! Faults of a whole connection: when they strike, and what a GOAWAY leaves behind.

use skein_apns::frame::MAX_31_BITS;

use super::writer;
use crate::faults::{ANNOUNCED_MS, ANNOUNCED_REQUESTS, ConnectionFault, Faults, GoawayForm};

/// The request numbers at which this connection is struck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strikes {
    pub(super) goaway_at: u64,
    pub(super) reset_at: u64,
    pub(super) stall_at: u64,
    pub(super) wedge_at: u64,
    pub(super) hostile_at: u64,
}

impl Strikes {
    /// Counted from the connection's request number `from` on.
    pub(super) fn new(faults: &Faults, connection: u32, has_certificate: bool, from: u64) -> Self {
        let at = |every, kind| faults.strikes_at(every, kind, connection).saturating_add(from);
        let mixed = faults.mixed_fault(connection);
        let mixed_at = at(faults.connection.mixed_every, ConnectionFault::Mixed);
        let of = |every, kind| {
            let own = at(every, kind);
            if kind as u64 == mixed as u64 { own.min(mixed_at) } else { own }
        };
        let table = &faults.connection;
        let mut strikes = Self {
            goaway_at: of(table.goaway_every, ConnectionFault::Goaway),
            reset_at: of(table.reset_every, ConnectionFault::Reset),
            stall_at: of(table.stall_every, ConnectionFault::Stall),
            wedge_at: of(table.wedge_every, ConnectionFault::Wedge),
            hostile_at: of(table.hostile_every, ConnectionFault::Hostile),
        };
        if has_certificate {
            strikes.goaway_at = strikes.goaway_at.min(strikes.wedge_at);
            strikes.wedge_at = u64::MAX;
        }
        strikes
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
    pub(super) fn announce(form: &GoawayForm, requests: u64, now_ns: u64, out: &mut Vec<u8>) -> Self {
        writer::goaway(MAX_31_BITS, form.code, &form.data, out);
        let at_ns = now_ns + ANNOUNCED_MS * 1_000_000;
        Self::Announced { at_request: requests + ANNOUNCED_REQUESTS, at_ns }
    }

    pub(super) fn finish(form: &GoawayForm, last_stream: u32, out: &mut Vec<u8>) -> Self {
        for _ in 0..1 + usize::from(form.twice) {
            writer::goaway(last_stream, form.code, &form.data, out);
        }
        Self::Final { last_stream }
    }

    pub(super) fn leaves_out(self, stream: u32) -> bool {
        matches!(self, Self::Final { last_stream } if stream > last_stream)
    }
}
