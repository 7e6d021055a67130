//! HTTP/2 frame headers and the numbers of RFC 9113 that go with them.
//!
//! Only what a client of APNs, or a server that plays one, needs; frame bodies are read where they are used.

/// Bytes of a frame header on the wire (RFC 9113 §4.1).
pub const HEADER_BYTES: usize = 9;

/// What a client sends before its first frame (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The smallest and the initial value of SETTINGS_MAX_FRAME_SIZE, in bytes.
pub const MAX_FRAME_SIZE_DEFAULT: u32 = 16_384;

/// The largest value that SETTINGS_MAX_FRAME_SIZE may take, in bytes.
pub const MAX_FRAME_SIZE_LIMIT: u32 = (1 << 24) - 1;

/// The initial flow-control window of a connection and of each stream, in bytes.
pub const WINDOW_DEFAULT: u32 = 65_535;

/// The largest flow-control window and the largest stream id (2³¹ − 1).
pub const MAX_31_BITS: u32 = (1 << 31) - 1;

/// Frame types (RFC 9113 §6).
pub mod kind {
    /// Body bytes of a stream; flow-controlled.
    pub const DATA: u8 = 0x0;
    /// A header block, or its first part.
    pub const HEADERS: u8 = 0x1;
    /// Deprecated priority signal; ignored.
    pub const PRIORITY: u8 = 0x2;
    /// One stream ends abnormally.
    pub const RST_STREAM: u8 = 0x3;
    /// Parameters of the sender of the frame.
    pub const SETTINGS: u8 = 0x4;
    /// Server push; APNs has none.
    pub const PUSH_PROMISE: u8 = 0x5;
    /// Round-trip probe of eight opaque bytes.
    pub const PING: u8 = 0x6;
    /// No new streams on this connection.
    pub const GOAWAY: u8 = 0x7;
    /// More room for DATA.
    pub const WINDOW_UPDATE: u8 = 0x8;
    /// The next part of a header block.
    pub const CONTINUATION: u8 = 0x9;
}

/// Frame flags. ACK and END_STREAM share a bit: they belong to different frame types.
pub mod flag {
    /// DATA, HEADERS: the last frame of this side of the stream.
    pub const END_STREAM: u8 = 0x1;
    /// SETTINGS, PING: an acknowledgement.
    pub const ACK: u8 = 0x1;
    /// HEADERS, PUSH_PROMISE, CONTINUATION: the block is complete.
    pub const END_HEADERS: u8 = 0x4;
    /// DATA, HEADERS, PUSH_PROMISE: a pad length byte comes first and padding last.
    pub const PADDED: u8 = 0x8;
    /// HEADERS: five bytes of deprecated priority come first.
    pub const PRIORITY: u8 = 0x20;
}

/// SETTINGS parameters (RFC 9113 §6.5.2).
pub mod setting {
    /// Bytes of dynamic table that the sender's HPACK decoder keeps.
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    /// Whether server push is allowed: 0 or 1.
    pub const ENABLE_PUSH: u16 = 0x2;
    /// Streams that the receiver of the frame may have open at once.
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    /// Initial window of each stream, in bytes.
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    /// Largest frame body that the sender takes, in bytes.
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    /// Largest decoded header list that the sender takes, in bytes (32 are counted for each field).
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// Error codes of RST_STREAM and GOAWAY (RFC 9113 §7).
pub mod error_code {
    /// No error: an orderly end.
    pub const NO_ERROR: u32 = 0x0;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u32 = 0x1;
    /// A fault of the sender's own.
    pub const INTERNAL_ERROR: u32 = 0x2;
    /// The peer sent more than its window.
    pub const FLOW_CONTROL_ERROR: u32 = 0x3;
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: u32 = 0x4;
    /// A frame for a stream that had ended.
    pub const STREAM_CLOSED: u32 = 0x5;
    /// A frame of a size that its type does not have.
    pub const FRAME_SIZE_ERROR: u32 = 0x6;
    /// Refused before any processing: safe to send again (RFC 9113 §8.7).
    pub const REFUSED_STREAM: u32 = 0x7;
    /// No longer wanted.
    pub const CANCEL: u32 = 0x8;
    /// The header compression state is lost.
    pub const COMPRESSION_ERROR: u32 = 0x9;
    /// A CONNECT request's connection broke.
    pub const CONNECT_ERROR: u32 = 0xa;
    /// The peer's behaviour costs too much.
    pub const ENHANCE_YOUR_CALM: u32 = 0xb;
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: u32 = 0xc;
    /// HTTP/1.1 is wanted instead.
    pub const HTTP_1_1_REQUIRED: u32 = 0xd;

    /// The name of a code as RFC 9113 writes it; `"UNKNOWN"` for one it does not have.
    pub fn label(code: u32) -> &'static str {
        match code {
            NO_ERROR => "NO_ERROR",
            PROTOCOL_ERROR => "PROTOCOL_ERROR",
            INTERNAL_ERROR => "INTERNAL_ERROR",
            FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            STREAM_CLOSED => "STREAM_CLOSED",
            FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            REFUSED_STREAM => "REFUSED_STREAM",
            CANCEL => "CANCEL",
            COMPRESSION_ERROR => "COMPRESSION_ERROR",
            CONNECT_ERROR => "CONNECT_ERROR",
            ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            _ => "UNKNOWN",
        }
    }
}

/// The nine bytes in front of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of body that follow; 24 bits on the wire.
    pub len: u32,
    /// One of [`kind`], or a type to be ignored.
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Stream id, 0 for the connection; 31 bits on the wire.
    pub stream: u32,
}

impl FrameHeader {
    /// Reads a header. Never fails: each pattern of nine bytes is one; the reserved bit is ignored.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        Self {
            len: u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]),
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & MAX_31_BITS,
        }
    }

    /// The nine bytes; `len` above 24 bits and `stream` above 31 bits are cut off.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let len = self.len.to_be_bytes();
        let stream = (self.stream & MAX_31_BITS).to_be_bytes();
        [len[1], len[2], len[3], self.kind, self.flags, stream[0], stream[1], stream[2], stream[3]]
    }

    /// Appends [`FrameHeader::to_bytes`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// Whether all bits of `flag` are set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_wire() {
        let header = FrameHeader { len: 0x01_02_03, kind: kind::HEADERS, flags: 5, stream: MAX_31_BITS };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 1, 5, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(FrameHeader::parse(bytes.as_slice().try_into().unwrap()), header);
    }

    #[test]
    fn the_reserved_bit_is_ignored() {
        let header = FrameHeader::parse(&[0, 0, 8, kind::PING, flag::ACK, 0x80, 0, 0, 1]);
        assert_eq!(header.stream, 1);
        assert!(header.has(flag::ACK));
        assert!(!header.has(flag::PADDED));
    }
}
