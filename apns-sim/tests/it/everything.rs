//! The preset `everything` against a plain client: what it draws, and that nothing of it holds up or breaks the server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skein_apns_sim::faults::everything;
use skein_apns_sim::{Counts, Handle, Reason};

use crate::client::{Client, start, token};
use crate::plain::Work;

/// Far beyond what it takes to notice that a client has gone.
const GONE_MAX: Duration = Duration::from_secs(60);

/// Waits until the simulator has let go of every connection: a task that panicked never would.
fn let_go(simulator: &Handle) -> Counts {
    let until = Instant::now() + GONE_MAX;
    while simulator.stats().connections_open > 0 {
        assert!(Instant::now() < until, "a connection is left: {:?}", simulator.stats());
        std::thread::yield_now();
    }
    simulator.stats()
}

/// What became of the connections of a client that opened `connections`, one after the other.
fn run(rate: f64, every: u64, connections: u64, seed: u64) -> [u64; 5] {
    let mut faults = everything(rate, every);
    faults.seed = seed;
    let simulator = start(|config| config.faults = faults);
    let mut work = Work::new(100);
    for _ in 0..connections {
        work.over_one_connection(&simulator, u64::MAX);
    }
    let counts = let_go(&simulator);
    assert_eq!(counts.stream_limit_violations, 0, "the client kept to the limits");
    assert_eq!(counts.protocol_errors, 0, "and to HTTP/2: {counts:?}");
    assert!(work.done > connections * every / 4, "{} are done", work.done);
    assert!(counts.silent > 0 && counts.refused_streams > 0 && counts.odd_answers > 0);
    simulator.set_faults(everything(0.0, 0)).expect("sound");
    let found = (1..=20).any(|n| Client::connect(&simulator).push(&token(n)).status == 200);
    assert!(found, "it serves on");
    [counts.goaways, counts.resets, counts.stalls, counts.wedges, counts.hostilities]
}

#[test]
fn a_fifth_and_every_500_requests() {
    let struck = run(0.2, 500, 40, 7);
    assert!(struck.iter().all(|count| *count > 0), "each kind of end is met: {struck:?}");
    assert_eq!(struck.iter().sum::<u64>(), 40, "each connection meets one");
    assert_eq!(struck, run(0.2, 500, 40, 7), "the same seed strikes the same connections");
    assert_ne!(struck, run(0.2, 500, 40, 11));
}

#[test]
fn a_hundredth_and_every_5000_requests() {
    let struck = run(0.01, 5_000, 10, 7);
    assert_eq!(struck.iter().sum::<u64>(), 10);
}

/// What each request came to: by its id and by how often that was read before.
fn draws(in_flight_max: usize) -> BTreeMap<(u128, usize), (Option<u16>, Option<Reason>)> {
    let simulator = start(|config| config.faults = everything(0.2, 0));
    Work::new(in_flight_max).over_one_connection(&simulator, 3_000);
    let (mut seen, mut draws) = (BTreeMap::new(), BTreeMap::new());
    for row in &simulator.log().rows {
        let attempt = seen.entry(row.id()).and_modify(|attempt| *attempt += 1).or_insert(0_usize);
        // Slow answers that the client did not wait for are not decided.
        if row.status().is_some() || row.delivered() || row.refused() {
            draws.insert((row.id(), *attempt), (row.status(), row.reason()));
        }
    }
    draws
}

#[test]
fn what_a_request_meets_does_not_depend_on_its_neighbours() {
    let (one, other) = (draws(100), draws(7));
    let both = one.iter().filter(|(key, _)| other.contains_key(key));
    assert!(both.clone().count() > 2_500);
    for (key, drawn) in both {
        assert_eq!(other[key], *drawn, "{key:?}");
    }
}
