//! nghttp2's `nghttpd`: settings of every size, padding, trailers, early answers. What it read is in its frame log.

use crate::audit::{Read, all_replied};
use crate::authority::Authority;
use crate::load::{Answers, drive, push};
use crate::server::Server;
use skein_apns::{Answer, Client, ClientConfig, Credential};
use skein_tests::need;
use skein_tests::process::Program;
use std::collections::BTreeMap;

const PUSHES: u64 = 1_000;
const IN_FLIGHT: usize = 200;

fn program(authority: &Authority, port: u16, options: &[&str]) -> Program {
    let mut program = Program::new("nghttpd");
    let command = program.command();
    command.args(["--address", "127.0.0.1", "--verbose", "--htdocs"]).arg(authority.folder()).args(options);
    command.arg(port.to_string()).args([authority.file("key.pem"), authority.file("cert.pem")]);
    program
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

fn statuses(answers: &Answers) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for done in answers.values() {
        let Answer::Reply { status, .. } = done.answer else { panic!("{done:?}") };
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn p2_every_push_is_echoed_once() {
    need!("nghttpd");
    let (answers, reads, _) = run(&["--echo-upload"], Authority::token).await;
    assert_eq!(all_replied(&answers, &reads) as u64, PUSHES);
    assert_eq!(statuses(&answers), BTreeMap::from([(200, PUSHES as usize)]));
}
