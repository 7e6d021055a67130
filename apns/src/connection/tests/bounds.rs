//! What a broken or hostile peer sends, and where it is stopped.

use super::*;
use crate::frame::MAX_FRAME_SIZE_DEFAULT;

fn fault(bytes: &[u8]) -> u32 {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.recv(bytes).unwrap_err().code
}

fn one(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, kind, flags, stream, body);
    out
}

#[test]
fn broken_frames_end_the_connection() {
    use error_code::*;
    for (bytes, code) in [
        (one(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
        (one(kind::HEADERS, 5, 2, &block("200")), PROTOCOL_ERROR),
        (one(kind::HEADERS, 5, 3, &block("200")), PROTOCOL_ERROR),
        (one(kind::HEADERS, 5, 0, &block("200")), PROTOCOL_ERROR),
        (one(kind::HEADERS, 5, 1, &[0xff]), COMPRESSION_ERROR),
        (one(kind::HEADERS, 5 | flag::PADDED, 1, &[9, 0x88]), PROTOCOL_ERROR),
        (one(kind::HEADERS, 5 | flag::PRIORITY, 1, &[0, 0, 0]), FRAME_SIZE_ERROR),
        (one(kind::DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        (one(kind::DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        (one(kind::CONTINUATION, 4, 1, &block("200")), PROTOCOL_ERROR),
        ([one(kind::HEADERS, 1, 1, &[]), one(kind::PING, 0, 0, &[0; 8])].concat(), PROTOCOL_ERROR),
        (one(kind::SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        (one(kind::SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        (one(kind::SETTINGS, flag::ACK, 0, &[0; 6]), FRAME_SIZE_ERROR),
        (settings(&[(setting::INITIAL_WINDOW_SIZE, u32::MAX)]), FLOW_CONTROL_ERROR),
        (settings(&[(setting::MAX_FRAME_SIZE, 100)]), PROTOCOL_ERROR),
        (one(kind::PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        (one(kind::RST_STREAM, 0, 1, &[0; 3]), FRAME_SIZE_ERROR),
        (rst(9, CANCEL), PROTOCOL_ERROR),
        (one(kind::GOAWAY, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        (window_update(0, 0), PROTOCOL_ERROR),
        (window_update(0, MAX_31_BITS), FLOW_CONTROL_ERROR),
        (one(kind::WINDOW_UPDATE, 0, 0, &[0; 3]), FRAME_SIZE_ERROR),
        (
            FrameHeader { len: MAX_FRAME_SIZE_DEFAULT + 1, kind: 0, flags: 0, stream: 1 }.to_bytes().to_vec(),
            FRAME_SIZE_ERROR,
        ),
    ] {
        assert_eq!(fault(&bytes), code, "{bytes:?}");
    }
}

#[test]
fn a_server_that_is_no_http2_server_is_found_out() {
    let mut bench = Bench::new(config(false));
    assert!(bench.recv(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    let mut bench = Bench::new(config(false));
    assert_eq!(bench.recv(&one(kind::PING, 0, 0, &[0; 8])).unwrap_err().code, error_code::PROTOCOL_ERROR);
}

#[test]
fn a_header_block_may_come_in_parts_but_not_without_end() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    let block = block("200");
    let (a, b) = block.split_at(5);
    bench.recv(&one(kind::HEADERS, flag::END_STREAM, 1, a)).unwrap();
    bench.recv(&one(kind::CONTINUATION, 0, 1, b"")).unwrap();
    bench.recv(&one(kind::CONTINUATION, flag::END_HEADERS, 1, b)).unwrap();
    assert_eq!(bench.labels(), [(1, "reply")]);

    let part = one(kind::CONTINUATION, 0, 1, &[0; 16_000]);
    assert_eq!(
        fault(&[one(kind::HEADERS, 1, 1, b""), part.clone(), part.clone(), part].concat()),
        error_code::ENHANCE_YOUR_CALM
    );
    let empty = one(kind::CONTINUATION, 0, 1, b"").repeat(100);
    assert_eq!(fault(&[one(kind::HEADERS, 1, 1, b""), empty].concat()), error_code::ENHANCE_YOUR_CALM);
}

#[test]
fn informational_headers_and_trailers_are_passed_over() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.recv(&one(kind::HEADERS, flag::END_HEADERS, 1, &block("103"))).unwrap();
    bench.recv(&one(kind::HEADERS, flag::END_HEADERS, 1, &block("400"))).unwrap();
    bench.recv(&one(kind::DATA, 0, 1, br#"{"reason":"BadTopic"}"#)).unwrap();
    bench.recv(&one(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &[])).unwrap();
    assert!(matches!(
        bench.answers[0],
        (1, Answer::Reply { status: 400, reason: Some(Reason::BadTopic), .. })
    ));
}

#[test]
fn a_reply_without_a_status_is_in_doubt_and_harms_no_neighbour() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10) && bench.send(2, 10));
    bench.flush();
    bench.recv(&one(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &[])).unwrap();
    bench.recv(&reply(3, "200", b"")).unwrap();
    assert_eq!(bench.labels(), [(1, "protocol_fault"), (2, "reply")]);
}

#[test]
fn an_endless_body_is_cut_off_with_its_status() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.recv(&one(kind::HEADERS, flag::END_HEADERS, 1, &block("500"))).unwrap();
    for _ in 0..3 {
        bench.recv(&one(kind::DATA, 0, 1, &[b' '; 16_000])).unwrap();
    }
    assert!(matches!(bench.answers[..], [(1, Answer::Reply { status: 500, reason: None, .. })]));
}

#[test]
fn the_receive_window_is_given_back_and_enforced() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.recv(&reply(1, "200", b"")).unwrap();
    let data = one(kind::DATA, 0, 1, &[0; 16_000]);
    let mut updates = 0;
    for _ in 0..200 {
        bench.recv(&data).unwrap();
        updates += bench.flush().iter().filter(|f| f.0.kind == kind::WINDOW_UPDATE).count();
    }
    assert!((3..=7).contains(&updates), "{updates}");
}

#[test]
fn a_peer_that_floods_without_reading_is_cut_off() {
    let mut bench = Bench::ready(10);
    let pings = one(kind::PING, 0, 0, &[0; 8]).repeat(10_000);
    let fault = (0..1_000).find_map(|_| bench.recv(&pings).err()).unwrap();
    assert_eq!(fault.code, error_code::ENHANCE_YOUR_CALM);
}

#[test]
fn unknown_frames_and_settings_are_ignored() {
    let mut bench = Bench::ready(10);
    bench.recv(&one(0x77, 0xff, 5, b"whatever")).unwrap();
    bench.recv(&one(kind::PRIORITY, 0, 5, &[0; 5])).unwrap();
    bench.recv(&settings(&[(0x99, 1)])).unwrap();
}

#[test]
fn frames_that_serve_no_request_are_counted_between_replies_and_by_the_second() {
    let mut bench = Bench::ready(10);
    let pings = one(kind::PING, 0, 0, &[0; 8]).repeat(6_000);
    for _ in 0..10 {
        bench.recv(&pings).unwrap();
        bench.flush();
        bench.now += Duration::from_secs(1);
    }
    assert!(bench.send(1, 10) && bench.send(2, 10));
    bench.recv(&pings).unwrap();
    bench.recv(&reply(1, "200", b"")).unwrap();
    bench.recv(&pings).unwrap();
    bench.flush();
    let fault = bench.recv(&pings).unwrap_err();
    assert_eq!((fault.code, bench.labels()), (error_code::ENHANCE_YOUR_CALM, vec![(1, "reply")]));
}
