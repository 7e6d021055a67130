//! Whatever windows a peer gives and takes back, we never send more, and in the end every body is whole.

use super::*;
use crate::connection::config::{BLOCKED_STREAMS_MAX, PAYLOAD_BYTES_MAX};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Connection(u32),
    Stream(usize, u32),
    Initial(u32),
    MaxFrame(u32),
    Answer(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0usize..20_000).prop_map(Step::Send),
        2 => (1u32..50_000).prop_map(Step::Connection),
        2 => (any::<usize>(), 1u32..10_000).prop_map(|(n, bytes)| Step::Stream(n, bytes)),
        1 => (0u32..30_000).prop_map(Step::Initial),
        1 => (16_384u32..40_000).prop_map(Step::MaxFrame),
        2 => any::<usize>().prop_map(Step::Answer),
    ]
}

/// The peer's books.
struct Books {
    connection: i64,
    initial: i64,
    max_frame: u32,
    /// Of each open stream: what it may still send beyond the initial window, what came, what should come, the end.
    streams: BTreeMap<u32, (i64, usize, usize, bool)>,
}

impl Books {
    fn take(&mut self, frames: Vec<(FrameHeader, Vec<u8>)>) {
        for (header, body) in frames {
            assert!(header.len <= self.max_frame);
            let Some((credit, got, size, ended)) = self.streams.get_mut(&header.stream) else { continue };
            if header.kind == kind::DATA {
                assert!(!*ended && !body.is_empty());
                self.connection -= body.len() as i64;
                *credit -= body.len() as i64;
                *got += body.len();
                assert!(self.connection >= 0 && self.initial + *credit >= 0);
            }
            if matches!(header.kind, kind::DATA | kind::HEADERS) && header.has(flag::END_STREAM) {
                assert_eq!(got, size);
                *ended = true;
            }
        }
    }
}

#[test]
fn bodies_wait_for_both_windows() {
    let mut bench = Bench::ready(100);
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 50)])).unwrap();
    bench.flush();
    assert!(bench.send(1, 80));
    let sent: usize = bench.flush().iter().filter(|f| f.0.kind == kind::DATA).map(|f| f.1.len()).sum();
    assert_eq!(sent, 50);
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 10)])).unwrap();
    bench.recv(&window_update(1, 40)).unwrap();
    assert!(bench.flush().iter().all(|f| f.0.kind != kind::DATA), "the delta made the window 0");
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000_000)])).unwrap();
    let frames = bench.flush();
    let (header, body) = frames.iter().find(|f| f.0.kind == kind::DATA).unwrap();
    assert_eq!((body.len(), header.has(flag::END_STREAM)), (30, true));

    let mut sent = 80;
    let mut key = 2;
    while bench.send(key, 4096) {
        key += 1;
        sent += bench.flush().iter().filter(|f| f.0.kind == kind::DATA).map(|f| f.1.len()).sum::<usize>();
    }
    assert_eq!(sent, frame::WINDOW_DEFAULT as usize);
    assert_eq!(bench.machine.room(), 0);
    bench.recv(&window_update(0, 100_000)).unwrap();
    let finished = bench.flush().iter().any(|f| f.0.kind == kind::DATA && f.0.has(flag::END_STREAM));
    assert!(finished && bench.machine.room() > 0);
}

#[test]
fn p3_an_unfinished_body_is_never_in_doubt() {
    let mut bench = Bench::ready(100);
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 50)])).unwrap();
    assert!(bench.send(1, 80) && bench.send(2, 80) && bench.send(3, 80));
    bench.flush();
    bench.recv(&rst(1, error_code::INTERNAL_ERROR)).unwrap();
    bench.recv(&reply(3, "413", br#"{"reason":"PayloadTooLarge"}"#)).unwrap();
    let frames = bench.flush();
    assert!(frames.iter().any(|f| f.0.kind == kind::RST_STREAM && f.0.stream == 3));
    bench.close(Lost::Cut);
    assert_eq!(bench.labels(), [(1, "never_written"), (2, "reply"), (3, "never_written")]);
}

#[test]
fn p3_windows_of_zero_end_in_requests_that_were_never_written() {
    let mut bench = Bench::ready(100);
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    let mut taken = 0;
    while bench.send(taken, 80) {
        taken += 1;
    }
    assert_eq!(taken as usize, BLOCKED_STREAMS_MAX, "no more wait than that");
    bench.flush();
    for _ in 0..10 {
        bench.wait(Duration::from_secs(2)).unwrap();
        // Alive, but no window.
        bench.recv(&settings(&[])).unwrap();
    }
    assert!(bench.answers.iter().all(|(_, answer)| answer.label() == "never_written"));
    assert_eq!(bench.answers.len() as u64, taken);
    assert!(bench.machine.is_retiring(), "and the connection is given up");
    let frames = bench.flush();
    assert!(frames.iter().all(|(header, _)| header.kind != kind::DATA));
}

#[test]
fn sure_room_looks_at_windows_too() {
    let mut bench = Bench::ready(1_000);
    assert_eq!((bench.machine.room(), bench.machine.sure_room()), (1_000, 13));
    for key in 0..13 {
        assert!(bench.send(key, PAYLOAD_BYTES_MAX));
    }
    assert_eq!((bench.machine.room(), bench.machine.sure_room()), (0, 0));
    bench.recv(&window_update(0, 1)).unwrap();
    assert_eq!(bench.machine.sure_room(), 0, "what waits goes first");
    bench.recv(&window_update(0, 100_000)).unwrap();
    assert!(bench.machine.sure_room() > 10);
    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 100)])).unwrap();
    assert_eq!(bench.machine.sure_room(), BLOCKED_STREAMS_MAX, "each would wait for its own window");
}

proptest! {
    #[test]
    fn windows_are_kept_and_bodies_are_whole(steps in proptest::collection::vec(step(), 0..80)) {
        let mut bench = Bench::ready(1_000);
        let mut books = Books { connection: 65_535, initial: 65_535, max_frame: 16_384, streams: BTreeMap::new() };
        let mut next = 1;
        let mut written = 0;
        for step in steps {
            let ended = |books: &Books, n: usize| {
                let open: Vec<u32> = books.streams.keys().copied().collect();
                (!open.is_empty()).then(|| open[n % open.len()])
            };
            match step {
                Step::Send(size) => {
                    if bench.send(u64::from(next), size) {
                        books.streams.insert(next, (0, 0, size, false));
                        next += 2;
                        written += 1;
                    }
                }
                Step::Connection(bytes) => {
                    books.connection += i64::from(bytes);
                    bench.recv(&window_update(0, bytes)).unwrap();
                }
                Step::Stream(n, bytes) => {
                    if let Some(stream) = ended(&books, n) {
                        books.streams.get_mut(&stream).unwrap().0 += i64::from(bytes);
                        bench.recv(&window_update(stream, bytes)).unwrap();
                    }
                }
                Step::Initial(bytes) => {
                    books.initial = i64::from(bytes);
                    bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, bytes)])).unwrap();
                }
                Step::MaxFrame(bytes) => {
                    books.max_frame = bytes.max(books.max_frame);
                    bench.recv(&settings(&[(setting::MAX_FRAME_SIZE, bytes.max(books.max_frame))])).unwrap();
                }
                Step::Answer(n) => {
                    if let Some(stream) = ended(&books, n) {
                        books.streams.remove(&stream);
                        bench.recv(&reply(stream, "200", b"")).unwrap();
                    }
                }
            }
            books.take(bench.flush());
        }
        books.connection += 100_000_000;
        books.initial = 1_000_000;
        bench.recv(&window_update(0, 100_000_000)).unwrap();
        bench.recv(&settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000_000)])).unwrap();
        books.take(bench.flush());
        prop_assert!(books.streams.values().all(|(_, got, size, ended)| *ended && got == size));
        bench.close(Lost::Cut);
        prop_assert_eq!(bench.answers.len(), written);
    }
}
