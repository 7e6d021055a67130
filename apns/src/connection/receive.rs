//! What the peer sends: frames put together from any split of the bytes, then one function a frame type.

use super::call::HEARD_BYTES_MAX;
use super::config::{
    BODY_BYTES_KEPT, BODY_BYTES_MAX, CONTINUATIONS_MAX, Fault, HEADER_BLOCK_BYTES_MAX, HEADER_LIST_BYTES_MAX,
    UNIQUE_ID_BYTES_MAX,
};
use super::{Answered, Connection, NOT_QUEUED};
use crate::answer::{InDoubt, NotSent};
use crate::frame::{FrameHeader, HEADER_BYTES, MAX_31_BITS, MAX_FRAME_SIZE_DEFAULT, error_code, flag, kind};
use std::time::Instant;

/// Bytes that wait for the rest of their frame or header block.
pub(super) struct Inbox {
    partial: Vec<u8>,
    /// A header block whose END_HEADERS has not come: its HEADERS frame, its bytes, its CONTINUATION frames.
    block: Option<(FrameHeader, Vec<u8>, u32)>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { partial: Vec::new(), block: None }
    }
}

const fn protocol(what: &'static str) -> Fault {
    Fault { code: error_code::PROTOCOL_ERROR, what }
}

const fn frame_size(what: &'static str) -> Fault {
    Fault { code: error_code::FRAME_SIZE_ERROR, what }
}

#[derive(Default)]
struct ResponseHead {
    status: u16,
    apns_id: Option<[u8; 16]>,
    apns_unique_id: Option<Box<str>>,
}

impl ResponseHead {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":status" => {
                self.status = match value {
                    [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                        (a - b'0') as u16 * 100 + (b - b'0') as u16 * 10 + (c - b'0') as u16
                    }
                    _ => 0,
                }
            }
            b"apns-id" => self.apns_id = uuid::Uuid::try_parse_ascii(value).ok().map(uuid::Uuid::into_bytes),
            b"apns-unique-id" if value.len() <= UNIQUE_ID_BYTES_MAX => {
                self.apns_unique_id = str::from_utf8(value).ok().map(Into::into);
            }
            _ => {}
        }
    }
}

impl Connection {
    /// Takes bytes of the peer, split anywhere. Answers are appended as they are found.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the peer; the connection can't go on, [`Connection::close`] is next. Answers found before it
    /// stand.
    pub fn recv(&mut self, bytes: &[u8], now: Instant, answers: &mut Vec<Answered>) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.timers.heard(now);
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.inbox.partial.is_empty() {
                let Some((header, body, after)) = split_frame(rest)? else {
                    self.inbox.partial.extend_from_slice(rest);
                    break;
                };
                self.on_frame(header, body, now, answers)?;
                rest = after;
                continue;
            }
            let wanted = match self.inbox.partial.first_chunk::<HEADER_BYTES>() {
                None => HEADER_BYTES,
                Some(header) => HEADER_BYTES + frame_len(header)?,
            };
            let missing = (wanted - self.inbox.partial.len()).min(rest.len());
            let (now_part, after) = rest.split_at(missing);
            self.inbox.partial.extend_from_slice(now_part);
            rest = after;
            let mut partial = std::mem::take(&mut self.inbox.partial);
            if let Some((header, body, _)) = split_frame(&partial)? {
                self.on_frame(header, body, now, answers)?;
                partial.clear();
            }
            self.inbox.partial = partial;
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        self.flood.frame(now)?;
        if self.inbox.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(protocol("a header block is interrupted"));
        }
        if !self.peer.has_spoken && !matches!(header.kind, kind::SETTINGS | kind::GOAWAY) {
            return Err(protocol("its first frame is not SETTINGS"));
        }
        match header.kind {
            kind::HEADERS => self.on_headers(header, body, now, answers),
            kind::DATA => self.on_data(header, body, now, answers),
            kind::CONTINUATION => self.on_continuation(header, body, now, answers),
            kind::SETTINGS => self.on_settings(header, body, now),
            kind::WINDOW_UPDATE => self.on_window_update(header, body, now, answers),
            kind::RST_STREAM => self.on_rst_stream(header, body, now, answers),
            kind::PING => self.on_ping(header, body),
            kind::GOAWAY => self.on_goaway(header, body, now, answers),
            kind::PUSH_PROMISE => Err(protocol("PUSH_PROMISE, which we do not allow")),
            _ => Ok(()),
        }
    }

    fn on_headers(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        if !self.streams.was_opened(header.stream) {
            return Err(protocol("HEADERS on a stream that we did not open"));
        }
        let mut block = unpadded(header, body)?;
        if header.has(flag::PRIORITY) {
            block = block.get(5..).ok_or(frame_size("HEADERS without its priority"))?;
        }
        if header.has(flag::END_HEADERS) {
            return self.on_block(header, block, now, answers);
        }
        self.inbox.block = Some((header, block.to_vec(), 0));
        Ok(())
    }

    fn on_continuation(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        let Some((first, mut block, count)) = self.inbox.block.take() else {
            return Err(protocol("CONTINUATION without HEADERS"));
        };
        if first.stream != header.stream {
            return Err(protocol("CONTINUATION of another stream"));
        }
        if block.len() + body.len() > HEADER_BLOCK_BYTES_MAX || count >= CONTINUATIONS_MAX {
            return Err(Fault { code: error_code::ENHANCE_YOUR_CALM, what: "a header block without end" });
        }
        block.extend_from_slice(body);
        if header.has(flag::END_HEADERS) {
            return self.on_block(first, &block, now, answers);
        }
        self.inbox.block = Some((first, block, count + 1));
        Ok(())
    }

    fn on_block(
        &mut self,
        header: FrameHeader,
        block: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        let mut head = ResponseHead::default();
        // Decoded whoever it is for: the dynamic table must stay in step.
        let slot = self.streams.slot_of(header.stream);
        let mut heard = slot.and_then(|slot| self.streams.get_mut(slot).heard.take());
        let decoded = self.decoder.decode(block, HEADER_LIST_BYTES_MAX, |name, value| {
            head.field(name, value);
            if let Some(heard) = &mut heard {
                heard.field(name, value);
            }
        });
        decoded.map_err(|_| Fault {
            code: error_code::COMPRESSION_ERROR,
            what: "a header block that can't be decoded",
        })?;
        let Some(slot) = slot else { return Ok(()) };
        let stream = self.streams.get_mut(slot);
        stream.heard = heard;
        let ends = header.has(flag::END_STREAM);
        let is_trailer = stream.status != 0;
        if !is_trailer {
            match head.status {
                100..=199 if !ends => return Ok(()),
                0..=199 => {
                    self.reset_stream(header.stream, error_code::PROTOCOL_ERROR);
                    let answer = self.in_doubt(slot, InDoubt::ProtocolFault, now);
                    answers.push(answer);
                    return Ok(());
                }
                status => stream.status = status,
            }
            stream.apns_id = head.apns_id;
            stream.apns_unique_id = head.apns_unique_id;
        }
        if ends {
            self.finish(slot, now, answers);
        }
        Ok(())
    }

    fn on_data(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        if !self.streams.was_opened(header.stream) {
            return Err(protocol("DATA on a stream that we did not open"));
        }
        self.receive_window.received(header.len, &mut self.out)?;
        let data = unpadded(header, body)?;
        let Some(slot) = self.streams.slot_of(header.stream) else { return Ok(()) };
        let stream = self.streams.get_mut(slot);
        if stream.status == 0 {
            return Err(protocol("DATA before HEADERS"));
        }
        stream.received += header.len as usize;
        let keep = data.len().min(BODY_BYTES_KEPT - stream.body.len());
        stream.body.extend_from_slice(&data[..keep]);
        let mut most = BODY_BYTES_MAX;
        if let Some(heard) = &mut stream.heard {
            heard.data(data);
            most = HEARD_BYTES_MAX;
        }
        if header.has(flag::END_STREAM) {
            self.finish(slot, now, answers);
        } else if stream.received <= most && stream.heard.is_some() {
            self.open_stream_window(header.stream, header.len);
        } else if stream.received > most {
            // The verdict is known; the rest of its body is not wanted.
            self.reset_stream(header.stream, error_code::CANCEL);
            let stream = self.remove(slot);
            let answer = self.reply(stream, now);
            answers.push(answer);
        }
        Ok(())
    }

    fn on_rst_stream(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        let Ok(code) = <[u8; 4]>::try_from(body).map(u32::from_be_bytes) else {
            return Err(frame_size("an RST_STREAM frame of a wrong size"));
        };
        if !self.streams.was_opened(header.stream) {
            return Err(protocol("RST_STREAM on a stream that we did not open"));
        }
        let Some(slot) = self.streams.slot_of(header.stream) else { return Ok(()) };
        self.counters.resets += 1;
        let stream = self.streams.get(slot);
        let answer = if stream.status != 0 {
            let stream = self.remove(slot);
            self.reply(stream, now)
        } else if code == error_code::REFUSED_STREAM {
            self.not_sent(slot, NotSent::Refused, now)
        } else if stream.end == NOT_QUEUED {
            self.not_sent(slot, NotSent::NeverWritten, now)
        } else {
            self.in_doubt(slot, InDoubt::StreamReset(code), now)
        };
        answers.push(answer);
        Ok(())
    }

    fn on_window_update(
        &mut self,
        header: FrameHeader,
        body: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Fault> {
        let Ok(bytes) = <[u8; 4]>::try_from(body).map(u32::from_be_bytes) else {
            return Err(frame_size("a WINDOW_UPDATE frame of a wrong size"));
        };
        let bytes = bytes & MAX_31_BITS;
        if header.stream == 0 {
            if bytes == 0 {
                return Err(protocol("WINDOW_UPDATE of 0"));
            }
            self.sending.grow(bytes)?;
            self.push_blocked();
            return Ok(());
        }
        if !self.streams.was_opened(header.stream) {
            return Err(protocol("WINDOW_UPDATE on a stream that we did not open"));
        }
        let Some(slot) = self.streams.slot_of(header.stream) else { return Ok(()) };
        let initial = self.peer.initial_window as i64;
        let stream = self.streams.get_mut(slot);
        stream.credit += bytes as i64;
        if bytes == 0 || initial + stream.credit > MAX_31_BITS as i64 {
            let code = if bytes == 0 { error_code::PROTOCOL_ERROR } else { error_code::FLOW_CONTROL_ERROR };
            self.reset_stream(header.stream, code);
            let unfinished = self.streams.get(slot).end == NOT_QUEUED;
            let answer = if unfinished {
                self.not_sent(slot, NotSent::NeverWritten, now)
            } else {
                self.in_doubt(slot, InDoubt::ProtocolFault, now)
            };
            answers.push(answer);
            return Ok(());
        }
        if stream.end == NOT_QUEUED {
            self.push_blocked();
        }
        Ok(())
    }

    fn on_ping(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Fault> {
        if header.stream != 0 {
            return Err(protocol("PING on a stream"));
        }
        if body.len() != 8 {
            return Err(frame_size("a PING frame of a wrong size"));
        }
        if header.has(flag::ACK) {
            self.counters.pongs += 1;
            self.peer.has_answered = true;
        } else {
            FrameHeader { len: 8, kind: kind::PING, flags: flag::ACK, stream: 0 }.encode(&mut self.out);
            self.out.extend_from_slice(body);
            self.check_flood()?;
        }
        Ok(())
    }
}

fn frame_len(header: &[u8; HEADER_BYTES]) -> Result<usize, Fault> {
    let len = FrameHeader::parse(header).len;
    if len > MAX_FRAME_SIZE_DEFAULT {
        Err(frame_size("a frame larger than allowed"))
    } else {
        Ok(len as usize)
    }
}

/// Header, body, and the bytes after them.
type SplitFrame<'a> = (FrameHeader, &'a [u8], &'a [u8]);

/// The first frame of `bytes` and what follows it, if it is complete.
fn split_frame(bytes: &[u8]) -> Result<Option<SplitFrame<'_>>, Fault> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let len = frame_len(header)?;
    Ok(rest.split_at_checked(len).map(|(body, after)| (FrameHeader::parse(header), body, after)))
}

fn unpadded(header: FrameHeader, body: &[u8]) -> Result<&[u8], Fault> {
    if !header.has(flag::PADDED) {
        return Ok(body);
    }
    let (pad, rest) = body.split_first().ok_or(frame_size("a padded frame without its pad length"))?;
    let len = rest.len().checked_sub(*pad as usize).ok_or(protocol("more padding than frame"))?;
    Ok(&rest[..len])
}
