//! Every way in but the Rust library and plain AMQP (`tests/guide`): HTTP, the command line; and asking what became of it.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use skein_apns_sim::{Faults, checker::FinalVerdict};
use skein_core::NotificationId;
use skein_tests::{
    http, need,
    process::skein,
    relay::Relay,
    services::{PostgreSql, RabbitMq},
    until,
};

use crate::{
    books::number,
    fleet::{END_LIMIT, Fleet, START_LIMIT, Services},
    keys::{API_KEY, private_file},
    load::{Random, payload},
    site::{POOL, TOPIC},
};

const RUN_LIMIT: Duration = Duration::from_secs(120);

async fn fleet(name: &str) -> Fleet {
    let broker = RabbitMq::shared().await.unwrap();
    Fleet::start(name, Services::direct(broker, PostgreSql::shared().await.unwrap()), Faults::default()).await
}

/// The HTTP path of a cluster: one, an array, shared content with items; an Idempotency-Key twice is one; and its trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_through_the_gateway_is_delivered() {
    need!("rabbitmq", "postgresql");
    let mut fleet = fleet("http").await;
    let (mut gateway, pages) = fleet.start_role(&["run", "gateway"]);
    let ready = format!("http://127.0.0.1:{}/readyz", pages.number());
    gateway.wait_ready(&ready, START_LIMIT).await.unwrap();
    let front = fleet.site.front();
    let post = async |body: &Value, key: &str| {
        let url = format!("{front}/v1/notifications?pool={POOL}");
        let bearer = format!("Bearer {API_KEY}");
        let headers = [("Authorization", &*bearer), ("Idempotency-Key", key)];
        let answer = http::request_with("POST", &url, &headers, Some(&body.to_string())).await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        let items = answer.json().unwrap()["items"].as_array().unwrap().clone();
        items.into_iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    let mut random = Random(3);
    let content: Value = serde_json::from_str(&payload("hello", 1)).unwrap();
    let mut one = || json!({"token": random.token(), "topic": TOPIC, "payload": content});
    let (alone, array) = (one(), json!([one(), one(), one()]));
    let items: Vec<Value> = (0..50).map(|_| json!({"token": one()["token"]})).collect();
    let shared = json!({"topic": TOPIC, "payload": content, "items": items});
    let mut ids = post(&alone, "first").await;
    assert_eq!(post(&alone, "first").await, ids, "the same key gets the same answer");
    ids.extend(post(&array, "second").await);
    ids.extend(post(&shared, "third").await);
    assert_eq!(ids.len(), 54);

    assert!(fleet.settled(ids.len()).await);
    let log = fleet.site.simulator.log();
    assert_eq!(log.rows.len(), ids.len(), "each was sent once");
    assert!(ids.iter().all(|id| log.rows.iter().any(|row| row.id() == number(id) && row.delivered())));
    let bearer = format!("Bearer {API_KEY}");
    let url = format!("{front}/v1/notifications/{}", ids[0]);
    let trace = http::request_with("GET", &url, &[("Authorization", &bearer)], None).await.unwrap();
    assert_eq!(trace.json().unwrap()["events"][0]["what"], "accepted", "{trace:?}");
    gateway.terminate();
    assert_eq!(gateway.wait_exit(END_LIMIT).await.unwrap().code(), Some(0));
    fleet.end_sender().await;
}

/// P1: while PostgreSQL is away the door stays open, also to who asks `/readyz` where to send requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_goes_on_without_its_ledger() {
    need!("rabbitmq", "postgresql");
    let ledger = PostgreSql::shared().await.unwrap();
    let relay = Relay::start(ledger.server()).await.unwrap();
    let services = Services {
        ledger_for_sender: Some(relay.address()),
        ..Services::direct(RabbitMq::shared().await.unwrap(), ledger)
    };
    let mut fleet = Fleet::start("open_door", services, Faults::default()).await;
    let (mut gateway, pages) = fleet.start_role(&["run", "gateway"]);
    let ready = format!("http://127.0.0.1:{}/readyz", pages.number());
    gateway.wait_ready(&ready, START_LIMIT).await.unwrap();
    relay.set_refusing(true);
    relay.cut_all();
    let note = async || {
        let answer = http::get(&ready).await.ok()?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let parts = answer.json().ok()?["parts"].as_array()?.clone();
        parts.iter().find(|part| part["name"] == "ledger")?["note"].as_str().map(str::to_owned)
    };
    until("a note of the ledger", START_LIMIT, note).await.unwrap();
    let body = json!({"token": Random(5).token(), "topic": TOPIC, "payload": {"aps": {"alert": "hello"}}});
    let url = format!("{}/v1/notifications?pool={POOL}", fleet.site.front());
    let bearer = format!("Bearer {API_KEY}");
    let headers = [("Authorization", &*bearer), ("Idempotency-Key", "away")];
    let answer = http::request_with("POST", &url, &headers, Some(&body.to_string())).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    relay.set_refusing(false);
    assert!(fleet.settled(1).await);
    gateway.terminate();
    assert_eq!(gateway.wait_exit(END_LIMIT).await.unwrap().code(), Some(0));
    fleet.end_sender().await;
}

/// The command line: `submit` takes NDJSON and says what was accepted, names the bad line, and `trace` explains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_submits_and_explains() {
    need!("rabbitmq", "postgresql");
    let mut fleet = fleet("submit").await;
    let mut random = Random(4);
    let mut lines: Vec<String> = (0..200)
        .map(|sequence| {
            let content: Value = serde_json::from_str(&payload("hello", sequence)).unwrap();
            let (id, token) = (NotificationId::now(), random.token());
            json!({"id": id, "token": token, "topic": TOPIC, "user": "u-1", "ref": "r-1", "payload": content})
                .to_string()
        })
        .collect();
    let first: HashMap<String, Value> = serde_json::from_str(&lines[0]).unwrap();
    let id = first["id"].as_str().unwrap().to_owned();
    let file = fleet.site.path("pushes.ndjson");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let path = file.display().to_string();
    let (status, output) = run(&fleet, &["submit", "--json", "--pool", POOL, "--file", &path]).await;
    assert_eq!(status, Some(0), "{output}");
    let last: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let summary = &last["summary"];
    assert_eq!((&summary["submitted"], &summary["accepted"]), (&json!(200), &json!(200)), "{output}");
    assert!(fleet.settled(200).await);
    let books = fleet.books().await;
    assert_eq!(books.count(FinalVerdict::Accepted), 200, "{:?}", books.by_label());

    let (status, output) = run(&fleet, &["trace", "--json", &id]).await;
    assert_eq!(status, Some(0), "{output}");
    let trace: Value = serde_json::from_str(output.trim()).unwrap();
    let event = &trace["events"][0];
    assert_eq!(
        (&event["what"], &event["status"], &event["pool"]),
        (&json!("accepted"), &json!(200), &json!(POOL))
    );
    assert_eq!((&event["ref"], &event["sender"]), (&json!("r-1"), &json!("sender-1")), "P6: {output}");
    assert!(!output.contains(first["token"].as_str().unwrap()), "P9: the raw token is shown");
    let (status, _) = run(&fleet, &["trace", "--json", &NotificationId::now().to_string()]).await;
    assert_eq!(status, Some(1), "an id that nobody knows");

    lines.truncate(2);
    lines[1] = r#"{"token":"zz"}"#.to_owned();
    private_file(file.parent().unwrap(), "bad.ndjson", &lines.join("\n"));
    let bad = fleet.site.path("bad.ndjson").display().to_string();
    let (status, output) = run(&fleet, &["submit", "--json", "--pool", POOL, "--file", &bad]).await;
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("token") && output.contains("topic") && output.contains("payload"), "{output}");
    fleet.end_sender().await;
}

/// Runs a command with the fleet's configuration to its end.
async fn run(fleet: &Fleet, arguments: &[&str]) -> (Option<i32>, String) {
    let config = fleet.site.config(&fleet.engine).display().to_string();
    let program = skein(arguments.iter().copied().chain(["--config", &config])).unwrap();
    let mut child = program.start().unwrap();
    let status = child.wait_exit(RUN_LIMIT).await.unwrap();
    eprint!("{}", child.log());
    (status.code(), child.output())
}
