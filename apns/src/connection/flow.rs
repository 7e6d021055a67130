//! Flow control in both directions (RFC 9113 §5.2).

use super::config::Fault;
use super::settings::Peer;
use super::streams::Stream;
use crate::frame::{FrameHeader, MAX_31_BITS, WINDOW_DEFAULT, error_code, kind};

/// The connection's window for what we receive: small bodies of many streams.
const RECEIVE_WINDOW: u32 = 1024 * 1024;

/// What we may send on the connection.
pub(super) struct Sending {
    window: i64,
    /// The most it ever was: what the peer lets be under way at once.
    most: i64,
}

impl Sending {
    pub(super) fn new() -> Self {
        Self { window: WINDOW_DEFAULT as i64, most: WINDOW_DEFAULT as i64 }
    }

    pub(super) fn window(&self) -> usize {
        self.window.max(0) as usize
    }

    pub(super) fn window_most(&self) -> usize {
        self.most as usize
    }

    pub(super) fn has_window(&self) -> bool {
        self.window > 0
    }

    /// Bytes that `stream` may send now.
    pub(super) fn window_for(&self, stream: &Stream, peer: &Peer) -> usize {
        self.window.min(peer.initial_window as i64 + stream.credit).max(0) as usize
    }

    pub(super) fn sent(&mut self, stream: &mut Stream, bytes: usize) {
        self.window -= bytes as i64;
        stream.credit -= bytes as i64;
    }

    pub(super) fn grow(&mut self, bytes: u32) -> Result<(), Fault> {
        self.window += bytes as i64;
        if self.window > MAX_31_BITS as i64 {
            return Err(overflow());
        }
        self.most = self.most.max(self.window);
        Ok(())
    }
}

/// The peer gives more window than there can be.
pub(super) fn overflow() -> Fault {
    Fault { code: error_code::FLOW_CONTROL_ERROR, what: "a window above 2^31-1" }
}

/// What the peer may send on the connection; given back in halves.
pub(super) struct ReceiveWindow {
    left: u32,
}

impl ReceiveWindow {
    pub(super) fn new() -> Self {
        Self { left: WINDOW_DEFAULT }
    }

    /// Raises the initial window to ours.
    pub(super) fn open(&mut self, out: &mut Vec<u8>) {
        push_window_update(RECEIVE_WINDOW - self.left, out);
        self.left = RECEIVE_WINDOW;
    }

    /// Accounts for a DATA frame, padding included, whatever its stream.
    pub(super) fn received(&mut self, bytes: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(Fault { code: error_code::FLOW_CONTROL_ERROR, what: "it sends more than our window" })?;
        if self.left < RECEIVE_WINDOW / 2 {
            self.open(out);
        }
        Ok(())
    }
}

fn push_window_update(bytes: u32, out: &mut Vec<u8>) {
    FrameHeader { len: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream: 0 }.encode(out);
    out.extend_from_slice(&bytes.to_be_bytes());
}
