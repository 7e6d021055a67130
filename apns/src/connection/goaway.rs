//! GOAWAY: what it says, and which streams it gives back.

use super::config::{DEBUG_DATA_BYTES_MAX, Fault};
use super::{Answered, Connection};
use crate::answer::NotSent;
use crate::body::ErrorBody;
use crate::frame::{FrameHeader, MAX_31_BITS, error_code};
use crate::reason::Reason;
use std::time::Instant;

/// The end of a connection, as the peer announces it (RFC 9113 §6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// Streams above it were not processed. 2³¹ − 1 announces a second GOAWAY.
    pub last_stream_id: u32,
    /// One of [`crate::frame::error_code`].
    pub code: u32,
    /// The JSON debug data's reason, if it has one.
    pub reason: Option<Reason>,
    /// The JSON debug data's timestamp, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

impl Connection {
    pub(super) fn on_goaway(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        if header.stream != 0 {
            return Err(Fault { code: error_code::PROTOCOL_ERROR, what: "GOAWAY on a stream" });
        }
        let Some((fixed, debug)) = body.split_first_chunk::<8>() else {
            return Err(Fault { code: error_code::FRAME_SIZE_ERROR, what: "a GOAWAY frame of a wrong size" });
        };
        let said = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]) & MAX_31_BITS;
        let code = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let explained = ErrorBody::parse(&debug[..debug.len().min(DEBUG_DATA_BYTES_MAX)]);
        let earlier = self.goaway.take();
        let earlier_reason = earlier.as_ref().and_then(|goaway| goaway.reason.clone());
        let goaway = GoAway {
            // A later one may only take back less (RFC 9113 §6.8).
            last_stream_id: earlier.map_or(said, |goaway| goaway.last_stream_id.min(said)),
            code,
            reason: explained.reason.or(earlier_reason),
            timestamp_ms: explained.timestamp_ms,
        };
        let last = goaway.last_stream_id;
        self.goaway = Some(goaway);
        self.counters.goaways += 1;
        for slot in self.streams.open_slots() {
            let stream = self.streams.get(slot);
            if stream.id > last && stream.status == 0 {
                let answer = self.not_sent(slot, NotSent::AboveLastStream, now);
                answers.push(answer);
            }
        }
        Ok(())
    }
}
