//! What we send: header blocks and bodies as frames, as far as windows allow.

use super::Connection;
use super::streams::NOT_QUEUED;
use crate::frame::{self, FrameHeader, flag, kind};
use crate::request::Request;

impl Connection {
    pub(super) fn queued_end(&self) -> u64 {
        self.flushed + self.outgoing().len() as u64
    }

    pub(super) fn push_header_block(&mut self, id: u32, end_stream: u8, request: &Request) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; frame::HEADER_BYTES]);
        let block = self.out.len();
        self.blocks.encode(request, &mut self.out);
        let len = self.out.len() - block;
        let max = self.peer.max_frame_size as usize;
        if len <= max {
            let flags = flag::END_HEADERS | end_stream;
            let header = FrameHeader { len: len as u32, kind: kind::HEADERS, flags, stream: id };
            self.out[start..block].copy_from_slice(&header.to_bytes());
            return;
        }
        let bytes = self.out.split_off(block);
        self.out.truncate(start);
        let last = bytes.len().div_ceil(max) - 1;
        for (n, part) in bytes.chunks(max).enumerate() {
            let (frame_kind, flags) =
                if n == 0 { (kind::HEADERS, end_stream) } else { (kind::CONTINUATION, 0) };
            let flags = if n == last { flags | flag::END_HEADERS } else { flags };
            FrameHeader { len: part.len() as u32, kind: frame_kind, flags, stream: id }.encode(&mut self.out);
            self.out.extend_from_slice(part);
        }
    }

    /// Queues as much of a stream's body as the windows allow.
    pub(super) fn push_body(&mut self, slot: u32) {
        let max_frame = self.peer.max_frame_size as usize;
        let stream = self.streams.get_mut(slot);
        while !stream.rest.is_empty() {
            let window = self.sending.window_for(stream, &self.peer);
            let len = stream.rest.len().min(max_frame).min(window);
            if len == 0 {
                return;
            }
            let part = stream.rest.split_to(len);
            let flags = if stream.rest.is_empty() { flag::END_STREAM } else { 0 };
            FrameHeader { len: len as u32, kind: kind::DATA, flags, stream: stream.id }.encode(&mut self.out);
            self.out.extend_from_slice(&part);
            self.sending.sent(stream, len);
            if stream.rest.is_empty() {
                stream.end = self.flushed + (self.out.len() - self.out_start) as u64;
            }
        }
    }

    /// Goes on with bodies that waited for a window, oldest first.
    pub(super) fn push_blocked(&mut self) {
        for _ in 0..self.blocked.len() {
            let Some(slot) = self.blocked.pop_front() else { return };
            self.push_body(slot);
            if self.streams.get(slot).end == NOT_QUEUED {
                self.blocked.push_back(slot);
            }
        }
    }

    pub(super) fn reset_stream(&mut self, id: u32, code: u32) {
        FrameHeader { len: 4, kind: kind::RST_STREAM, flags: 0, stream: id }.encode(&mut self.out);
        self.out.extend_from_slice(&code.to_be_bytes());
    }
}
