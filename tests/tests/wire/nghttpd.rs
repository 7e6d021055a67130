//! nghttp2's `nghttpd`: settings of every size, padding, trailers, early answers. What it read is in its frame log.

use crate::audit::{Read, all_replied, audit};
use crate::authority::Authority;
use crate::load::{Answers, drive, push};
use crate::server::Server;
use skein_apns::{Answer, Client, ClientConfig, Credential};
use skein_tests::need;
use skein_tests::process::Program;
use std::collections::BTreeMap;
use std::time::Duration;

const PUSHES: u64 = 1_000;
const IN_FLIGHT: usize = 200;

fn program(authority: &Authority, port: u16, options: &[&str]) -> Program {
    let mut program = Program::new("nghttpd");
    let command = program.command();
    command.args(["--address", "127.0.0.1", "--verbose", "--htdocs"]).arg(authority.folder()).args(options);
    command.arg(port.to_string()).args([authority.file("key.pem"), authority.file("cert.pem")]);
    program
}

/// A page for each device with such a key; the server answers 200 with it, to a POST too.
const PAGE_EVERY: u64 = 10;

fn keep_pages(authority: &Authority) {
    for key in (0..PUSHES).step_by(PAGE_EVERY as usize) {
        let token: String = push(key, 0, "").token.iter().map(|byte| format!("{byte:02x}")).collect();
        authority.keep(&format!("3/device/{token}"), "a page");
    }
}

async fn start(authority: &Authority, options: &[&str]) -> Server {
    Server::start_other(|port| program(authority, port, options), "listen 127.0.0.1").await
}

/// Requests whose END_STREAM came, out of lines such as `[id=1] [  0.512] recv (stream_id=1) apns-id: …`.
fn reads(log: &str) -> Vec<Read> {
    let mut open: BTreeMap<(String, String), Read> = BTreeMap::new();
    let mut whole = Vec::new();
    let mut data = None;
    let between = |line: &str, from: &str, to: char| {
        line.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found.to_owned())
    };
    for line in log.lines() {
        if let Some((stream, field)) =
            line.split_once("recv (stream_id=").and_then(|(_, rest)| rest.split_once(") "))
        {
            let stream = stream.trim_end_matches(", sensitive");
            let connection = between(line, "[id=", ']').unwrap();
            let read = open.entry((connection, stream.to_owned())).or_insert_with(|| Read {
                id: String::new(),
                token: String::new(),
                body_bytes: 0,
                body_sum: None,
            });
            match field.split_once(": ") {
                Some(("apns-id", id)) => read.id = id.to_owned(),
                Some((":path", path)) => read.token = path.trim_start_matches("/3/device/").to_owned(),
                _ => {}
            }
        } else if line.contains("recv DATA frame") {
            let key = (between(line, "[id=", ']').unwrap(), between(line, "stream_id=", '>').unwrap());
            let bytes: u64 = between(line, "length=", ',').unwrap().parse().unwrap();
            open.get_mut(&key).unwrap().body_bytes += bytes;
            data = Some(key);
        } else if line.starts_with('[') {
            data = None;
        } else if line.contains("; END_STREAM")
            && let Some(key) = data.take()
        {
            whole.push(open.remove(&key).unwrap());
        }
    }
    whole
}

async fn run(options: &[&str], credential: fn(&Authority) -> Credential) -> (Answers, Vec<Read>, String) {
    let authority = Authority::new();
    keep_pages(&authority);
    let server = start(&authority, options).await;
    let config = ClientConfig { connections_max: 2, ..authority.config(server.port()) };
    let mut client = Client::new(config, credential(&authority));
    let pushes = (0..PUSHES).map(|key| push(key, (key * 37 % 4_096) as usize, ""));
    let answers = drive(&mut client, pushes, IN_FLIGHT, |_| {}).await;
    let health = client.health();
    assert_eq!((health.protocol_faults, health.connections.resets, health.connections_lost), (0, 0, 0));
    let log = server.child.output();
    let reads = reads(&log);
    (answers, reads, log)
}

/// Frame lengths of one kind.
fn lengths<'a>(log: &'a str, kind: &'a str) -> impl Iterator<Item = u64> {
    let lines = log.lines().filter(move |line| line.contains(kind));
    lines.map(|line| line.split_once("<length=").unwrap().1.split_once(',').unwrap().0.parse().unwrap())
}

fn statuses(answers: &Answers) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for done in answers.values() {
        let Answer::Reply { status, .. } = done.answer else { panic!("{done:?}") };
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn p2_every_push_is_echoed_once_by_token() {
    need!("nghttpd");
    let (answers, reads, _) = run(&["--echo-upload"], Authority::token).await;
    assert_eq!(all_replied(&answers, &reads) as u64, PUSHES);
    assert_eq!(statuses(&answers), BTreeMap::from([(200, PUSHES as usize)]));
}

#[tokio::test]
async fn p2_every_push_is_echoed_once_by_certificate() {
    need!("nghttpd");
    let (answers, reads, log) = run(&["--echo-upload", "--verify-client"], Authority::certificate).await;
    assert_eq!(all_replied(&answers, &reads) as u64, PUSHES);
    assert!(!log.contains("authorization"), "a certificate needs no token beside it");
}

/// Bodies in pieces of 63 bytes, seven streams at once, and no dynamic table in either direction.
#[tokio::test]
async fn p8_small_limits_are_kept() {
    need!("nghttpd");
    let options = ["--echo-upload", "--max-concurrent-streams=7", "--window-bits=6"];
    let tables = ["--header-table-size=0", "--encoder-header-table-size=0"];
    let (answers, reads, log) = run(&[&options[..], &tables].concat(), Authority::token).await;
    all_replied(&answers, &reads);
    assert!(
        log.contains("SETTINGS_HEADER_TABLE_SIZE(0x01):0]") && log.contains("INITIAL_WINDOW_SIZE(0x04):63]")
    );
    assert_eq!(log.matches("Dynamic table size update").count(), 0);
    // The first push of a connection goes before the server's SETTINGS have come (RFC 9113 §3.4).
    let above = lengths(&log, "recv DATA frame").filter(|&length| length > 63).count();
    assert!(above <= 2, "{above} DATA frames are longer than the window");
}

/// A table that takes one of our fields at most: each new one would evict it.
#[tokio::test]
async fn p2_a_table_too_small_for_our_fields() {
    need!("nghttpd");
    let options = ["--echo-upload", "--header-table-size=64", "--encoder-header-table-size=64"];
    let (answers, reads, _) = run(&options, Authority::token).await;
    all_replied(&answers, &reads);
}

/// Large windows and tables; then our bodies are one frame each.
#[tokio::test]
async fn p2_large_limits_are_used() {
    need!("nghttpd");
    let windows = ["--echo-upload", "--window-bits=30", "--connection-window-bits=30"];
    let others = ["--header-table-size=64K", "--max-concurrent-streams=4000000000", "--workers=2"];
    let (answers, reads, log) = run(&[&windows[..], &others].concat(), Authority::certificate).await;
    all_replied(&answers, &reads);
    assert_eq!(lengths(&log, "recv DATA frame").count() as u64, PUSHES);
    // After the first of each kind, all fields but path and ids are one byte each.
    let shortest = lengths(&log, "recv HEADERS frame").min().unwrap();
    assert!(shortest < 160, "{shortest} bytes of header block");
}

fn pages_and_404s() -> BTreeMap<u16, usize> {
    let pages = (PUSHES / PAGE_EVERY) as usize;
    BTreeMap::from([(200, pages), (404, PUSHES as usize - pages)])
}

/// Padding, trailers, no content-length.
#[tokio::test]
async fn p2_replies_of_odd_shapes_are_read() {
    need!("nghttpd");
    let shapes = ["--padding=255", "--trailer=x-after: the body", "--no-content-length"];
    let (answers, reads, log) = run(&shapes, Authority::token).await;
    all_replied(&answers, &reads);
    assert_eq!(statuses(&answers), pages_and_404s());
    let shapes = ["x-after: the body", "; END_STREAM | END_HEADERS | PADDED"];
    assert_eq!(shapes.map(|shape| log.contains(shape)), [true; 2], "{shapes:?}");
}

/// An answer before the request is whole: known, whatever becomes of the rest of the body.
#[tokio::test]
async fn p2_an_answer_may_come_before_the_body_is_out() {
    need!("nghttpd");
    let (answers, reads, _) = run(&["--early-response", "--window-bits=6"], Authority::token).await;
    assert_eq!(statuses(&answers), pages_and_404s());
    assert!(reads.len() < PUSHES as usize, "no answer came early: the test tests nothing");
}

#[tokio::test]
async fn p3_a_killed_server_leaves_in_doubt_what_it_may_have_read() {
    need!("nghttpd");
    let authority = Authority::new();
    let mut server = start(&authority, &["--echo-upload"]).await;
    let unsent_max = Duration::from_millis(300);
    let config = ClientConfig { unsent_max, ..authority.config(server.port()) };
    let mut client = Client::new(config, authority.token());
    let pushes = (0..PUSHES).map(|key| push(key, 4_096, ""));
    let answers = drive(&mut client, pushes, IN_FLIGHT, |answered| {
        if answered >= PUSHES as usize / 2 {
            server.child.kill9();
        }
    })
    .await;
    let tally = audit(&answers, &reads(&server.child.output()));
    assert!(tally.in_doubt <= IN_FLIGHT && tally.not_sent > 0, "{tally:?}");
}
