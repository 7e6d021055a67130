//! Servers that lie, over real TLS: no panic, no hang, bounded memory, and the connection replaced.

use super::crowd::{Fates, run, write_all};
use super::hostile_server::{Act, FLOOD_BYTES, Seen, frame, settings, start};
use crate::authority::Authority;
use serde_json::json;
use skein_apns::frame::{FrameHeader, MAX_31_BITS, MAX_FRAME_SIZE_DEFAULT, flag, kind, setting};
use skein_apns::{Client, ClientConfig};
use skein_tests::figures;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PUSHES: u64 = 200;
const IN_FLIGHT: usize = 50;
/// What a peer may get rid of before it is cut off, socket buffers included.
const CUT_OFF_BYTES: u64 = 32 << 20;
/// What the process may grow by while a peer sends what may be ignored.
const GROWTH_BYTES: u64 = FLOOD_BYTES / 2;

/// Far beyond the three seconds that a replacement may take: only a hang ends here.
const REPLACED_MAX: Duration = Duration::from_secs(20);

/// What the client is to make of it.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// Another connection takes over.
    Replaced,
    /// The connection goes on.
    Goes,
    /// Either.
    Any,
}
use Expected::{Any, Goes, Replaced};

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block)
}

fn refusal(stream: u32, block: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = frame(kind::HEADERS, flag::END_HEADERS, stream, block);
    out.extend(frame(kind::DATA, flag::END_STREAM, stream, body));
    out
}

/// A frame whose header says more than may be sent.
fn oversized(stream: u32, len: u32) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHeader { len, kind: kind::DATA, flags: 0, stream }.encode(&mut out);
    out.resize(out.len() + len as usize, 0);
    out
}

fn check(name: &str, act: Act, expected: Expected) {
    let authority = Authority::new();
    let before = resident_bytes();
    let (fates, seen, status) = run(async {
        let (port, seen) = start(&authority, act).await;
        // Where nothing is to be given up, a busy machine may stand still for long.
        let request_timeout = Duration::from_secs(if expected == Goes { 20 } else { 2 });
        let config = ClientConfig { request_timeout, ..authority.config(port) };
        let mut client = Client::new(config, authority.certificate());
        let mut fates = write_all(&mut client, 0..PUSHES, IN_FLIGHT).await;
        let copies = write_all(&mut client, fates.in_doubt.clone().into_iter(), IN_FLIGHT).await;
        fates.replied.extend(copies.replied);
        (fates, seen, client.status())
    });
    judge(name, &fates, &seen, expected, resident_bytes().saturating_sub(before));
    assert!(status.open > 0, "{name}: no connection at the end: {status:?}");
}

fn judge(name: &str, fates: &Fates, seen: &Seen, expected: Expected, grown: u64) {
    assert_eq!(fates.replied.len(), PUSHES as usize, "{name}: P1, all are answered in the end");
    let struck = seen.struck.lock().unwrap().unwrap_or_else(|| panic!("{name}: it never struck"));
    let replaced = seen.healed.lock().unwrap().map(|healed| healed - struck);
    let flooded = seen.flooded.load(Ordering::Relaxed);
    let row = json!({
        "row": format!("hostile_{name}"), "replaced_ms": replaced.map(|after| after.as_millis() as u64),
        "in_doubt": fates.in_doubt.len(), "not_sent": fates.not_sent.len(),
        "connections": seen.connections.load(Ordering::Relaxed), "peer_sent_bytes": flooded, "grown_bytes": grown,
    });
    eprintln!("{row}");
    figures::append("bad-days", &row).unwrap();
    match expected {
        Replaced => {
            assert!(
                replaced.is_some_and(|after| after < REPLACED_MAX),
                "{name}: replaced after {replaced:?}"
            );
            assert!(
                flooded < CUT_OFF_BYTES,
                "{name}: P8, the peer sent {flooded} bytes before it was cut off"
            );
        }
        Goes => {
            assert_eq!(seen.connections.load(Ordering::Relaxed), 1, "{name}: the connection was given up");
            assert!(fates.in_doubt.is_empty(), "{name}: {} in doubt", fates.in_doubt.len());
        }
        Any => {}
    }
    assert!(grown < GROWTH_BYTES, "{name}: P8, the process grew by {grown} bytes");
}

fn resident_bytes() -> u64 {
    // Elsewhere than on Linux nothing is measured.
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[test]
fn a_peer_that_vanishes() {
    check("reset", Act::Reset, Replaced);
    check("half_open", Act::HalfClose, Replaced);
    check("silence", Act::Silence, Replaced);
    check("slow_drain", Act::SlowDrain(Duration::from_millis(5)), Replaced);
    check("zero_window", Act::ZeroWindow { pings: false }, Replaced);
    check("zero_window_with_ping", Act::ZeroWindow { pings: true }, Replaced);
}

#[test]
fn a_peer_that_is_odd_and_keeps_to_the_protocol() {
    check("byte_by_byte", Act::Dribble(Duration::ZERO), Goes);
    check("slow_answers", Act::Dribble(Duration::from_millis(10)), Goes);
    check(
        "unknown_frames",
        Act::Answer(|s| [frame(0xfa, 0xff, s, &[7; 99]), headers(s, &[0x88])].concat()),
        Goes,
    );
    check("bad_utf8_in_body", Act::Answer(|s| refusal(s, &[0x8c], b"{\"reason\":\"\xff\xfe\xc0\"}")), Goes);
    let bad_value = |s| headers(s, &[&[0x88, 0x00, 14][..], b"apns-unique-id", &[2, 0xff, 0xfe]].concat());
    check("bad_utf8_in_header", Act::Answer(bad_value), Goes);
    let long = |s| {
        let block = [&[0x08, 3][..], b"410", &[0x0f, 0x0d, 20], b"18446744073709551616"].concat();
        refusal(s, &block, br#"{"reason":"Unregistered","timestamp":18446744073709551616}"#)
    };
    check("64_bit_lengths", Act::Answer(long), Goes);
    let huge = |s| refusal(s, &[0x8c], br#"{"reason":"BadPriority","timestamp":1e4000}"#);
    check("a_number_beyond_all", Act::Answer(huge), Goes);
    check("no_status", Act::Answer(|s| headers(s, &[0x0f, 0x0d, 1, b'0'])), Any);
    check(
        "limit_of_zero",
        Act::Answer(|s| [settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]), headers(s, &[0x88])].concat()),
        Replaced,
    );
}

#[test]
fn a_peer_that_breaks_framing() {
    check("oversized_frame", Act::Say(|s| oversized(s, MAX_FRAME_SIZE_DEFAULT + 1)), Replaced);
    check("oversized_to_the_limit", Act::Say(|s| oversized(s, (1 << 24) - 1)), Replaced);
    check("settings_of_5_bytes", Act::Say(|_| frame(kind::SETTINGS, 0, 0, &[0; 5])), Replaced);
    check("settings_on_a_stream", Act::Say(|s| frame(kind::SETTINGS, 0, s, &[])), Replaced);
    check(
        "initial_window_of_2_31",
        Act::Say(|_| settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])),
        Replaced,
    );
    check("frame_size_of_0", Act::Say(|_| settings(&[(setting::MAX_FRAME_SIZE, 0)])), Replaced);
    let twice = |_| [MAX_31_BITS; 2].map(|by| frame(kind::WINDOW_UPDATE, 0, 0, &by.to_be_bytes())).concat();
    check("window_overflow", Act::Say(twice), Replaced);
    check("window_update_of_0", Act::Say(|_| frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])), Replaced);
    check(
        "push_promise",
        Act::Say(|s| frame(kind::PUSH_PROMISE, flag::END_HEADERS, s, &[0, 0, 0, 2, 0x88])),
        Replaced,
    );
    check("headers_for_nobody", Act::Say(|_| headers(MAX_31_BITS, &[0x88])), Replaced);
    check("data_before_headers", Act::Say(|s| frame(kind::DATA, flag::END_STREAM, s, b"{}")), Replaced);
    check("padding_beyond_the_frame", Act::Say(|s| frame(kind::DATA, flag::PADDED, s, &[200, 0])), Replaced);
    check("ping_of_7_bytes", Act::Say(|_| frame(kind::PING, 0, 0, &[0; 7])), Replaced);
    check("goaway_of_3_bytes", Act::Say(|_| frame(kind::GOAWAY, 0, 0, &[0; 3])), Replaced);
    check(
        "continuation_of_nothing",
        Act::Say(|s| frame(kind::CONTINUATION, flag::END_HEADERS, s, &[0x88])),
        Replaced,
    );
    let interrupted = |s| [frame(kind::HEADERS, 0, s, &[0x88]), frame(kind::PING, 0, 0, &[0; 8])].concat();
    check("interrupted_headers", Act::Say(interrupted), Replaced);
}

#[test]
fn a_peer_whose_headers_are_a_trap() {
    check("hpack_index_0", Act::Say(|s| headers(s, &[0x80])), Replaced);
    check("hpack_index_beyond", Act::Say(|s| headers(s, &[0xff, 0xff, 0xff, 0xff, 0x0f])), Replaced);
    check("hpack_integer_without_end", Act::Say(|s| headers(s, &[0xff; 64])), Replaced);
    let long = |s| headers(s, &[0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, b'a']);
    check("hpack_string_of_2_63", Act::Say(long), Replaced);
    check(
        "hpack_huffman_eos",
        Act::Say(|s| headers(s, &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'a'])),
        Replaced,
    );
    check("hpack_table_of_4_gib", Act::Say(|s| headers(s, &[0x3f, 0xe1, 0xff, 0xff, 0x0f, 0x88])), Replaced);
    let bomb = |s| {
        // One field of 4,000 bytes into the table, then thousands of references to it.
        let mut block = vec![0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
        block.resize(block.len() + 4_000, b'y');
        block.resize(16_000, 0xbe);
        headers(s, &block)
    };
    check("hpack_bomb", Act::Say(bomb), Replaced);
}

#[test]
fn p8_a_peer_that_floods() {
    let endless = |s, turn| match turn {
        0 => frame(kind::HEADERS, 0, s, &[0x88]),
        _ => frame(kind::CONTINUATION, 0, s, &[0, 1, b'x', 1, b'y'].repeat(3_000)),
    };
    check("flood_of_continuations", Act::Flood(endless), Replaced);
    let empty = |s, turn| match turn {
        0 => frame(kind::HEADERS, 0, s, &[0x88]),
        _ => frame(kind::CONTINUATION, 0, s, &[]).repeat(1_000),
    };
    check("flood_of_empty_continuations", Act::Flood(empty), Replaced);
    let fields = |s, _| headers(s, &[0, 1, b'x', 1, b'y'].repeat(3_000));
    check("flood_of_headers", Act::Flood(fields), Any);
    let body = |s, turn| match turn {
        0 => frame(kind::HEADERS, flag::END_HEADERS, s, &[0x8c]),
        _ => frame(kind::DATA, 0, s, &[b'x'; 16_000]),
    };
    check("flood_of_body", Act::Flood(body), Any);
    check("flood_of_pings", Act::Flood(|_, _| frame(kind::PING, 0, 0, &[0; 8]).repeat(1_000)), Any);
    check(
        "flood_of_settings",
        Act::Flood(|_, _| settings(&[(setting::MAX_CONCURRENT_STREAMS, 9)]).repeat(1_000)),
        Any,
    );
    check("flood_of_unknown_frames", Act::Flood(|_, _| frame(0xfa, 0, 0, &[0; 16_000])), Any);
    let interim = |s, _| frame(kind::HEADERS, flag::END_HEADERS, s, &[8, 3, b'1', b'0', b'3']).repeat(1_000);
    check("flood_of_interim_answers", Act::Flood(interim), Any);
}
