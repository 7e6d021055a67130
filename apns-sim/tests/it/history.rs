//! The log and the checker, fed by real traffic.

use std::os::unix::fs::PermissionsExt as _;

use skein_apns_sim::checker::{Confirmed, History, Ids, check};
use skein_apns_sim::log::{LogMode, read_file};
use skein_apns_sim::{Handle, fingerprint_of_hex};

use crate::client::{Client, fields, id, start, token, with};

fn number(id: &str) -> u128 {
    u128::from_str_radix(&id.replace('-', ""), 16).expect("hex")
}

/// Sends one notification and says what a producer would have been promised.
fn send(client: &mut Client, token_number: u64, sequence: u64) -> (Confirmed, u16) {
    let id = id(token_number << 16 | sequence);
    let body = format!(r#"{{"aps":{{"alert":"hi"}},"skein_seq":{sequence}}}"#);
    let answer = client.ask(&with(fields(&token(token_number)), "apns-id", &id), body.as_bytes());
    let fingerprint = fingerprint_of_hex(&token(token_number)).expect("hex");
    (Confirmed { id: number(&id), token: fingerprint, sequence }, answer.status)
}

fn checked(confirmed: &[Confirmed], log: &skein_apns_sim::log::Snapshot) -> skein_apns_sim::checker::Report {
    check(&History { confirmed, log, verdicts: None, possible_copies: &Ids::new(), writers: None })
}

fn traffic(simulator: &Handle) -> Vec<Confirmed> {
    let (mut one, mut two) = (Client::connect(simulator), Client::connect(simulator));
    let mut confirmed = Vec::new();
    for sequence in 0..20 {
        for token in 0..5 {
            confirmed.push(send(&mut one, token, sequence).0);
            confirmed.push(send(&mut two, token + 5, sequence).0);
        }
    }
    confirmed
}

#[test]
fn orderly_traffic_leaves_a_clean_history() {
    let simulator = start(|_| {});
    let confirmed = traffic(&simulator);
    let log = simulator.log();
    let report = checked(&confirmed, &log);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.read, report.rows, report.duplicates), (200, 200, 0));
    assert!(log.rows.iter().zip(&log.rows[1..]).all(|(a, b)| a.read_ns() < b.read_ns()));
    assert!(log.rows.iter().all(|row| row.sequence().is_some()));
    assert_eq!(log.connections.len(), 2);
    assert_ne!(log.connections[0].peer, log.connections[1].peer);
}

#[test]
fn p2_and_p3_faults_on_the_wire_are_found() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let mut confirmed = vec![send(&mut client, 1, 2).0, send(&mut client, 1, 1).0];
    confirmed.push(send(&mut client, 2, 1).0);
    send(&mut client, 2, 1);
    confirmed.push(Confirmed { id: 99, token: 7, sequence: 1 });
    let report = checked(&confirmed, &simulator.log());
    assert_eq!((report.inversions, report.duplicates_unrecorded, report.lost), (1, 1, 1), "{report}");
}

#[test]
fn the_log_file_tells_the_same_as_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sim.log");
    let simulator = start(|config| {
        config.log = LogMode::File { path: path.clone(), rows_max: 1 << 16 };
        config.threads = 2;
    });
    let confirmed = traffic(&simulator);
    simulator.shutdown().expect("the file is complete");
    let log = read_file(&path).expect("readable");
    let report = checked(&confirmed, &log);
    assert!(report.is_clean(), "{report}");
    assert_eq!((log.rows.len(), log.connections.len(), log.dropped), (200, 2, 0));
    assert!(log.rows.iter().all(|row| row.written_ns().is_some()));
}

#[test]
fn the_root_certificate_is_written_for_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let simulator = start(|config| config.ca_out = Some(path.clone()));
    assert_eq!(std::fs::read_to_string(&path).expect("written"), simulator.ca_pem());
}

#[test]
fn who_trusted_the_root_trusts_that_of_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.key");
    let [first, next] = [0, 1].map(|_| start(|config| config.ca_key = Some(path.clone())));
    Client::connect_to(&first, next.addr()).push(&token(1));
    let mode = std::fs::metadata(&path).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "its owner's alone");
}

#[test]
fn the_process_form_ends_in_order_on_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sim.log");
    let log = LogMode::File { path: path.clone(), rows_max: 1 << 16 };
    let config = skein_apns_sim::SimulatorConfig { log, ..Default::default() };
    let counts = skein_apns_sim::run(config, |handle| {
        Client::connect(handle).push(&token(1));
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).expect("signalled");
    });
    assert_eq!(counts.expect("a clean end").accepted, 1);
    assert_eq!(read_file(&path).expect("readable").rows.len(), 1);
}
