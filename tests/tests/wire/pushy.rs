//! Java's Pushy: its `MockApnsServer`, which checks tokens, signatures, topics and certificates by itself.

use crate::audit::{Read, all_replied, audit, reads_of};
use crate::authority::{Authority, KEY_ID, TEAM_ID, TOPIC};
use crate::load::{Answers, drive, push};
use crate::server::Server;
use bytes::Bytes;
use skein_apns::{Answer, Client, ClientConfig, Reason, Request};
use skein_tests::process::Program;
use skein_tests::skipped::lacks;
use skein_tests::toolchain::{Step, built};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

const PUSHES: u64 = 1_000;
const IN_FLIGHT: usize = 200;
const EXPIRED_MS: i64 = 1_700_000_000_123;
/// Apple's limit, which the mock keeps.
const PAYLOAD_BYTES_MAX: usize = 4_096;

/// Its jars and our main class, or `None` after noting why it is skipped.
fn classes() -> Option<PathBuf> {
    if lacks(&["mvn", "javac"]) {
        return None;
    }
    built("tests/wire-servers/pushy", |sources, results| {
        let jars = results.join("lib");
        let mut fetch = Command::new("mvn");
        fetch.args(["--quiet", "--batch-mode", "--file"]).arg(sources.join("pom.xml"));
        fetch.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", jars.display()));
        let mut compile = Command::new("javac");
        compile.arg("-d").arg(results.join("classes")).arg("-cp").arg(jars.join("*"));
        compile.arg(sources.join("WireServer.java"));
        vec![Step::Fetch(fetch), Step::Build(compile)]
    })
}

struct Site {
    authority: Authority,
    server: Server,
    kind: &'static str,
}

impl Site {
    /// `kind` is what it authenticates by: `token` or `certificate`. Knows the device tokens of `pushes`.
    async fn start(kind: &'static str, streams: &str, pushes: &[Request]) -> Option<Self> {
        let classes = classes()?;
        let authority = Authority::new();
        authority.keep("tokens.txt", &tokens(pushes));
        let folder = authority.folder().to_owned();
        let server = Server::start_other(
            move |port| {
                let mut program = Program::new("java");
                let command = program.command();
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
                command.arg(format!("{0}/classes:{0}/lib/*", classes.display())).arg("WireServer");
                command.arg(port.to_string()).arg(&folder).args([kind, TOPIC, KEY_ID, TEAM_ID, streams]);
                program
            },
            "listening",
        );
        Some(Self { server: server.await, authority, kind })
    }

    fn client(&self) -> Client {
        let config = ClientConfig { connections_max: 2, ..self.authority.config(self.server.port()) };
        let by_token = self.kind == "token";
        Client::new(config, if by_token { self.authority.token() } else { self.authority.certificate() })
    }

    fn reads(&self) -> Vec<Read> {
        reads_of(&self.server.child.output())
    }
}

fn is_expired(key: u64) -> bool {
    key % 7 == 3
}

fn is_of_another_app(key: u64) -> bool {
    key % 11 == 5
}

fn is_malformed(key: u64) -> bool {
    key % 13 == 6
}

fn tokens(pushes: &[Request]) -> String {
    let mut text = String::new();
    for push in pushes.iter().filter(|push| !is_of_another_app(push.key)) {
        text.extend(push.token.iter().map(|byte| format!("{byte:02x}")));
        if is_expired(push.key) {
            write!(text, " {EXPIRED_MS}").unwrap();
        }
        text.push('\n');
    }
    text
}

/// Payloads of all sizes, some above Apple's limit and some empty.
fn pushes() -> Vec<Request> {
    let mixed = |key| {
        let mut push = push(key, (key * 37 % 4_300) as usize, "");
        if key.is_multiple_of(50) {
            push.payload = Bytes::new();
        }
        if is_malformed(key) {
            push.token.truncate(20);
        }
        push
    };
    (0..PUSHES).map(mixed).collect()
}

fn assert_judged(answers: &Answers) {
    for (key, done) in answers {
        let Answer::Reply { status, reason, timestamp_ms, apns_id, apns_unique_id, .. } = &done.answer else {
            panic!("push {key}: {:?}", done.answer)
        };
        let payload_bytes = done.request.payload.len();
        // In the order in which it checks.
        let (expected, at) = match *key {
            key if is_malformed(key) => ((400, Some(Reason::BadDeviceToken)), None),
            key if is_of_another_app(key) => ((400, Some(Reason::DeviceTokenNotForTopic)), None),
            key if is_expired(key) => ((410, Some(Reason::Unregistered)), Some(EXPIRED_MS)),
            _ if payload_bytes == 0 => ((400, Some(Reason::PayloadEmpty)), None),
            _ if payload_bytes > PAYLOAD_BYTES_MAX => ((413, Some(Reason::PayloadTooLarge)), None),
            _ => ((200, None), None),
        };
        assert_eq!(((*status, reason.clone()), *timestamp_ms), (expected, at), "push {key}");
        assert_eq!(*apns_id, Some(done.request.apns_id), "push {key}");
        assert!(apns_unique_id.is_some(), "push {key}");
    }
}

async fn judged(kind: &'static str, streams: &str) {
    let Some(site) = Site::start(kind, streams, &pushes()).await else { return };
    let mut client = site.client();
    let answers = drive(&mut client, pushes(), IN_FLIGHT, |_| {}).await;
    all_replied(&answers, &site.reads());
    assert_judged(&answers);
    let health = client.health();
    assert_eq!((health.protocol_faults, health.connections.resets, health.connections_lost), (0, 0, 0));
}

#[tokio::test]
async fn p2_every_push_is_judged_by_token() {
    judged("token", "500").await;
}

#[tokio::test]
async fn p2_every_push_is_judged_by_certificate_few_at_a_time() {
    judged("certificate", "7").await;
}

/// The mock looks at device tokens first, so these are all good.
fn plain_pushes() -> Vec<Request> {
    (0..20).map(|n| push(n * 7 * 11 * 13 + 1, 100, "")).collect()
}

/// The signature is checked by code that is not ours: one of another key must not pass.
#[tokio::test]
async fn a_provider_token_of_another_key_is_refused() {
    let Some(site) = Site::start("token", "500", &plain_pushes()).await else { return };
    let config = site.authority.config(site.server.port());
    let mut client = Client::new(config, Authority::new().token());
    let answers = drive(&mut client, plain_pushes(), 20, |_| {}).await;
    for (key, done) in &answers {
        let invalid = Some(Reason::InvalidProviderToken);
        assert!(
            matches!(&done.answer, Answer::Reply { status: 403, reason, .. } if *reason == invalid),
            "push {key}: {:?}",
            done.answer
        );
    }
}

#[tokio::test]
async fn p3_a_killed_server_leaves_in_doubt_what_it_may_have_read() {
    let Some(mut site) = Site::start("token", "500", &pushes()).await else { return };
    let unsent_max = std::time::Duration::from_millis(300);
    let config = ClientConfig { unsent_max, ..site.authority.config(site.server.port()) };
    let mut client = Client::new(config, site.authority.token());
    let server = &mut site.server;
    let answers = drive(&mut client, pushes(), IN_FLIGHT, |answered| {
        if answered >= PUSHES as usize / 2 {
            server.child.kill9();
        }
    })
    .await;
    let tally = audit(&answers, &site.reads());
    assert!(tally.in_doubt <= IN_FLIGHT && tally.not_sent > 0, "{tally:?}");
}
