//! Servers that mean harm: each is given up, or borne, within bounds, and the next connection serves.

use crate::server::*;
use skein_apns::frame::{FrameHeader, MAX_31_BITS, flag, kind, setting};
use skein_apns::hpack::{Indexing, Name, encode_literal, encode_size_update};
use skein_apns::*;
use tokio::io::AsyncWriteExt;

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(&mut out);
    out.extend_from_slice(body);
    out
}

fn settings(id: u16, value: u32) -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// The header block of a reply with `status`, and the fields that `more` adds.
fn headers(stream: u32, status: &[u8], more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut block = Vec::new();
    encode_literal(Indexing::Without, Name::Index(8), status, &mut block);
    more(&mut block);
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
}

/// A table entry of 4,000 bytes, and then as many references to it as a block holds.
fn bomb(stream: u32) -> Vec<u8> {
    headers(stream, b"200", |block| {
        encode_literal(Indexing::Incremental, Name::Literal(b"x"), &[b'y'; 4_000], block);
        block.extend_from_slice(&[0xbe; 12_000]);
    })
}

/// What a server says on the stream of the first request, and how that request must be answered.
fn attacks(stream: u32) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const HEAD: u8 = flag::END_HEADERS | flag::END_STREAM;
    vec![
        (
            "an oversized frame",
            FrameHeader { len: 1 << 20, kind: 0, flags: 0, stream }.to_bytes().to_vec(),
            "protocol_fault",
        ),
        ("a header bomb", bomb(stream), "protocol_fault"),
        (
            "bad huffman",
            frame(kind::HEADERS, HEAD, stream, &[0x08, 0x84, 0xff, 0xff, 0xff, 0xff]),
            "protocol_fault",
        ),
        ("an endless integer", frame(kind::HEADERS, HEAD, stream, &[0xff; 200]), "protocol_fault"),
        (
            "a table larger than allowed",
            {
                let mut block = Vec::new();
                encode_size_update(1 << 20, &mut block);
                frame(kind::HEADERS, HEAD, stream, &block)
            },
            "protocol_fault",
        ),
        (
            "a flood of CONTINUATION",
            [
                frame(kind::HEADERS, 1, stream, &[]),
                frame(kind::CONTINUATION, 0, stream, &[0; 1]).repeat(5_000),
            ]
            .concat(),
            "protocol_fault",
        ),
        ("a flood of PING", frame(kind::PING, 0, 0, &[7; 8]).repeat(20_000), "protocol_fault"),
        (
            "a flood of SETTINGS",
            settings(setting::MAX_CONCURRENT_STREAMS, 5).repeat(20_000),
            "protocol_fault",
        ),
        (
            "a flood of empty DATA",
            [headers(stream, b"400", |_| ()), frame(kind::DATA, 0, stream, &[]).repeat(20_000)].concat(),
            "reply",
        ),
        ("a push promise", frame(kind::PUSH_PROMISE, 4, stream, &[0, 0, 0, 2, 0x88]), "protocol_fault"),
        ("headers on stream 0", frame(kind::HEADERS, HEAD, 0, &[0x88]), "protocol_fault"),
        ("data on stream 0", frame(kind::DATA, 1, 0, b"x"), "protocol_fault"),
        (
            "a reset of a stream that never was",
            frame(kind::RST_STREAM, 0, 99_999, &[0, 0, 0, 7]),
            "protocol_fault",
        ),
        (
            "a window above 2^31-1",
            frame(kind::WINDOW_UPDATE, 0, 0, &MAX_31_BITS.to_be_bytes()),
            "protocol_fault",
        ),
        (
            "another protocol",
            b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n".to_vec(),
            "protocol_fault",
        ),
    ]
}

#[tokio::test]
async fn an_attack_costs_one_connection_and_the_next_one_serves() {
    for at in 0..attacks(1).len() {
        let server = Server::new().await;
        let mut client = Client::new(server.config(), token());
        write_all(&mut client, 0..=0);
        let script = async {
            let mut peer = server.accept(MANY).await;
            let asked = peer.request().await;
            peer.reply(&asked, 200, b"").await;
            let asked = peer.request().await;
            let (name, bytes, expected) = attacks(asked.stream).swap_remove(at);
            // It may be cut off before it has said all.
            let _ = peer.stream.write_all(&bytes).await;
            let _ = peer.stream.flush().await;
            let mut next = server.accept(MANY).await;
            let asked = next.request().await;
            next.reply(&asked, 200, b"").await;
            (name, expected, peer, next)
        };
        let client_side = async {
            let mut found = answers(&mut client, 1).await;
            write_all(&mut client, 1..=1);
            found.extend(answers(&mut client, 1).await);
            write_all(&mut client, 2..=2);
            found.extend(answers(&mut client, 1).await);
            found
        };
        let ((name, expected, ..), found) = tokio::join!(script, client_side);
        assert_eq!(labels(&found), [(0, "reply"), (1, expected), (2, "reply")], "{name}");
        assert_eq!(client.health().protocol_faults, 1, "{name}");
    }
}

#[tokio::test]
async fn odd_replies_are_replies() {
    let huge = b"18446744073709551616";
    let body = |bytes: &[u8]| -> Vec<u8> { bytes.to_vec() };
    for (name, more, said, reason) in [
        ("a 64-bit content-length", &huge[..], body(br#"{"reason":"BadTopic"}"#), Some(Reason::BadTopic)),
        (
            "a 64-bit timestamp",
            b"1",
            body(br#"{"reason":"Unregistered","timestamp":18446744073709551616}"#),
            Some(Reason::Unregistered),
        ),
        ("bad utf-8 in the body", b"1", body(b"{\"reason\":\"\xff\xfe\"}"), None),
        ("bad utf-8 in a header", b"\xff\xfe", body(br#"{"reason":"BadTopic"}"#), Some(Reason::BadTopic)),
        ("no body", b"0", body(b""), None),
        ("html", b"1", body(b"<html>"), None),
    ] {
        let server = Server::new().await;
        let mut client = Client::new(server.config(), token());
        write_all(&mut client, 0..=0);
        let script = async {
            let mut peer = server.accept(MANY).await;
            let asked = peer.request().await;
            let mut bytes = headers(asked.stream, b"400", |block| {
                encode_literal(Indexing::Without, Name::Literal(b"content-length"), more, block);
                encode_literal(Indexing::Without, Name::Literal(b"apns-unique-id"), more, block);
            });
            for byte in &said {
                bytes.extend(frame(kind::DATA, 0, asked.stream, &[*byte]));
            }
            bytes.extend(frame(kind::DATA, flag::END_STREAM, asked.stream, b""));
            peer.stream.write_all(&bytes).await.unwrap();
            peer.stream.flush().await.unwrap();
            peer
        };
        let (_peer, found) = tokio::join!(script, answers(&mut client, 1));
        let Answer::Reply { status: 400, reason: got, timestamp_ms: None, .. } = &found[0].1 else {
            panic!("{name}: {found:?}")
        };
        assert_eq!(*got, reason, "{name}");
        assert_eq!(client.health().protocol_faults, 0, "{name}");
    }
}
