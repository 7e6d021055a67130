//! Requests that are no pushes: channel management and broadcasts. Rare, so nothing of them is pre-encoded, and what
//! comes back is kept whole.

use super::{Connection, NOT_QUEUED, Stream};
use crate::frame::{FrameHeader, flag, kind};
use crate::hpack::{Indexing, Name, encode_literal};
use bytes::Bytes;
use std::time::Instant;

/// Bytes of a response's body that are kept; a list of 10,000 channels is about 400 KB.
pub(super) const HEARD_BYTES_MAX: usize = 1024 * 1024;
/// Header fields of a response that are kept.
const HEARD_FIELDS_MAX: usize = 32;

/// A request of any form. Its header fields must fit into one frame, as all of Apple's do.
#[derive(Clone)]
pub(crate) struct Call {
    /// Comes back with the answer.
    pub key: u64,
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// What a response said, beside its status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    headers: Vec<(Box<str>, Box<str>)>,
    pub body: Vec<u8>,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| &**n == name).map(|(_, value)| &**value)
    }

    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.headers.len() < HEARD_FIELDS_MAX
            && let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value))
        {
            self.headers.push((name.into(), value.into()));
        }
    }

    pub(super) fn data(&mut self, data: &[u8]) {
        let keep = data.len().min(HEARD_BYTES_MAX.saturating_sub(self.body.len()));
        self.body.extend_from_slice(&data[..keep]);
    }
}

impl Connection {
    /// Opens a stream for a call. Without room the call comes back. After its [`Answer::Reply`](crate::Answer), what was
    /// heard is with [`Connection::take_heard`].
    pub(crate) fn call(&mut self, call: Call, now: Instant) -> Result<(), Call> {
        if self.room() == 0 {
            return Err(call);
        }
        if self.streams.open() == 0 {
            self.timers.work_begins(now);
        }
        let id = self.streams.next_id();
        let mut block = Vec::with_capacity(512);
        self.blocks.begin(&mut block);
        let mut field = |name: &[u8], value: &[u8]| {
            encode_literal(Indexing::Never, Name::Literal(name), value, &mut block);
        };
        field(b":method", call.method.as_bytes());
        field(b":scheme", b"https");
        field(b":authority", self.config.authority.as_bytes());
        field(b":path", call.path.as_bytes());
        if let Some(authorization) = &self.config.authorization {
            field(b"authorization", authorization.expose());
        }
        for (name, value) in &call.headers {
            field(name.as_bytes(), value.as_bytes());
        }
        debug_assert!(block.len() <= self.peer.max_frame_size as usize);
        let end_stream = if call.body.is_empty() { flag::END_STREAM } else { 0 };
        let flags = flag::END_HEADERS | end_stream;
        FrameHeader { len: block.len() as u32, kind: kind::HEADERS, flags, stream: id }.encode(&mut self.out);
        self.out.extend_from_slice(&block);
        let mut stream = Stream::new(call.key, id, now, now + self.config.request_timeout);
        stream.heard = Some(Box::default());
        if call.body.is_empty() {
            stream.end = self.flushed + self.outgoing().len() as u64;
        }
        stream.rest = call.body;
        let slot = self.streams.insert(stream);
        self.counters.writes += 1;
        self.push_body(slot);
        if self.streams.get(slot).end == NOT_QUEUED {
            self.blocked.push_back(slot);
        }
        Ok(())
    }

    /// What the answered call `key` heard, once.
    pub(crate) fn take_heard(&mut self, key: u64) -> Option<Heard> {
        let at = self.heard.iter().position(|(known, _)| *known == key)?;
        Some(*self.heard.swap_remove(at).1)
    }

    /// More of a call's body may come: its stream's window is opened again.
    pub(super) fn open_stream_window(&mut self, id: u32, bytes: u32) {
        if bytes > 0 {
            FrameHeader { len: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream: id }.encode(&mut self.out);
            self.out.extend_from_slice(&bytes.to_be_bytes());
        }
    }
}
