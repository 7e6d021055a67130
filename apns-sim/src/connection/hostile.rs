//! The bytes of a server that breaks HTTP/2.

use skein_apns::frame::{FrameHeader, MAX_31_BITS, MAX_FRAME_SIZE_DEFAULT, flag, kind, setting};

use super::writer;
use crate::faults::Hostility;

/// Bytes of a flood of headers: more than any client should keep.
const FLOOD_BYTES: usize = 1 << 20;

/// Writes what the client should end the connection for; `stream` is one that waits for its answer.
pub(super) fn write(hostility: Hostility, stream: u32, out: &mut Vec<u8>) {
    match hostility {
        Hostility::OversizedFrame => {
            let body = vec![b'x'; MAX_FRAME_SIZE_DEFAULT as usize * 4];
            writer::frame(kind::DATA, 0, stream, &body, out);
        }
        Hostility::BadHpack => {
            writer::frame(kind::HEADERS, flag::END_HEADERS, stream, &[0xff, 0x80, 0x7f], out)
        }
        Hostility::HpackInteger => {
            let endless = [&[0x00, 0x7f][..], &[0xff; 16], &[0x7f]].concat();
            writer::frame(kind::HEADERS, flag::END_HEADERS, stream, &endless, out);
        }
        Hostility::HeaderFlood => {
            let field = b"\x00\x01a\x7f\x81\x07";
            let mut block = field.to_vec();
            block.resize(MAX_FRAME_SIZE_DEFAULT as usize, b'a');
            writer::frame(kind::HEADERS, 0, stream, &block, out);
            for _ in 0..FLOOD_BYTES / block.len() {
                writer::frame(kind::CONTINUATION, 0, stream, &block, out);
            }
        }
        Hostility::ZeroWindow => writer::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)], out),
        Hostility::WindowOverflow => {
            writer::window_update(MAX_31_BITS, out);
            writer::window_update(MAX_31_BITS, out);
        }
        Hostility::UnknownStream => writer::accepted(MAX_31_BITS, 0, None, out),
        Hostility::PushPromise => {
            FrameHeader { len: 5, kind: kind::PUSH_PROMISE, flags: flag::END_HEADERS, stream }.encode(out);
            out.extend_from_slice(&[0, 0, 0, 2, 0x82]);
        }
    }
}
