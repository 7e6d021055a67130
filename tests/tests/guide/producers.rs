//! P1, P2, P3 for producers in other languages, which know the wire contract and an ordinary AMQP client: what they publish
//! is delivered in order, though their connection is cut in between.

use std::{
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use serde_json::json;
use skein_apns_sim::{
    Faults, SEQUENCE_KEY,
    checker::{Confirmed, FinalVerdict, History, check},
    fingerprint_of_hex,
};
use skein_test_site::{books::number, load::Random, run::commit};
use skein_tests::{
    figures, need,
    process::{Child, Program},
    relay::Relay,
    services::{PostgreSql, RabbitMq},
    until, workspace_folder,
};

use crate::{
    fleet::{END_LIMIT, Fleet, Services},
    languages::{self, Make},
    site::{POOL, TOPIC},
};

const RUN_LIMIT: Duration = Duration::from_secs(120);
const TOKENS: usize = 60;
/// Every so manieth line is for a group.
const GROUP_EVERY: usize = 10;
const MEMBERS: usize = 12;
const CUTS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_go_producer_is_delivered_in_order() {
    delivered_in_order("go", languages::go, 1_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_java_producer_is_delivered_in_order() {
    delivered_in_order("java", languages::java, 1_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_python_producer_is_delivered_in_order() {
    delivered_in_order("python", languages::python, 600).await;
}

/// What a producer is told, and the token's sequence that each line carries for each of its tokens.
struct Script {
    text: String,
    sequences: Vec<HashMap<String, u64>>,
}

impl Script {
    fn of(lines: usize) -> Self {
        let mut random = Random(11);
        // Both spellings of hexadecimal digits: the routing must not depend on them.
        let tokens: Vec<String> = (0..TOKENS).map(|_| random.token()).collect();
        let mut next = vec![0; TOKENS];
        let mut script = Self { text: String::new(), sequences: Vec::new() };
        for line in 0..lines {
            // One payload for all carries one sequence for all: the devices of a group go on from the greatest.
            let count = if line % GROUP_EVERY == 0 { MEMBERS } else { 1 };
            let first = random.below(TOKENS);
            let places: Vec<usize> = (0..count).map(|n| (first + n) % TOKENS).collect();
            let sequence = places.iter().map(|place| next[*place]).max().unwrap();
            let spelt = |place: &usize| {
                if random.below(2) == 0 { tokens[*place].to_uppercase() } else { tokens[*place].clone() }
            };
            let spelt: Vec<String> = places.iter().map(spelt).collect();
            let payload =
                json!({"aps": {"alert": {"title": "Bob", "body": "räksmörgås"}}, SEQUENCE_KEY: sequence});
            writeln!(script.text, "{}", json!({"tokens": spelt, "payload": payload})).unwrap();
            places.iter().for_each(|place| next[*place] = sequence + 1);
            script.sequences.push(places.iter().map(|place| (tokens[*place].clone(), sequence)).collect());
        }
        script
    }

    fn notifications(&self) -> usize {
        self.sequences.iter().map(HashMap::len).sum()
    }

    /// A line that a producer printed: the number of its line, id, token.
    fn confirmed(&self, printed: &str) -> Confirmed {
        let words: Vec<&str> = printed.split(' ').collect();
        let [line, id, token] = words[..] else { panic!("not three words: {printed}") };
        let token = token.to_lowercase();
        let sequence = self.sequences[line.parse::<usize>().unwrap()][&token];
        Confirmed { id: number(id), token: fingerprint_of_hex(&token).unwrap(), sequence }
    }
}

async fn delivered_in_order(name: &str, make: Make, lines: usize) {
    need!("rabbitmq", "postgresql");
    let Some(words) = make() else { return };
    let mut checking = Program::new(&words[0]);
    let vectors = workspace_folder().join("producer-lib/vectors/routing.json");
    checking.command().args(&words[1..]).arg("vectors").arg(vectors);
    assert_eq!(ended(checking.start().unwrap()).await, "20 vectors hold\n");

    let broker = RabbitMq::shared().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let services = Services::direct(broker, PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::start(name, services, Faults::default()).await;
    let script = Script::of(lines);
    let started = Instant::now();
    let input = fleet.site.write("messages", &script.text).display().to_string();
    let vhost = fleet.url.rsplit('/').next().unwrap();
    let url = format!("amqp://guest:guest@{}/{vhost}", relay.address());
    let mut producer = Program::new("sh");
    producer
        .command()
        .args(["-c", r#"exec < "$0"; exec "$@""#, &input])
        .args(&words)
        .args([&url, POOL, TOPIC]);
    let mut producer = producer.start().unwrap();
    for cut in 1..=CUTS {
        let wanted = script.notifications() * cut / (CUTS + 2);
        let some = async || {
            let ended = producer.exit_status();
            (ended.is_some() || producer.output().lines().count() >= wanted).then_some(())
        };
        until("confirmations", RUN_LIMIT, some).await.unwrap_or_else(|e| panic!("{e}: {}", producer.log()));
        relay.cut_all();
    }
    let output = ended(producer).await;
    assert!(relay.accepted() > 1, "no cut has hit it");
    let confirmed: Vec<Confirmed> = output.lines().map(|line| script.confirmed(line)).collect();
    assert_eq!(confirmed.len(), script.notifications(), "all that it was given is accepted");

    assert!(fleet.settled(confirmed.len()).await);
    fleet.end_sender().await;
    let books = fleet.books().await;
    assert_eq!(books.count(FinalVerdict::Accepted), confirmed.len() as u64, "P1: {:?}", books.by_label());
    let report = check(&History {
        confirmed: &confirmed,
        log: &fleet.site.simulator.log(),
        verdicts: Some(&books.verdicts),
        possible_copies: &books.possible_copies,
        writers: None,
    });
    let row = json!({
        "row": format!("{name} producer"),
        "runs": CUTS,
        "failed": books.verdicts.len() as u64 - books.count(FinalVerdict::Accepted),
        "lost": report.lost,
        "inversions": report.inversions,
        "seconds": started.elapsed().as_secs_f64(),
        "commit": commit(),
    });
    figures::append("operations", &row).unwrap();
    assert!(report.is_clean() && report.unconfirmed == 0, "P1, P2, P3: {report}");
}

/// Waits for its end, which must be a good one; what it printed.
async fn ended(mut program: Child) -> String {
    let status = program.wait_exit(RUN_LIMIT.max(END_LIMIT)).await.unwrap();
    assert!(status.success(), "{}", program.log());
    program.output()
}
