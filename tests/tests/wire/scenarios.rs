//! What every server that answers by wish is put through; [`contract`] makes the tests of one.

use crate::audit::{Read, all_replied, audit, reads_of};
use crate::authority::Authority;
use crate::load::{Answers, drive, push};
use crate::server::Server;
use crate::wishes::{self, assert_granted};
use skein_apns::{Answer, Client, ClientConfig, ConnectFailure, NotSent, Request};
use skein_tests::process::Program;
use std::time::Duration;

/// A program with the arguments of `tests/wire-servers/README.md`.
pub type Make = fn(&[String]) -> Program;

const PUSHES: u64 = 1_200;
const IN_FLIGHT: usize = 300;
/// Below what servers allow unless told otherwise, so that both connections of a client are used.
const STREAMS_MAX: u32 = 150;
/// Longer than a server needs to be back, and shorter than a load's patience: what is not sent by then comes back and is written again.
const UNSENT_MAX: Duration = Duration::from_secs(20);
/// Rounds in which what was not sent is written again; each loses less than the one before.
const ROUNDS_MAX: u64 = 6;
/// Keys of one round; the next begins after them.
const ROUND: u64 = 1_000_000;

/// A server of this kind, and who signs for it.
pub struct Site {
    pub authority: Authority,
    pub server: Server,
    mutual: bool,
}

impl Site {
    pub async fn start(make: Make, mutual: bool, options: &[&str]) -> Self {
        let authority = Authority::new();
        let server = Server::start(make, &authority, mutual, options).await;
        Self { authority, server, mutual }
    }

    pub fn client(&self, connections_max: usize) -> Client {
        let config = ClientConfig {
            connections_max,
            streams_max: STREAMS_MAX,
            unsent_max: UNSENT_MAX,
            ..self.authority.config(self.server.port())
        };
        let credential = if self.mutual { self.authority.certificate() } else { self.authority.token() };
        Client::new(config, credential)
    }

    pub fn reads(&self) -> Vec<Read> {
        reads_of(&self.server.child.output())
    }
}

/// Of any size up to Apple's limit, asking for everything.
fn mixed(key: u64) -> Request {
    push(key, (key * 37 % 4_096) as usize, wishes::of_key(key).name)
}

/// Writes what was not sent again, under new keys, until all have a reply or are in doubt.
async fn until_settled(client: &mut Client, make: fn(u64) -> Request, pushes: u64) -> Answers {
    let mut all = drive(client, (0..pushes).map(make), IN_FLIGHT, |_| {}).await;
    for round in 1..=ROUNDS_MAX {
        let unsent = all
            .range((round - 1) * ROUND..)
            .filter(|(_, done)| matches!(done.answer, Answer::NotSent { .. }));
        let again: Vec<Request> = unsent.map(|(key, _)| make(key % ROUND + round * ROUND)).collect();
        if again.is_empty() {
            return all;
        }
        all.extend(drive(client, again, IN_FLIGHT, |_| {}).await);
    }
    let last = all.iter().next_back();
    panic!("not sent in {ROUNDS_MAX} rounds: {last:?} {:?} {:?}", client.status(), client.health());
}

pub async fn every_wish(make: Make, mutual: bool) {
    let site = Site::start(make, mutual, &[]).await;
    let mut client = site.client(2);
    let answers = drive(&mut client, (0..PUSHES).map(mixed), IN_FLIGHT, |_| {}).await;
    all_replied(&answers, &site.reads());
    assert_granted(&answers);
    let health = client.health();
    assert_eq!((health.protocol_faults, health.connections.resets, health.connections_lost), (0, 0, 0));
}

/// Bodies in many small pieces, one stream waiting for another, no dynamic table for our encoder. `resets`: the server
/// may refuse a stream by PROTOCOL_ERROR because it has not noticed yet that it ended another.
pub async fn small_limits(make: Make, resets: bool) {
    let options = ["--streams", "3", "--stream-window", "300", "--header-table", "0"];
    let site = Site::start(make, false, &options).await;
    let mut client = site.client(1);
    let answers = drive(&mut client, (0..PUSHES / 4).map(mixed), IN_FLIGHT, |_| {}).await;
    let tally = audit(&answers, &site.reads());
    assert_granted(&answers);
    let health = client.health();
    assert_eq!((health.protocol_faults, health.connects), (0, 1));
    assert!(resets || health.connections.resets == 0, "{tally:?} {health:?}");
    assert_eq!((tally.replies as u64 + health.connections.resets, tally.in_doubt_and_read), (PUSHES / 4, 0));
}

/// Half a thousand bodies of 4 KiB at once on one connection: thirty times the connection's window.
pub async fn beyond_the_connection_window(make: Make) {
    let options = ["--streams", "600", "--connection-window", "65536", "--frame", "65536"];
    let site = Site::start(make, false, &options).await;
    let config = ClientConfig { connections_max: 1, ..site.authority.config(site.server.port()) };
    let mut client = Client::new(config, site.authority.token());
    let full = |key| push(key, 4_096, "");
    let answers = drive(&mut client, (0..PUSHES).map(full), 500, |_| {}).await;
    all_replied(&answers, &site.reads());
    assert_eq!(client.health().connects, 1);
}

/// P1, P3: GOAWAY in mid-load, again and again.
pub async fn graceful_shutdowns(make: Make) {
    let site = Site::start(make, false, &["--shutdown-every", "250"]).await;
    let mut client = site.client(2);
    let answers = until_settled(&mut client, mixed, PUSHES).await;
    assert_granted(&answers);
    let tally = audit(&answers, &site.reads());
    assert_eq!(tally.in_doubt, 0, "a graceful end leaves nobody in doubt");
    assert!(client.health().connections.goaways > 0, "{:?}", client.health());
}

/// P1: limits that come and go; a stream that was on its way when the limit fell may be refused, and is written again.
pub async fn changing_settings(make: Make) {
    let site = Site::start(make, false, &["--settings-every", "100"]).await;
    let mut client = site.client(2);
    let answers = until_settled(&mut client, mixed, PUSHES).await;
    assert_granted(&answers);
    let tally = audit(&answers, &site.reads());
    let health = client.health();
    assert_eq!((tally.in_doubt, health.protocol_faults, health.connections_lost), (0, 0, 0), "{tally:?}");
    let output = site.server.child.output();
    assert!(output.contains("pong\n"), "its PINGs are answered");
    assert!(output.matches("settings taken\n").count() > 3, "its SETTINGS are acknowledged");
}

/// P2, P3: `kill -9` with many in flight.
pub async fn kill9(make: Make) {
    let mut site = Site::start(make, false, &[]).await;
    let mut client = site.client(2);
    let slow = |key| push(key, (key * 37 % 4_096) as usize, "slow");
    let mut first_life = None;
    let server = &mut site.server;
    let answers = drive(&mut client, (0..PUSHES).map(slow), IN_FLIGHT, |answered| {
        if answered >= PUSHES as usize / 2 && first_life.is_none() {
            first_life = Some(server.replace(make));
        }
    })
    .await;
    let before = reads_of(&first_life.unwrap().output());
    let after = site.reads();
    let tally = audit(&answers, &[before, after.clone()].concat());
    assert!((1..=IN_FLIGHT).contains(&tally.in_doubt), "{tally:?}");
    assert!(!after.is_empty(), "it goes on with the server's second life");
}

/// P3: with TLS 1.3 the refusal of our certificate, or of none, comes after our side of the handshake; nothing is written by
/// then. `says_why`: by an alert; otherwise the server just hangs up.
pub async fn certificate_demanded(make: Make, says_why: bool) {
    let site = Site::start(make, true, &[]).await;
    for (credential, says_why) in [(site.authority.token(), true), (Authority::new().certificate(), says_why)]
    {
        let config = site.authority.config(site.server.port());
        let mut client = Client::new(config, credential);
        let answers = drive(&mut client, (0..20).map(|key| push(key, 100, "")), 20, |_| {}).await;
        let tally = audit(&answers, &site.reads());
        assert_eq!((tally.not_sent, tally.in_doubt, client.health().connections.writes), (20, 0, 0));
        let expected =
            if says_why { ConnectFailure::ClientCertificate } else { ConnectFailure::TlsHandshake };
        for (key, done) in &answers {
            let is_told = matches!(&done.answer,
                Answer::NotSent { why: NotSent::NoConnection(why), .. } if *why == expected);
            assert!(is_told, "push {key}: {:?}", done.answer);
        }
    }
}

/// The tests of one kind of server: `$program` gives its [`Make`], or `None` after noting why it is skipped; `$resets` as
/// in [`small_limits`], `$says_why` as in [`certificate_demanded`].
macro_rules! contract {
    ($program:path, resets: $resets:literal, says_why: $says_why:literal) => {
        #[tokio::test]
        async fn p2_every_push_gets_the_answer_it_asked_for_by_token() {
            let Some(make) = $program() else { return };
            crate::scenarios::every_wish(make, false).await;
        }

        #[tokio::test]
        async fn p2_every_push_gets_the_answer_it_asked_for_by_certificate() {
            let Some(make) = $program() else { return };
            crate::scenarios::every_wish(make, true).await;
        }

        #[tokio::test]
        async fn p8_small_limits_are_kept() {
            let Some(make) = $program() else { return };
            crate::scenarios::small_limits(make, $resets).await;
        }

        #[tokio::test]
        async fn p8_more_in_flight_than_the_connections_window() {
            let Some(make) = $program() else { return };
            crate::scenarios::beyond_the_connection_window(make).await;
        }

        #[tokio::test]
        async fn p1_graceful_shutdowns_lose_nothing() {
            let Some(make) = $program() else { return };
            crate::scenarios::graceful_shutdowns(make).await;
        }

        #[tokio::test]
        async fn p3_a_killed_server_leaves_in_doubt_what_it_may_have_read() {
            let Some(make) = $program() else { return };
            crate::scenarios::kill9(make).await;
        }

        #[tokio::test]
        async fn p3_nothing_is_sent_to_a_server_that_demands_a_certificate() {
            let Some(make) = $program() else { return };
            crate::scenarios::certificate_demanded(make, $says_why).await;
        }
    };
}
pub(crate) use contract;
