//! Frames into requests.

use skein_apns::frame::{FrameHeader, error_code, flag, kind, setting};
use skein_apns::hpack;

use super::{Broken, Connection, HEADER_LIST_BYTES_MAX, writer};
use crate::faults::Stall;
use crate::request::Head;

/// Bytes of one header block over all its frames.
const BLOCK_BYTES_MAX: usize = 32 * 1024;

/// A header block that CONTINUATION frames complete.
pub(super) struct Block {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// A request whose body is still coming.
pub(super) struct Open {
    head: Head,
    body: Vec<u8>,
}

const fn protocol(what: &'static str) -> Broken {
    Broken(error_code::PROTOCOL_ERROR, what)
}

const fn size(what: &'static str) -> Broken {
    Broken(error_code::FRAME_SIZE_ERROR, what)
}

impl Connection {
    pub(super) fn take_frame(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        if let Some(block) = &self.block
            && (header.kind != kind::CONTINUATION || header.stream != block.stream)
        {
            return Err(protocol("a header block is interrupted"));
        }
        match header.kind {
            kind::HEADERS => self.take_headers(header, body),
            kind::DATA => self.take_data(header, body),
            kind::CONTINUATION => self.take_continuation(header, body),
            kind::SETTINGS => self.take_settings(header, body),
            kind::PING => {
                if body.len() != 8 {
                    return Err(size("a PING is not 8 bytes long"));
                }
                if !header.has(flag::ACK) && self.faults.stall != Stall::Reads {
                    writer::ping_ack(body, &mut self.answers.out);
                }
                Ok(())
            }
            kind::WINDOW_UPDATE => self.take_window_update(header, body),
            kind::RST_STREAM => {
                if body.len() != 4 || header.stream == 0 {
                    return Err(size("a RST_STREAM is malformed"));
                }
                self.open.remove(&header.stream);
                self.silent.remove(&header.stream);
                self.answers.forget(header.stream);
                Ok(())
            }
            kind::PUSH_PROMISE => Err(protocol("a client does not push")),
            _ => Ok(()),
        }
    }

    fn take_settings(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        if header.has(flag::ACK) {
            self.limit.acknowledged();
            return Ok(());
        }
        let (settings, rest) = body.as_chunks::<6>();
        if !rest.is_empty() || header.stream != 0 {
            return Err(size("a SETTINGS frame is malformed"));
        }
        for [a, b, value @ ..] in settings {
            if u16::from_be_bytes([*a, *b]) == setting::INITIAL_WINDOW_SIZE {
                self.answers.set_stream_window(u32::from_be_bytes(*value));
            }
        }
        writer::settings_ack(&mut self.answers.out);
        self.unblock();
        Ok(())
    }

    fn take_window_update(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        let bytes: [u8; 4] = body.try_into().map_err(|_| size("a WINDOW_UPDATE is not 4 bytes long"))?;
        let bytes = u32::from_be_bytes(bytes) & (u32::MAX >> 1);
        if bytes == 0 {
            return Err(protocol("a WINDOW_UPDATE grants nothing"));
        }
        if !self.answers.grow_window(header.stream, bytes) {
            return Err(Broken(error_code::FLOW_CONTROL_ERROR, "the client's window is too large"));
        }
        self.unblock();
        Ok(())
    }

    fn unblock(&mut self) {
        while let Some(row) = self.answers.unblock() {
            self.journal.is_queued(row, self.answers.end());
        }
    }

    fn take_headers(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        if header.stream.is_multiple_of(2) {
            return Err(protocol("a client's streams are odd"));
        }
        let mut fragment = unpadded(header, body)?;
        if header.has(flag::PRIORITY) {
            fragment = fragment.get(5..).ok_or(size("a HEADERS frame is too short"))?;
        }
        let end_stream = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.take_block(header.stream, end_stream, fragment);
        }
        self.block = Some(Block { stream: header.stream, end_stream, bytes: fragment.to_vec() });
        Ok(())
    }

    fn take_continuation(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        let mut block = self.block.take().ok_or(protocol("a CONTINUATION continues nothing"))?;
        block.bytes.extend_from_slice(body);
        if block.bytes.len() > BLOCK_BYTES_MAX {
            return Err(Broken(error_code::ENHANCE_YOUR_CALM, "a header block is too long"));
        }
        if header.has(flag::END_HEADERS) {
            return self.take_block(block.stream, block.end_stream, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    fn take_block(&mut self, stream: u32, end_stream: bool, bytes: &[u8]) -> Result<(), Broken> {
        let mut head = Head::default();
        let (strictness, shared) = (&self.shared.strictness, &self.shared);
        let (authorization, tokens, now_s) = (&mut self.authorization, &self.tokens, self.now_ms / 1000);
        let mut outcome = Ok(());
        let decoded = self.decoder.decode(bytes, HEADER_LIST_BYTES_MAX as usize, |name, value| {
            if head.take(name, value, strictness) {
                outcome = authorization.check(value, tokens, shared.environment, now_s);
            }
        });
        match decoded {
            Ok(()) => {}
            Err(hpack::Error::ListTooLarge) => {
                self.newest_stream = self.newest_stream.max(stream);
                writer::reset_stream(stream, error_code::ENHANCE_YOUR_CALM, &mut self.answers.out);
                return Ok(());
            }
            Err(_) => return Err(Broken(error_code::COMPRESSION_ERROR, "a header block does not decode")),
        }
        if stream <= self.newest_stream {
            return match self.open.remove(&stream) {
                Some(open) if end_stream => {
                    self.serve(stream, open.head, &open.body);
                    Ok(())
                }
                Some(_) => Err(protocol("trailers do not end their stream")),
                None => Err(Broken(error_code::STREAM_CLOSED, "headers on a stream that has ended")),
            };
        }
        let before = std::mem::replace(&mut self.newest_stream, stream);
        self.authorize(&mut head, outcome);
        head.finish(&self.shared.strictness);
        if self.is_over_limit() {
            self.refuse_over_limit(stream, before, &head);
        } else if end_stream {
            self.serve(stream, head, &[]);
        } else {
            self.open.insert(stream, Open { head, body: Vec::new() });
        }
        Ok(())
    }

    fn take_data(&mut self, header: FrameHeader, body: &[u8]) -> Result<(), Broken> {
        if header.stream == 0 || header.stream > self.newest_stream {
            return Err(protocol("DATA on a stream that was not opened"));
        }
        self.window -= i64::from(header.len);
        self.window_used += header.len;
        if self.window < 0 {
            return Err(Broken(
                error_code::FLOW_CONTROL_ERROR,
                "the client exceeded the connection's window",
            ));
        }
        let data = unpadded(header, body)?;
        let end_stream = header.has(flag::END_STREAM);
        let Some(open) = self.open.get_mut(&header.stream) else { return Ok(()) };
        if open.body.len() + data.len() > open.head.payload_bytes_max() && !end_stream {
            if let Some(Open { head, mut body }) = self.open.remove(&header.stream) {
                body.extend_from_slice(data);
                self.serve(header.stream, head, &body);
                writer::reset_stream(header.stream, error_code::NO_ERROR, &mut self.answers.out);
            }
        } else if !end_stream {
            open.body.extend_from_slice(data);
        } else if let Some(Open { head, mut body }) = self.open.remove(&header.stream) {
            if body.is_empty() {
                self.serve(header.stream, head, data);
            } else {
                body.extend_from_slice(data);
                self.serve(header.stream, head, &body);
            }
        }
        Ok(())
    }
}

fn unpadded(header: FrameHeader, body: &[u8]) -> Result<&[u8], Broken> {
    if !header.has(flag::PADDED) {
        return Ok(body);
    }
    let (padding, rest) = body.split_first().ok_or(size("a padded frame is empty"))?;
    let length =
        rest.len().checked_sub(usize::from(*padding)).ok_or(protocol("padding is longer than its frame"))?;
    Ok(&rest[..length])
}
