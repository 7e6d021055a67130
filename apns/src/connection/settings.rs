//! SETTINGS of both sides (RFC 9113 §6.5).

use super::config::{Fault, HEADER_LIST_BYTES_MAX};
use super::{Connection, flow};
use crate::frame::{
    FrameHeader, MAX_31_BITS, MAX_FRAME_SIZE_DEFAULT, MAX_FRAME_SIZE_LIMIT, WINDOW_DEFAULT, error_code, flag,
    kind, setting,
};
use std::time::Instant;

/// What the peer has told us.
pub(super) struct Peer {
    pub has_spoken: bool,
    /// It has answered something of ours: a frame or a request.
    pub has_answered: bool,
    pub max_streams: u32,
    pub initial_window: u32,
    pub max_frame_size: u32,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            has_spoken: false,
            has_answered: false,
            max_streams: u32::MAX,
            initial_window: WINDOW_DEFAULT,
            max_frame_size: MAX_FRAME_SIZE_DEFAULT,
        }
    }
}

/// Appends our own SETTINGS: no push, a bounded header list; the rest as RFC 9113 has it.
pub(super) fn encode_ours(out: &mut Vec<u8>) {
    FrameHeader { len: 12, kind: kind::SETTINGS, flags: 0, stream: 0 }.encode(out);
    for (id, value) in
        [(setting::ENABLE_PUSH, 0), (setting::MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX as u32)]
    {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

impl Connection {
    pub(super) fn on_settings(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
    ) -> Result<(), Fault> {
        let size_fault =
            Fault { code: error_code::FRAME_SIZE_ERROR, what: "a SETTINGS frame of a wrong size" };
        if header.stream != 0 {
            return Err(Fault { code: error_code::PROTOCOL_ERROR, what: "SETTINGS on a stream" });
        }
        if header.has(flag::ACK) {
            self.pace.settings_acknowledged(now);
            self.peer.has_answered = true;
            return if body.is_empty() { Ok(()) } else { Err(size_fault) };
        }
        let (entries, rest) = body.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(size_fault);
        }
        for entry in entries {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            self.apply_setting(id, value)?;
        }
        self.peer.has_spoken = true;
        FrameHeader { len: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }.encode(&mut self.out);
        self.push_blocked();
        self.check_flood()
    }

    fn apply_setting(&mut self, id: u16, value: u32) -> Result<(), Fault> {
        match id {
            setting::HEADER_TABLE_SIZE => self.blocks.set_peer_table(value as usize),
            setting::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
            setting::INITIAL_WINDOW_SIZE => {
                let too_large = value > MAX_31_BITS
                    || self.streams.iter().any(|stream| value as i64 + stream.credit > MAX_31_BITS as i64);
                if too_large {
                    return Err(flow::overflow());
                }
                self.peer.initial_window = value;
            }
            setting::MAX_FRAME_SIZE => {
                if !(MAX_FRAME_SIZE_DEFAULT..=MAX_FRAME_SIZE_LIMIT).contains(&value) {
                    return Err(Fault {
                        code: error_code::PROTOCOL_ERROR,
                        what: "a MAX_FRAME_SIZE out of range",
                    });
                }
                self.peer.max_frame_size = value;
            }
            _ => {}
        }
        Ok(())
    }
}
