//! Resets, silence and lost answers with 1,000 in flight: every id that the simulator read and did not answer is in doubt; what else
//! is, was flushed and never read, or its answer was lost on the way.

use super::crowd::{Fates, Kind, config, credential, rows_of, run, simulator, unanswered, write_all};
use crate::load::id_of;
use serde_json::json;
use skein_apns::{Client, ClientConfig};
use skein_apns_sim::faults::{ConnectionFaults, RequestFaults};
use skein_apns_sim::{Faults, SimulatorConfig};
use skein_tests::figures;
use std::collections::BTreeSet;
use std::time::Duration;

const IN_FLIGHT: usize = 1_000;
const PUSHES: u64 = 6_000;

#[test]
fn p3_resets() {
    let connection = ConnectionFaults { reset_every: 1_500, spread: 0.3, ..ConnectionFaults::default() };
    in_doubt("reset", connection, RequestFaults { delay_ms: 30, ..RequestFaults::default() });
}

#[test]
fn p3_connections_that_go_silent() {
    let connection = ConnectionFaults { stall_every: 2_000, spread: 0.3, ..ConnectionFaults::default() };
    in_doubt("silent_connection", connection, RequestFaults::default());
}

#[test]
fn p3_requests_that_are_never_answered() {
    let request = RequestFaults { silence: 0.05, ..RequestFaults::default() };
    in_doubt("silent_request", ConnectionFaults::default(), request);
}

fn in_doubt(what: &str, connection: ConnectionFaults, request: RequestFaults) {
    for kind in [Kind::Certificate, Kind::Token] {
        let faults =
            Faults { request: request.clone(), connection: connection.clone(), seed: 7, ..Faults::default() };
        let simulator = simulator(SimulatorConfig { faults, ..SimulatorConfig::default() });
        let config = ClientConfig {
            ping_after: Duration::from_millis(300),
            ping_wait: Duration::from_millis(300),
            request_timeout: Duration::from_millis(1_000),
            ..config(&simulator)
        };
        let fates = run(async {
            let mut client = Client::new(config, credential(&simulator, kind));
            write_all(&mut client, 0..PUSHES, IN_FLIGHT).await
        });
        let log = simulator.log();
        check(what, kind, &fates, &unanswered(&log), &rows_of(&log).into_keys().collect());
    }
}

fn check(what: &str, kind: Kind, fates: &Fates, known: &BTreeSet<u64>, read: &BTreeSet<u64>) {
    assert_eq!(fates.replied.len() + fates.in_doubt.len(), PUSHES as usize, "{what} {kind:?}: P1");
    assert!(!known.is_empty(), "{what} {kind:?}: nothing was left unanswered: the test tests nothing");
    let missing: Vec<_> = known.difference(&fates.in_doubt).map(|key| id_of(*key)).collect();
    assert!(missing.is_empty(), "{what} {kind:?}: P3, {} are missing from the in-doubt set", missing.len());
    let surplus: Vec<_> = fates.in_doubt.difference(known).collect();
    let never_read = surplus.iter().filter(|key| !read.contains(key)).count();
    let row = json!({
        "row": what, "credential": format!("{kind:?}").to_lowercase(), "pushes": PUSHES,
        "in_doubt": fates.in_doubt.len(), "read_and_not_answered": known.len(), "missing": missing.len(),
        "flushed_and_never_read": never_read, "answer_lost_on_the_way": surplus.len() - never_read,
        "written_again_as_not_sent": fates.not_sent.len(),
    });
    eprintln!("{row}");
    figures::append("bad-days", &row).unwrap();
}
