//! The embedded engine as one process: P1–P3 when it is killed at any instant, and its HTTP path.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use skein_apns_sim::{
    Faults,
    checker::{Confirmed, Ids},
    fingerprint_of_hex,
};
use skein_core::NotificationId;
use skein_tests::{
    http,
    process::{Child, skein},
    until,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, sqlite::SqliteConnectOptions};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    books::Books,
    fleet::{END_LIMIT, FLOW_LIMIT, START_LIMIT},
    keys::{self, API_KEY},
    load::{Random, Sent, payload},
    scenario::Scenario,
    site::{POOL, Site, TOPIC, bad_day},
};

const WORKERS: usize = 6;
const TOKENS_EACH: usize = 200;
const ROUND: usize = 20;
const CALL_PAUSE: Duration = Duration::from_millis(20);
pub const ENGINE: &str = "engine = \"embedded\"\n\n[embedded]\npath = \"skein.db\"\n";

/// P1, P2, P3: killed in the middle of it, again and again, with callers that submit again what they got no answer to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_and_keeps_the_order() {
    let mut scenario = Scenario::new("embedded process killed", 4, 50);
    let site = Site::new(bad_day(scenario.seed));
    let file = site.path("skein.db");
    let mut process = start(&site).await;
    let callers = Callers::start(site.front(), scenario.seed);
    let mut at_risk = 0;
    for _ in 0..scenario.runs {
        callers.accepted(scenario.random.between(100, 1_500)).await;
        process.kill9();
        let closed = async || (site.simulator.stats().connections_open == 0).then_some(());
        until("the dead process's connections to end", END_LIMIT, closed).await.unwrap();
        let durable: Ids = books(&file).await.verdicts.into_keys().collect();
        let written: Ids = site.simulator.log().rows.iter().map(|row| row.id()).collect();
        at_risk += written.difference(&durable).count() as u64;
        process = start(&site).await;
    }
    callers.accepted(500).await;
    let sent = callers.finish().await;
    let all = async || (count(&file).await >= sent.len()).then_some(());
    let settled = until("every verdict", FLOW_LIMIT, all).await.is_ok();
    process.terminate();
    assert_eq!(process.wait_exit(END_LIMIT).await.unwrap().code(), Some(0), "{}", process.log());
    let books = books(&file).await;
    let verdict = scenario.judge(&sent, &books, site.simulator.log());
    assert!(settled, "P1: {} of {} have a verdict", books.verdicts.len(), sent.len());
    let bound = at_risk + books.in_doubt.len() as u64;
    assert!(verdict.report.duplicates <= bound, "P3: at most {bound}: {}", verdict.report);
    let mut connection = open(&file).await;
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM message").fetch_one(&mut connection).await.unwrap();
    assert_eq!(waiting, 0, "messages in the queue");
}

/// The shortest way from nothing to a device: one process, one command, and what became of it.
#[tokio::test]
async fn the_command_line_submits_through_the_one_process() {
    let site = Site::new(Faults::default());
    keys::private_file(site.path("").as_path(), "key", API_KEY);
    let mut process = start(&site).await;
    let (url, key) = (site.front(), site.path("key").display().to_string());
    let run = async |arguments: &[&str]| {
        let door = ["--json", "--url", &url, "--key-file", &key];
        let mut child = skein(arguments.iter().copied().chain(door)).unwrap().start().unwrap();
        let status = child.wait_exit(END_LIMIT).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}{}", child.output(), child.log());
        serde_json::from_str::<Value>(child.output().trim()).unwrap()
    };
    let token = Random(5).token();
    let submit =
        ["submit", "--pool", POOL, "--token", &token, "--topic", TOPIC, "--title", "Ann", "--body", "Hello"];
    let told = run(&submit).await;
    assert_eq!(told["outcome"], "accepted", "{told}");
    let file = site.path("skein.db");
    let durable = async || (count(&file).await == 1).then_some(());
    until("the verdict", FLOW_LIMIT, durable).await.unwrap();
    let trace = run(&["trace", told["id"].as_str().unwrap()]).await;
    assert_eq!(
        (&trace["events"][0]["what"], &trace["events"][0]["status"]),
        (&json!("accepted"), &json!(200))
    );
    let shown = site.simulator.device(fingerprint_of_hex(&token).unwrap());
    assert!(shown.is_some(), "the device shows it");
    process.terminate();
    assert_eq!(process.wait_exit(END_LIMIT).await.unwrap().code(), Some(0), "{}", process.log());
}

pub async fn start(site: &Site) -> Child {
    let config = site.config(ENGINE).display().to_string();
    let mut process = skein(["standalone", "--config", &config]).unwrap().start().unwrap();
    process.wait_ready(&site.page("readyz"), START_LIMIT).await.unwrap();
    process
}

async fn open(file: &Path) -> sqlx::SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10));
    options.connect().await.unwrap()
}

async fn count(file: &Path) -> usize {
    let mut connection = open(file).await;
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM final").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    usize::try_from(rows).unwrap()
}

async fn books(file: &Path) -> Books {
    let mut connection = open(file).await;
    let mut books = Books::default();
    let id =
        |row: &sqlx::sqlite::SqliteRow| u128::from_be_bytes(row.get::<Vec<u8>, _>(0).try_into().unwrap());
    let finals = sqlx::query("SELECT id, verdict, possible_copy FROM final").fetch_all(&mut connection).await;
    for row in finals.unwrap() {
        books.enter_final(id(&row), row.get(1), row.get::<i64, _>(2) != 0);
    }
    let notes =
        sqlx::query("SELECT DISTINCT id, kind FROM note WHERE possible_copy <> 0").fetch_all(&mut connection);
    for row in notes.await.unwrap() {
        books.enter_note(id(&row), row.get(1));
    }
    let badges = sqlx::query_scalar("SELECT coalesce(sum(badge), 0) FROM device").fetch_one(&mut connection);
    books.badges = u64::try_from(badges.await.map(|sum: i64| sum).unwrap()).unwrap();
    connection.close().await.unwrap();
    books
}

/// Backends that speak HTTP: each has its own tokens, submits a round at a time, and again until it is accepted.
struct Callers {
    stop: watch::Sender<bool>,
    workers: JoinSet<Vec<Sent>>,
    accepted: Arc<AtomicU64>,
}

impl Callers {
    fn start(front: String, seed: u64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let accepted = Arc::new(AtomicU64::new(0));
        let mut random = Random(seed);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let tokens: Vec<String> = (0..TOKENS_EACH).map(|_| random.token()).collect();
            let (front, accepted) = (front.clone(), Arc::clone(&accepted));
            workers.spawn(call(front, tokens, Random(random.next()), accepted, stopped.clone()));
        }
        Self { stop, workers, accepted }
    }

    async fn accepted(&self, more: u64) {
        let from = self.accepted.load(Ordering::Relaxed);
        let flows = async || (self.accepted.load(Ordering::Relaxed) >= from + more).then_some(());
        until("submissions to be accepted", FLOW_LIMIT, flows).await.unwrap();
    }

    async fn finish(self) -> Vec<Sent> {
        self.stop.send_replace(true);
        tokio::time::timeout(FLOW_LIMIT, self.workers.join_all()).await.unwrap().concat()
    }
}

async fn call(
    front: String,
    tokens: Vec<String>,
    mut random: Random,
    accepted: Arc<AtomicU64>,
    stopped: watch::Receiver<bool>,
) -> Vec<Sent> {
    let url = format!("{front}/v1/notifications?pool={POOL}");
    let bearer = format!("Bearer {API_KEY}");
    let mut sequences = vec![0; tokens.len()];
    let mut all = Vec::new();
    while !*stopped.borrow() {
        // Each token once a round, so that an answer in parts can't be about its order.
        let first = random.below(tokens.len() - ROUND);
        let (mut bodies, mut sent) = (Vec::new(), Vec::new());
        for place in first..first + ROUND {
            let (id, token, sequence) = (NotificationId::now(), &tokens[place], sequences[place]);
            sequences[place] += 1;
            let content: Value = serde_json::from_str(&payload("over http", sequence)).unwrap();
            bodies.push(json!({"id": id, "token": token, "topic": TOPIC, "payload": content}));
            let token = fingerprint_of_hex(token).unwrap();
            sent.push(Sent {
                confirmed: Confirmed { id: id.as_uuid().as_u128(), token, sequence },
                badge: 0,
            });
        }
        let body = Value::Array(bodies).to_string();
        let submitted = tokio::time::timeout(FLOW_LIMIT, submit(&url, &bearer, &body));
        submitted.await.expect("a round is accepted in time");
        accepted.fetch_add(ROUND as u64, Ordering::Relaxed);
        all.extend(sent);
    }
    all
}

/// Submits until all of it is accepted: under the same ids, as callers are told to.
async fn submit(url: &str, bearer: &str, body: &str) {
    loop {
        match http::request_with("POST", url, &[("Authorization", bearer)], Some(body)).await {
            Ok(answer) if answer.status == 202 => return,
            Ok(answer) => assert!(answer.status == 207 || answer.status >= 500, "{answer:?}"),
            Err(_) => tokio::time::sleep(CALL_PAUSE).await,
        }
    }
}
