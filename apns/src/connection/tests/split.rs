//! However the peer's bytes are split, what comes of them is the same.

use super::*;

#[derive(Clone, Debug)]
enum Said {
    Accepted(u32),
    Refused(u32),
    InParts(u32),
    Reset(u32, u32),
    Limit(u32),
    Window(u32, u32),
    Ping,
    GoAway(u32),
    Garbage(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    let stream = (0u32..12).prop_map(|n| 2 * n + 1);
    prop_oneof![
        6 => stream.clone().prop_map(Said::Accepted),
        6 => stream.clone().prop_map(Said::Refused),
        3 => stream.clone().prop_map(Said::InParts),
        2 => (stream.clone(), 0u32..14).prop_map(|(s, c)| Said::Reset(s, c)),
        1 => (0u32..5).prop_map(Said::Limit),
        1 => (stream.clone(), 1u32..5000).prop_map(|(s, w)| Said::Window(s - 1, w)),
        1 => Just(Said::Ping),
        1 => stream.prop_map(Said::GoAway),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Said::Garbage),
    ]
}

fn bytes_of(said: &Said) -> Vec<u8> {
    match said {
        Said::Accepted(stream) => reply(*stream, "200", b""),
        Said::Refused(stream) => reply(*stream, "410", br#"{"reason":"Unregistered","timestamp":12}"#),
        Said::InParts(stream) => {
            let mut out = Vec::new();
            let block = block("400");
            frame(&mut out, kind::HEADERS, flag::END_STREAM, *stream, &block[..4]);
            frame(&mut out, kind::CONTINUATION, flag::END_HEADERS, *stream, &block[4..]);
            out
        }
        Said::Reset(stream, code) => rst(*stream, *code),
        Said::Limit(streams) => settings(&[(setting::MAX_CONCURRENT_STREAMS, *streams)]),
        Said::Window(stream, bytes) => window_update(*stream, *bytes),
        Said::Ping => {
            let mut out = Vec::new();
            frame(&mut out, kind::PING, 0, 0, b"abcdefgh");
            out
        }
        Said::GoAway(last) => goaway(*last, 0, br#"{"reason":"Shutdown"}"#),
        Said::Garbage(bytes) => bytes.clone(),
    }
}

/// Everything that can be seen of a machine after it was fed `parts`.
fn fed<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Answered>, Option<u32>, Vec<u8>, usize) {
    let mut bench = Bench::ready(100);
    // An instant of its own would make durations differ.
    for key in 0..10 {
        assert!(bench.send(key, 20));
    }
    bench.flush();
    let mut fault = None;
    for part in parts {
        if let Err(error) = bench.recv(part) {
            fault = Some(error.code);
            bench.close(Lost::Fault(error));
            break;
        }
    }
    (std::mem::take(&mut bench.answers), fault, bench.machine.outgoing().to_vec(), bench.machine.room())
}

proptest! {
    #[test]
    fn splitting_changes_nothing(script in proptest::collection::vec(said(), 0..30), cuts in proptest::collection::vec(1usize..40, 1..50)) {
        let bytes: Vec<u8> = script.iter().flat_map(bytes_of).collect();
        let whole = fed(std::iter::once(bytes.as_slice()));
        let mut parts = Vec::new();
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at((*cut).min(rest.len()));
            parts.push(part);
            rest = after;
        }
        prop_assert_eq!(&whole, &fed(parts.into_iter()));
        prop_assert_eq!(&whole, &fed(bytes.chunks(1)));
    }

    #[test]
    fn each_request_gets_one_answer_whatever_the_peer_says(bytes in proptest::collection::vec(any::<u8>(), 0..300), script in proptest::collection::vec(said(), 0..30)) {
        let mut bench = Bench::ready(100);
        for key in 0..10 {
            prop_assert!(bench.send(key, 20));
        }
        bench.flush();
        let all: Vec<u8> = script.iter().flat_map(bytes_of).chain(bytes).collect();
        let lost = bench.recv(&all).map_or_else(Lost::Fault, |()| Lost::Cut);
        bench.close(lost);
        let mut keys: Vec<u64> = bench.answers.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        prop_assert_eq!(keys, (0..10).collect::<Vec<_>>());
    }
}
