//! The machine against a peer made of frames: each way an answer is found, and each bound.

use super::*;
use crate::frame::{MAX_31_BITS, setting};
use crate::hpack::{Indexing, Name, encode_literal};
use crate::reason::Reason;
use crate::request::{Expiration, Priority, PushType};
use crate::secret::Secret;
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;

mod bounds;
mod pace;
mod silence;
mod split;
mod windows;

const ID: [u8; 16] = [7; 16];

fn config(token: bool) -> Config {
    Config {
        number: 3,
        authority: "api.push.apple.com".into(),
        authorization: token.then(|| Secret::from("bearer x".to_owned())),
        one_stream_until_accepted: token,
        streams_max: 1000,
        request_timeout: Duration::from_secs(20),
        settings_wait: Duration::from_secs(10),
        ping_after: Duration::from_millis(1500),
        ping_wait: Duration::from_millis(1500),
        idle_ping_after: Duration::from_secs(3600),
        refusals_max: 50,
        deadlines_missed_max: 3,
    }
}

fn request(key: u64, payload_bytes: usize) -> Request {
    Request {
        key,
        token: Bytes::from_static(&[0xab; 32]),
        topic: "com.example.im".into(),
        push_type: PushType::Alert,
        priority: Priority::Immediate,
        expiration: Expiration::NotStored,
        collapse_id: None,
        apns_id: ID,
        payload: Bytes::from(vec![b'x'; payload_bytes]),
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, body: &[u8]) {
    FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(out);
    out.extend_from_slice(body);
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, value) in pairs {
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&value.to_be_bytes());
    }
    let mut out = Vec::new();
    frame(&mut out, kind::SETTINGS, 0, 0, &body);
    out
}

fn block(status: &str) -> Vec<u8> {
    let mut block = Vec::new();
    encode_literal(Indexing::Without, Name::Index(8), status.as_bytes(), &mut block);
    let id = uuid::Uuid::from_bytes(ID).to_string();
    encode_literal(Indexing::Incremental, Name::Literal(b"apns-id"), id.as_bytes(), &mut block);
    block
}

fn reply(stream: u32, status: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if body.is_empty() {
        frame(&mut out, kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, &block(status));
    } else {
        frame(&mut out, kind::HEADERS, flag::END_HEADERS, stream, &block(status));
        let (first, second) = body.split_at(body.len() / 2);
        frame(&mut out, kind::DATA, 0, stream, first);
        let mut padded = vec![3];
        padded.extend_from_slice(second);
        padded.extend_from_slice(&[0; 3]);
        frame(&mut out, kind::DATA, flag::END_STREAM | flag::PADDED, stream, &padded);
    }
    out
}

fn rst(stream: u32, code: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    out
}

fn goaway(last: u32, code: u32, debug: &[u8]) -> Vec<u8> {
    let mut body = last.to_be_bytes().to_vec();
    body.extend_from_slice(&code.to_be_bytes());
    body.extend_from_slice(debug);
    let mut out = Vec::new();
    frame(&mut out, kind::GOAWAY, 0, 0, &body);
    out
}

fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    out
}

/// A machine and the instant it lives in.
struct Bench {
    machine: Connection,
    now: Instant,
    answers: Vec<Answered>,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        Self { machine: Connection::new(config, now), now, answers: Vec::new() }
    }

    /// With SETTINGS exchanged and `streams` allowed.
    fn ready(streams: u32) -> Self {
        let mut bench = Self::new(config(false));
        bench.recv(&settings(&[(setting::MAX_CONCURRENT_STREAMS, streams)])).unwrap();
        bench.flush();
        bench
    }

    fn send(&mut self, key: u64, payload_bytes: usize) -> bool {
        self.machine.send(request(key, payload_bytes), self.now, self.now).is_ok()
    }

    fn recv(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.machine.recv(bytes, self.now, &mut self.answers)
    }

    fn close(&mut self, lost: Lost) {
        self.machine.close(lost, self.now, &mut self.answers);
    }

    /// What the peer gets, as frames.
    fn flush(&mut self) -> Vec<(FrameHeader, Vec<u8>)> {
        let bytes = self.machine.outgoing().to_vec();
        self.machine.wrote(bytes.len());
        let mut rest = bytes.strip_prefix(frame::PREFACE.as_slice()).unwrap_or(&bytes);
        let mut frames = Vec::new();
        while let Some((header, after)) = rest.split_first_chunk() {
            let header = FrameHeader::parse(header);
            let (body, after) = after.split_at(header.len as usize);
            frames.push((header, body.to_vec()));
            rest = after;
        }
        frames
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Lost> {
        self.now += duration;
        self.machine.on_timeout(self.now, &mut self.answers)
    }

    fn labels(&self) -> Vec<(u64, &'static str)> {
        self.answers.iter().map(|(key, answer)| (*key, answer.label())).collect()
    }
}

#[test]
fn accepted_and_refused_replies_carry_what_apns_said() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 100) && bench.send(2, 100) && bench.send(3, 0));
    bench.flush();
    bench.now += Duration::from_millis(5);
    bench.recv(&reply(3, "410", br#"{"reason":"Unregistered","timestamp":1700000000123}"#)).unwrap();
    bench.recv(&reply(1, "200", b"")).unwrap();
    bench.recv(&reply(5, "503", b"<html>")).unwrap();
    let Answer::Reply { status, reason, timestamp_ms, apns_id, evidence, .. } = &bench.answers[0].1 else {
        panic!("no reply")
    };
    assert_eq!(
        (*status, reason.clone(), *timestamp_ms),
        (410, Some(Reason::Unregistered), Some(1_700_000_000_123))
    );
    assert_eq!(*apns_id, Some(ID));
    assert_eq!((evidence.connection, evidence.stream, evidence.duration_us), (3, 3, 5_000));
    assert!(matches!(bench.answers[1], (1, Answer::Reply { status: 200, reason: None, .. })));
    assert!(matches!(bench.answers[2], (3, Answer::Reply { status: 503, reason: None, .. })));
    assert_eq!(bench.machine.in_flight(), 0);
    assert!(bench.machine.is_retiring(), "an unexplained 5xx asks for a fresh connection");
}

#[test]
fn no_stream_before_settings_and_one_until_a_token_is_accepted() {
    let mut bench = Bench::new(config(true));
    assert!(bench.machine.room() == 0 && !bench.send(1, 10));
    bench.recv(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 100)])).unwrap();
    assert_eq!(bench.machine.room(), 1);
    assert!(bench.send(1, 10) && !bench.send(2, 10));
    assert_eq!(bench.machine.room(), 0);
    bench.recv(&reply(1, "403", br#"{"reason":"Forbidden"}"#)).unwrap();
    assert_eq!(bench.machine.room(), 1);
    assert!(bench.send(2, 10));
    bench.recv(&reply(3, "200", b"")).unwrap();
    assert_eq!(bench.machine.room(), 100);
}

#[test]
fn the_stream_limit_may_go_to_one_and_back() {
    let mut bench = Bench::ready(3);
    assert!(bench.send(1, 10) && bench.send(2, 10) && bench.send(3, 10) && !bench.send(4, 10));
    bench.flush();
    bench.recv(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)])).unwrap();
    bench.recv(&rst(5, error_code::REFUSED_STREAM)).unwrap();
    bench.recv(&reply(1, "200", b"")).unwrap();
    assert_eq!(bench.machine.room(), 0);
    bench.recv(&reply(3, "200", b"")).unwrap();
    assert_eq!(bench.machine.room(), 1);
    bench.recv(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 50)])).unwrap();
    assert_eq!(bench.machine.room(), 50);
    assert_eq!(bench.labels(), [(3, "refused_stream"), (1, "reply"), (2, "reply")]);
}

#[test]
fn p3_goaway_gives_back_what_is_above_and_waits_for_the_rest() {
    let mut bench = Bench::ready(10);
    for key in 1..=4 {
        assert!(bench.send(key, 10));
    }
    bench.flush();
    bench.recv(&goaway(MAX_31_BITS, 0, b"")).unwrap();
    assert!(bench.answers.is_empty() && bench.machine.room() == 0 && !bench.send(9, 1));
    bench.recv(&goaway(3, 0, br#"{"reason":"Shutdown","timestamp":5}"#)).unwrap();
    assert_eq!(bench.labels(), [(3, "above_last_stream"), (4, "above_last_stream")]);
    assert_eq!(bench.answers[0].1.evidence().last_stream_id, Some(3));
    let said = bench.machine.goaway().unwrap();
    assert_eq!((said.reason.clone(), said.timestamp_ms), (Some(Reason::Shutdown), Some(5)));
    bench.recv(&goaway(7, 0, b"not json")).unwrap();
    assert_eq!(bench.machine.goaway().unwrap().last_stream_id, 3);
    bench.recv(&reply(1, "200", b"")).unwrap();
    bench.close(Lost::Cut);
    assert_eq!(bench.labels()[2..], [(1, "reply"), (2, "connection_lost")]);
}

#[test]
fn p3_a_cut_leaves_in_doubt_only_what_was_written_whole() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    assert!(bench.send(2, 10) && bench.send(3, 10));
    let unwritten = bench.machine.outgoing().len();
    bench.machine.wrote(unwritten - 1);
    assert!(bench.send(4, 10));
    bench.close(Lost::Cut);
    assert_eq!(
        bench.labels(),
        [(1, "connection_lost"), (2, "connection_lost"), (3, "never_written"), (4, "never_written")]
    );
    assert!(bench.machine.outgoing().is_empty(), "what is called not sent must not be sent after all");
}

#[test]
fn a_farewell_says_why() {
    let mut bench = Bench::ready(10);
    let fault = bench.recv(&window_update(0, 0)).unwrap_err();
    bench.close(Lost::Fault(fault));
    let frames = bench.flush();
    assert_eq!((frames.len(), frames[0].0.kind), (1, kind::GOAWAY));
    assert_eq!(frames[0].1[4..], error_code::PROTOCOL_ERROR.to_be_bytes());
}

#[test]
fn p3_a_refused_certificate_leaves_nothing_in_doubt() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.close(Lost::CertificateRefused);
    assert_eq!(bench.labels(), [(1, "certificate_refused")]);
}

#[test]
fn a_status_that_has_come_is_the_answer_even_if_the_rest_does_not() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10) && bench.send(2, 10));
    bench.flush();
    let mut bytes = Vec::new();
    frame(&mut bytes, kind::HEADERS, flag::END_HEADERS, 1, &block("200"));
    frame(&mut bytes, kind::HEADERS, flag::END_HEADERS, 3, &block("400"));
    frame(&mut bytes, kind::DATA, 0, 3, br#"{"reason":"BadTopic"}"#);
    bytes.extend(rst(1, error_code::NO_ERROR));
    bench.recv(&bytes).unwrap();
    bench.close(Lost::Cut);
    assert!(matches!(bench.answers[0], (1, Answer::Reply { status: 200, .. })));
    assert!(matches!(
        bench.answers[1],
        (2, Answer::Reply { status: 400, reason: Some(Reason::BadTopic), .. })
    ));
}

#[test]
fn other_resets_are_in_doubt() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.recv(&rst(1, error_code::INTERNAL_ERROR)).unwrap();
    assert!(matches!(
        bench.answers[0],
        (1, Answer::InDoubt { why: InDoubt::StreamReset(error_code::INTERNAL_ERROR), .. })
    ));
    bench.recv(&reply(1, "200", b"")).unwrap();
    assert_eq!(bench.answers.len(), 1, "exactly one answer each");
}

#[test]
fn deadlines_pass_oldest_first_and_late_replies_are_ignored() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.now += Duration::from_secs(19);
    assert!(bench.send(2, 10));
    bench.recv(&settings(&[])).unwrap();
    assert!(bench.machine.poll_timeout() <= bench.now + Duration::from_secs(1));
    bench.wait(Duration::from_secs(1)).unwrap();
    assert_eq!(bench.labels(), [(1, "deadline")]);
    let frames = bench.flush();
    assert!(frames.iter().any(|(header, _)| header.kind == kind::RST_STREAM && header.stream == 1));
    bench.recv(&reply(1, "200", b"")).unwrap();
    bench.recv(&reply(3, "200", b"")).unwrap();
    assert_eq!(bench.labels(), [(1, "deadline"), (2, "reply")]);
}

#[test]
fn missed_deadlines_retire_the_connection() {
    let mut bench = Bench::ready(10);
    for key in 1..=3 {
        assert!(bench.send(key, 10));
    }
    bench.flush();
    bench.now += Duration::from_secs(20);
    bench.recv(&settings(&[])).unwrap();
    bench.wait(Duration::ZERO).unwrap();
    assert_eq!(bench.answers.len(), 3);
    assert!(bench.machine.is_retiring());
}

#[test]
fn stream_ids_run_out_and_the_connection_retires() {
    let mut bench = Bench::ready(100);
    bench.machine.streams.skip_to(MAX_31_BITS - 2);
    assert!(bench.send(1, 10) && bench.send(2, 10));
    assert!(!bench.send(3, 10) && bench.machine.is_retiring());
    bench.flush();
    bench.recv(&reply(MAX_31_BITS, "200", b"")).unwrap();
    assert_eq!(bench.labels(), [(2, "reply")]);
}

#[test]
fn a_successor_is_wanted_before_stream_ids_run_out() {
    let mut bench = Bench::ready(100);
    bench.machine.streams.skip_to(MAX_31_BITS - 2 * config::STREAM_IDS_SPARE - 2);
    assert!(!bench.machine.is_wearing_out());
    assert!(bench.send(1, 10) && bench.send(2, 10));
    assert!(bench.machine.is_wearing_out() && !bench.machine.is_retiring());
    assert!(bench.send(3, 10), "it goes on until its successor serves");
}

#[test]
fn pings_are_answered_and_settings_acknowledged() {
    let mut bench = Bench::ready(1);
    let mut ping = Vec::new();
    frame(&mut ping, kind::PING, 0, 0, b"12345678");
    bench.recv(&ping).unwrap();
    bench.recv(&settings(&[])).unwrap();
    let frames = bench.flush();
    assert_eq!(
        (frames[0].0.kind, frames[0].0.flags, frames[0].1.as_slice()),
        (kind::PING, flag::ACK, &b"12345678"[..])
    );
    assert_eq!((frames[1].0.kind, frames[1].0.flags), (kind::SETTINGS, flag::ACK));
}
