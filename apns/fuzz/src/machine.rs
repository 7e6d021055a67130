//! The whole machine under any interleaving of bytes, time and requests: every request ends in exactly one answer, *not
//! sent* only where that is known, windows are kept, and nothing grows without bound.

use super::script::Script;
use bytes::Bytes;
use skein_apns::connection::{Answered, Config, Connection, Lost};
use skein_apns::frame::{FrameHeader, HEADER_BYTES, PREFACE, error_code, flag, kind, setting};
use skein_apns::{Answer, Expiration, NotSent, Priority, PushType, Request, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Bytes that may be queued: the machine's own bound for requests, one request, and the answers to a flood.
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Apple's largest payload.
const PAYLOAD_BYTES_MAX: usize = 5_120;
/// What time goes on by: from nothing to more than every deadline.
const STEPS_MS: [u64; 8] = [0, 1, 20, 700, 1_250, 3_000, 25_000, 4_000_000];

/// Settings with short bounds.
pub fn config(token: bool) -> Config {
    Config {
        number: 1,
        authority: "api.push.apple.com".into(),
        authorization: token.then(|| Secret::from("bearer x".to_owned())),
        one_stream_until_accepted: token,
        streams_max: 100,
        request_timeout: Duration::from_secs(20),
        settings_wait: Duration::from_secs(10),
        ping_after: Duration::from_millis(1_250),
        ping_wait: Duration::from_millis(1_250),
        idle_ping_after: Duration::from_secs(3_600),
        refusals_max: 20,
        deadlines_missed_max: 3,
    }
}

/// A push with a payload of that size.
pub fn request(key: u64, payload_bytes: usize) -> Request {
    Request {
        key,
        token: Bytes::from_static(&[0xab; 32]),
        topic: if key.is_multiple_of(5) { "com.example.other" } else { "com.example.im" }.into(),
        push_type: PushType::Alert,
        priority: Priority::Immediate,
        expiration: Expiration::At(key),
        collapse_id: key.is_multiple_of(3).then(|| "c".into()),
        apns_id: u128::from(key).to_be_bytes(),
        payload: Bytes::from(vec![b'x'; payload_bytes]),
    }
}

/// What the peer knows.
#[derive(Default)]
struct Peer {
    /// Bytes of a frame that is not whole yet.
    partial: Vec<u8>,
    /// Streams whose request has come whole.
    whole: BTreeSet<u32>,
    /// Streams that were refused, and the lowest last-stream-id that was said.
    refused: BTreeSet<u32>,
    last_stream: Option<u32>,
    /// What may still be sent: on the connection, and on each stream beyond the initial window.
    window: i64,
    initial: i64,
    credits: BTreeMap<u32, i64>,
}

impl Peer {
    /// Reads what the machine wrote, and holds it to its windows.
    fn read(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut at = if self.partial.starts_with(PREFACE) { PREFACE.len() } else { 0 };
        if self.partial.len() < PREFACE.len() && PREFACE.starts_with(&self.partial) {
            return;
        }
        while let Some(header) = self.partial[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            let end = at + HEADER_BYTES + header.len as usize;
            if end > self.partial.len() {
                break;
            }
            if header.kind == kind::DATA {
                let credit = self.credits.entry(header.stream).or_default();
                *credit -= i64::from(header.len);
                self.window -= i64::from(header.len);
            }
            if matches!(header.kind, kind::DATA | kind::HEADERS) && header.has(flag::END_STREAM) {
                assert!(self.whole.insert(header.stream), "a stream ends once");
            }
            at = end;
        }
        self.partial.drain(..at);
    }
}

struct Run {
    machine: Connection,
    now: Instant,
    peer: Peer,
    answers: Vec<Answered>,
    next_key: u64,
    answered: BTreeSet<u64>,
    /// Streams whose request was called *not sent* because it never left.
    never: BTreeSet<u32>,
}

impl Run {
    fn send(&mut self, payload_bytes: usize) -> bool {
        let room = self.machine.room();
        let taken = self.machine.send(request(self.next_key, payload_bytes), self.now, self.now).is_ok();
        assert_eq!(taken, room > 0, "room says what send does");
        self.next_key += u64::from(taken);
        taken
    }

    fn recv(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let outcome = self.machine.recv(bytes, self.now, &mut self.answers).map_err(Lost::Fault);
        self.judge(None);
        outcome
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) -> Result<(), Lost> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(&mut bytes);
        bytes.extend_from_slice(body);
        self.recv(&bytes)
    }

    fn wrote(&mut self, bytes: usize) {
        let bytes = bytes.min(self.machine.outgoing().len());
        self.peer.read(&self.machine.outgoing()[..bytes]);
        self.machine.wrote(bytes);
    }

    /// Holds each new answer to what is known.
    fn judge(&mut self, lost: Option<Lost>) {
        for (key, answer) in self.answers.drain(..) {
            assert!(key < self.next_key, "an answer to what was asked");
            assert!(self.answered.insert(key), "one answer each");
            let stream = answer.evidence().stream;
            let Answer::NotSent { why, .. } = answer else {
                let is_doubt = matches!(answer, Answer::InDoubt { .. });
                assert!(!is_doubt || lost.is_none() || self.peer.whole.contains(&stream), "it left whole");
                continue;
            };
            match why {
                NotSent::Refused => assert!(self.peer.refused.contains(&stream)),
                NotSent::AboveLastStream => assert!(self.peer.last_stream.is_some_and(|last| stream > last)),
                NotSent::NeverWritten => {
                    self.never.insert(stream);
                }
                NotSent::CertificateRefused => assert_eq!(lost, Some(Lost::CertificateRefused)),
                NotSent::NoConnection(_) | NotSent::Closed => panic!("a connection does not say {why:?}"),
            }
        }
    }

    fn step(&mut self, script: &mut Script<'_>) -> Result<(), Lost> {
        match script.byte() % 16 {
            0 | 1 => {
                self.send(usize::from(script.short()) % 6_000);
            }
            2 => {
                for _ in 0..self.machine.sure_room() {
                    let size = usize::from(script.short()) % (PAYLOAD_BYTES_MAX + 1);
                    assert!(self.send(size), "what is sure is taken");
                }
            }
            3 => self.wrote(usize::from(script.short())),
            4 => self.wrote(usize::MAX),
            5 => {
                let raw = script.bytes();
                // What it says can't be judged: only frames that are made here are known to the peer.
                if raw.len() < HEADER_BYTES {
                    self.recv(raw)?;
                    return Err(Lost::Cut);
                }
                let kinds =
                    [kind::DATA, kind::HEADERS, kind::PING, kind::CONTINUATION, kind::PUSH_PROMISE, 0x77];
                let kind = kinds[usize::from(raw[0]) % kinds.len()];
                self.frame(kind, raw[1], u32::from(raw[2]), &raw[3..])?;
            }
            6 | 7 => {
                let stream = 2 * u32::from(script.byte()) + 1;
                // :status 200, 204, 400 and 500 of the static table, or none.
                let block = [&[0x88][..], &[0x89], &[0x8c], &[0x8e], &[]][usize::from(script.byte()) % 5];
                self.frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block)?;
            }
            8 => {
                let stream = 2 * u32::from(script.byte()) + 1;
                self.frame(kind::HEADERS, flag::END_HEADERS, stream, &[0x8c])?;
                self.frame(kind::DATA, flag::END_STREAM, stream, script.bytes())?;
            }
            9 => {
                let stream = 2 * u32::from(script.byte()) + 1;
                let code = u32::from(script.byte()) % 16;
                if code == error_code::REFUSED_STREAM {
                    self.peer.refused.insert(stream);
                }
                self.frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())?;
            }
            10 => {
                let last =
                    if script.byte().is_multiple_of(4) { u32::MAX >> 1 } else { u32::from(script.byte()) };
                let lowest = self.peer.last_stream.map_or(last, |known| known.min(last));
                self.peer.last_stream = Some(lowest);
                let debug = [&b""[..], br#"{"reason":"Shutdown"}"#, b"text"][usize::from(script.byte()) % 3];
                self.frame(kind::GOAWAY, 0, 0, &[&last.to_be_bytes(), &[0; 4], debug].concat())?;
            }
            11 => self.settings(script)?,
            12 => self.window_update(script)?,
            13 | 14 => {
                self.now += Duration::from_millis(STEPS_MS[usize::from(script.byte()) % STEPS_MS.len()]);
                let outcome = self.machine.on_timeout(self.now, &mut self.answers);
                self.judge(None);
                outcome?;
                assert!(self.machine.poll_timeout() > self.now, "what was due is done");
            }
            _ => {
                if script.byte().is_multiple_of(8) {
                    self.machine.retire();
                }
                self.frame(kind::PING, script.byte() % 2, 0, &[0; 8])?;
            }
        }
        Ok(())
    }

    fn settings(&mut self, script: &mut Script<'_>) -> Result<(), Lost> {
        let id = u16::from(script.byte()) % 8;
        let value = match id {
            setting::INITIAL_WINDOW_SIZE => script.word() % 200_000,
            setting::MAX_CONCURRENT_STREAMS => u32::from(script.byte()),
            setting::MAX_FRAME_SIZE => 16_384 + u32::from(script.short()),
            _ => script.word(),
        };
        self.frame(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())?;
        if id == setting::INITIAL_WINDOW_SIZE {
            self.peer.initial = i64::from(value);
        }
        Ok(())
    }

    fn window_update(&mut self, script: &mut Script<'_>) -> Result<(), Lost> {
        let stream = match script.byte() {
            choice if choice % 2 == 0 => 0,
            choice => u32::from(choice),
        };
        let bytes = script.word() % 100_000;
        self.frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())?;
        match stream {
            0 => self.peer.window += i64::from(bytes),
            _ => *self.peer.credits.entry(stream).or_default() += i64::from(bytes),
        }
        Ok(())
    }
}

/// Plays a script to its end.
pub fn check(data: &[u8]) {
    let mut script = Script::new(data);
    let options = script.byte();
    let now = Instant::now();
    let window = i64::from(skein_apns::frame::WINDOW_DEFAULT);
    let mut run = Run {
        machine: Connection::new(config(options & 1 != 0), now),
        now,
        peer: Peer { window, initial: window, ..Peer::default() },
        answers: Vec::new(),
        next_key: 0,
        answered: BTreeSet::new(),
        never: BTreeSet::new(),
    };
    let mut lost = if options & 2 != 0 { Lost::CertificateRefused } else { Lost::Cut };
    if options & 4 != 0
        && let Err(found) = run.frame(kind::SETTINGS, 0, 0, &[])
    {
        lost = found;
    }
    while !script.is_over() {
        if let Err(found) = run.step(&mut script) {
            lost = found;
            break;
        }
        assert!(run.machine.outgoing().len() <= QUEUED_BYTES_MAX);
        assert_eq!(run.machine.in_flight(), run.next_key as usize - run.answered.len());
    }
    run.machine.close(lost, run.now, &mut run.answers);
    run.judge(Some(lost));
    run.wrote(usize::MAX);
    assert_eq!(run.answered.len() as u64, run.next_key, "an answer to each");
    assert!(run.peer.whole.is_disjoint(&run.never), "what was called never written never is");
    assert!(run.peer.window >= 0, "the connection's window is kept");
    let kept = run.peer.credits.values().all(|credit| run.peer.initial + credit >= 0);
    // A window may go below zero by the peer's own doing only (RFC 9113 §6.9.2).
    assert!(kept || run.peer.initial < window, "each stream's window is kept");
}
