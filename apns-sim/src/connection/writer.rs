//! The frames a server writes, answers first: no dynamic table, no Huffman, one pass.

use skein_apns::frame::{FrameHeader, PREFACE, error_code, flag, kind, setting};
use skein_apns::hpack::{Indexing, Name, encode_indexed, encode_literal};

use crate::broadcast::Reply;
use crate::reason::Reason;
use crate::request::format_uuid;

pub(super) const PREFACE_BYTES: usize = PREFACE.len();

const STATIC_STATUS_200: usize = 8;
const STATIC_STATUS_400: usize = 12;
const STATIC_STATUS_404: usize = 13;
const STATIC_STATUS_500: usize = 14;
const STATIC_CONTENT_TYPE: usize = 31;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, body: &[u8], out: &mut Vec<u8>) {
    FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(out);
    out.extend_from_slice(body);
}

pub(super) fn settings(values: &[(u16, u32)], out: &mut Vec<u8>) {
    let body: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    frame(kind::SETTINGS, 0, 0, &body, out);
}

pub(super) fn settings_ack(out: &mut Vec<u8>) {
    frame(kind::SETTINGS, flag::ACK, 0, &[], out);
}

pub(super) fn stream_limit(streams: u32, out: &mut Vec<u8>) {
    settings(&[(setting::MAX_CONCURRENT_STREAMS, streams)], out);
}

pub(super) fn ping_ack(opaque: &[u8], out: &mut Vec<u8>) {
    frame(kind::PING, flag::ACK, 0, opaque, out);
}

pub(super) fn window_update(bytes: u32, out: &mut Vec<u8>) {
    frame(kind::WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes(), out);
}

pub(super) fn reset_stream(stream: u32, code: u32, out: &mut Vec<u8>) {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes(), out);
}

pub(super) fn refuse_stream(stream: u32, out: &mut Vec<u8>) {
    reset_stream(stream, error_code::REFUSED_STREAM, out);
}

pub(super) fn goaway(last_stream: u32, code: u32, data: &[u8], out: &mut Vec<u8>) {
    let body = [&last_stream.to_be_bytes(), &code.to_be_bytes(), data].concat();
    frame(kind::GOAWAY, 0, 0, &body, out);
}

/// The 200 with its `apns-id`, as one frame of fixed length.
pub(super) fn accepted(stream: u32, id: u128, unique_id: Option<u128>, out: &mut Vec<u8>) {
    const ID_FIELD: &[u8; 10] = b"\x88\x00\x07apns-id";
    const UNIQUE_FIELD: &[u8; 16] = b"\x00\x0eapns-unique-id";
    let length = ID_FIELD.len() + 1 + 36 + unique_id.map_or(0, |_| UNIQUE_FIELD.len() + 1 + 36);
    let flags = flag::END_HEADERS | flag::END_STREAM;
    FrameHeader { len: length as u32, kind: kind::HEADERS, flags, stream }.encode(out);
    out.extend_from_slice(ID_FIELD);
    out.push(36);
    out.extend_from_slice(&format_uuid(id));
    if let Some(unique_id) = unique_id {
        out.extend_from_slice(UNIQUE_FIELD);
        out.push(36);
        out.extend_from_slice(&format_uuid(unique_id));
    }
}

/// The headers of a refusal. With a content type, its body follows in DATA frames.
pub(super) fn refused_headers(
    stream: u32,
    id: u128,
    status: u16,
    content_type: Option<&str>,
    out: &mut Vec<u8>,
) {
    let mut block = Vec::with_capacity(80);
    match status {
        400 => encode_indexed(STATIC_STATUS_400, &mut block),
        404 => encode_indexed(STATIC_STATUS_404, &mut block),
        500 => encode_indexed(STATIC_STATUS_500, &mut block),
        status => {
            let name = Name::Index(STATIC_STATUS_200);
            encode_literal(Indexing::Without, name, status.to_string().as_bytes(), &mut block);
        }
    }
    if let Some(kind) = content_type {
        encode_literal(Indexing::Without, Name::Index(STATIC_CONTENT_TYPE), kind.as_bytes(), &mut block);
    }
    encode_literal(Indexing::Without, Name::Literal(b"apns-id"), &format_uuid(id), &mut block);
    let end_stream = if content_type.is_none() { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end_stream, stream, &block, out);
}

/// The headers of an answer about broadcasts; its body follows if it has one.
pub(super) fn broadcast_headers(
    stream: u32,
    id: u128,
    unique_id: Option<u128>,
    reply: &Reply,
    out: &mut Vec<u8>,
) {
    let mut block = Vec::with_capacity(128);
    let mut field = |name: Name<'_>, value: &[u8]| encode_literal(Indexing::Without, name, value, &mut block);
    field(Name::Index(STATIC_STATUS_200), reply.status.to_string().as_bytes());
    field(Name::Literal(b"apns-request-id"), &format_uuid(id));
    if let Some(unique_id) = unique_id {
        field(Name::Literal(b"apns-unique-id"), &format_uuid(unique_id));
    }
    if let Some(channel) = &reply.channel {
        field(Name::Literal(b"apns-channel-id"), channel.as_bytes());
    }
    if reply.body.is_some() {
        field(Name::Index(STATIC_CONTENT_TYPE), JSON.as_bytes());
    }
    let end_stream = if reply.body.is_none() { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end_stream, stream, &block, out);
}

/// The JSON body of a refusal.
pub(super) fn refused_body(reason: Reason, timestamp_ms: Option<u64>) -> Vec<u8> {
    match timestamp_ms {
        Some(timestamp) => {
            format!(r#"{{"reason":"{}","timestamp":{timestamp}}}"#, reason.label()).into_bytes()
        }
        None => format!(r#"{{"reason":"{}"}}"#, reason.label()).into_bytes(),
    }
}

/// The content type of Apple's refusals.
pub(super) const JSON: &str = "application/json";

/// A whole body, in one frame or in three.
pub(super) fn whole_body(stream: u32, body: &[u8], split: bool, out: &mut Vec<u8>) {
    if !split {
        return last_data(stream, body, out);
    }
    let (start, rest) = body.split_at(body.len() / 2);
    frame(kind::DATA, 0, stream, start, out);
    frame(kind::DATA, 0, stream, &[], out);
    last_data(stream, rest, out);
}

fn last_data(stream: u32, body: &[u8], out: &mut Vec<u8>) {
    frame(kind::DATA, flag::END_STREAM, stream, body, out);
}

#[cfg(test)]
mod tests {
    use skein_apns::hpack::Decoder;

    use super::*;

    fn fields(frame: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sink = |name: &[u8], value: &[u8]| fields.push((text(name), text(value)));
        Decoder::new(4096).decode(&frame[9..], 8000, sink).expect("a good block");
        fields
    }

    #[test]
    fn answers_decode_to_what_was_meant() {
        let mut out = Vec::new();
        accepted(1, 5, Some(6), &mut out);
        let id = "00000000-0000-0000-0000-000000000005";
        let names: Vec<_> = fields(&out).into_iter().collect();
        assert_eq!(names[0], (":status".to_owned(), "200".to_owned()));
        assert_eq!(names[1], ("apns-id".to_owned(), id.to_owned()));
        assert_eq!(names[2].0, "apns-unique-id");
        for reason in Reason::ALL {
            out.clear();
            refused_headers(1, 5, reason.status(), Some(JSON), &mut out);
            let fields = fields(&out);
            assert_eq!(fields[0].1, reason.status().to_string());
            assert_eq!(fields[1], ("content-type".to_owned(), "application/json".to_owned()));
            assert_eq!(fields[2].1, id);
        }
        assert_eq!(
            refused_body(Reason::Unregistered, Some(7)),
            br#"{"reason":"Unregistered","timestamp":7}"#
        );
    }
}
