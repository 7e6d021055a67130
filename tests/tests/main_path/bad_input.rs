//! Bad input: a dead letter with its reason where only the queue sees it, every fault in one answer where the gateway does;
//! neighbours unharmed.

use std::time::Duration;

use lapin::message::Delivery;
use serde_json::{Value, json};
use skein_apns_sim::{Faults, checker::FinalVerdict};
use skein_backends::rabbitmq::DEAD_QUEUE;
use skein_core::{
    DeviceToken, NotificationId, Slot,
    wire::{BATCH_V1, BODY_BYTES_MAX, NOTIFICATION_V1},
};
use skein_tests::{
    http, need,
    services::{PostgreSql, RabbitMq},
    until,
};

use crate::{
    books::number,
    fleet::{FLOW_LIMIT, Fleet, START_LIMIT, Services},
    keys::API_KEY,
    load::{Random, payload},
    site::{POOL, TOPIC},
};

const DAY: Duration = Duration::from_secs(86_400);

/// A sound notification that a case spoils.
fn sound(random: &mut Random) -> Value {
    let payload: Value = serde_json::from_str(&payload("hello", 0)).unwrap();
    json!({"id": NotificationId::now(), "token": random.token(), "topic": TOPIC, "payload": payload})
}

/// Spoils a field of a sound one.
fn spoilt(random: &mut Random, field: &str, value: Value) -> Value {
    let mut body = sound(random);
    body[field] = value;
    body
}

/// A payload of exactly so many bytes.
fn long_payload(bytes: usize) -> Value {
    let frame = r#"{"aps":{},"x":""}"#.len();
    json!({"aps": {}, "x": "x".repeat(bytes - frame)})
}

fn distant(days: u32, past: bool) -> Value {
    let now = NotificationId::now().at();
    let at = if past { now.minus(days * DAY) } else { now.plus(days * DAY) };
    json!(NotificationId::new(at, [9; 10]))
}

/// What a case publishes, and what the dead letter must say.
struct Case {
    kind: &'static str,
    body: Vec<u8>,
    reason: &'static str,
    /// A word of the detail: the field at fault.
    detail: &'static str,
}

fn cases(random: &mut Random) -> Vec<Case> {
    let body = |value: Value| serde_json::to_vec(&value).unwrap();
    let malformed =
        |detail, value: Value| Case { kind: NOTIFICATION_V1, body: body(value), reason: "malformed", detail };
    let mut truncated = body(sound(random));
    truncated.pop();
    let bad_item = json!({"topic": TOPIC, "payload": {"aps": {}}, "items": [
        {"id": NotificationId::now(), "token": "zz"}
    ]});
    vec![
        Case { kind: NOTIFICATION_V1, body: truncated, reason: "not_json", detail: "line 1" },
        Case { kind: NOTIFICATION_V1, body: b"\xff\xfe\x00".to_vec(), reason: "not_json", detail: "line 1" },
        Case { kind: NOTIFICATION_V1, body: Vec::new(), reason: "not_json", detail: "line 1" },
        Case {
            kind: "skein.notification.v9",
            body: body(sound(random)),
            reason: "unknown_type",
            detail: "v1",
        },
        Case { kind: "", body: body(sound(random)), reason: "unknown_type", detail: "v1" },
        Case {
            kind: NOTIFICATION_V1,
            body: body(spoilt(random, "payload", long_payload(BODY_BYTES_MAX))),
            reason: "body_too_long",
            detail: "at most",
        },
        Case {
            kind: BATCH_V1,
            body: body(json!({"topic": TOPIC, "items": []})),
            reason: "bad_item_count",
            detail: "0",
        },
        Case { kind: BATCH_V1, body: body(bad_item), reason: "malformed", detail: "token" },
        malformed("payload", spoilt(random, "payload", long_payload(4097))),
        malformed("collapse_id", spoilt(random, "collapse_id", json!("c".repeat(65)))),
        malformed("collapse_id", spoilt(random, "collapse_id", json!("ü".repeat(33)))),
        malformed("token", spoilt(random, "token", json!("not hexadecimal"))),
        malformed("token", spoilt(random, "token", json!("abc"))),
        malformed("id", spoilt(random, "id", distant(2, true))),
        malformed("id", spoilt(random, "id", distant(2, false))),
        malformed("id", spoilt(random, "id", json!("123e4567-e89b-42d3-a456-426614174000"))),
        malformed("user", spoilt(random, "user", json!("a\u{0}b"))),
        malformed("ref", spoilt(random, "ref", json!("r".repeat(257)))),
        malformed("topic", spoilt(random, "topic", json!(""))),
        malformed("expires_at", spoilt(random, "expires_at", json!("tomorrow"))),
    ]
}

fn header(letter: &Delivery, name: &str) -> String {
    let headers = letter.properties.headers().as_ref().expect("a dead letter has headers");
    let value = headers.inner().get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"));
    skein_producer::link::header_text(value).expect("text").to_owned()
}

/// P1: each ends in `skein.dead` with its reason and its body as it came; the sound one before and behind it is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_is_a_dead_letter_with_its_reason() {
    need!("rabbitmq", "postgresql");
    let services = Services::direct(RabbitMq::shared().await.unwrap(), PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::start("bad", services, Faults::default()).await;
    let client = fleet.client().await;
    let exchange = format!("skein.{POOL}");
    let mut random = Random(7);
    let cases = cases(&mut random);
    let mut neighbours = Vec::new();
    for case in &cases {
        let neighbour = sound(&mut random);
        let token = DeviceToken::parse(neighbour["token"].as_str().unwrap()).unwrap();
        let slot = Slot::of(&token).number().to_string();
        let id = neighbour["id"].as_str().unwrap();
        // Into the same queue, so that it would be stuck behind a bad one.
        client.publish(&exchange, &slot, case.kind, None, &case.body).await;
        client
            .publish(&exchange, &slot, NOTIFICATION_V1, Some(id), &serde_json::to_vec(&neighbour).unwrap())
            .await;
        neighbours.push(number(id));
    }
    let past = spoilt(&mut random, "expires_at", json!("2020-01-01T00:00:00Z"));
    client.publish(&exchange, "0", NOTIFICATION_V1, None, &serde_json::to_vec(&past).unwrap()).await;
    let past = number(past["id"].as_str().unwrap());

    let mut letters = client.take(DEAD_QUEUE, cases.len()).await;
    for case in &cases {
        let at = letters.iter().position(|letter| letter.data == case.body);
        let letter = letters
            .swap_remove(at.unwrap_or_else(|| panic!("no dead letter of {} {}", case.reason, case.detail)));
        assert_eq!(header(&letter, "x-skein-reason"), case.reason, "{}", case.detail);
        let detail = header(&letter, "x-skein-detail");
        assert!(detail.contains(case.detail), "{detail:?} names {}", case.detail);
        assert_eq!(header(&letter, "x-skein-type"), case.kind);
        assert!(header(&letter, "x-skein-queue").starts_with(POOL));
    }
    let done = async || {
        let books = fleet.books().await;
        neighbours.iter().chain([&past]).all(|id| books.verdicts.contains_key(id)).then_some(books)
    };
    let books = until("the neighbours' verdicts", FLOW_LIMIT, done).await.unwrap();
    let verdict = |id: &u128| books.verdicts[id];
    assert!(neighbours.iter().all(|id| verdict(id) == FinalVerdict::Accepted), "{:?}", books.by_label());
    assert_eq!(
        verdict(&past),
        FinalVerdict::Expired,
        "a time that passed in the queue is a verdict, not a fault"
    );
    let read: Vec<u128> = fleet.site.simulator.log().rows.iter().map(|row| row.id()).collect();
    assert_eq!(read.len(), neighbours.len(), "APNs got the neighbours and nothing else");
    let dead = books.count(FinalVerdict::Dead);
    assert!(dead >= 9, "what has a readable id of these days has verdict dead: {:?}", books.by_label());
    fleet.end_sender().await;
}

/// Each fault is named at once, with its field; nothing of the request is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_names_every_fault() {
    need!("rabbitmq", "postgresql");
    let services = Services::direct(RabbitMq::shared().await.unwrap(), PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::start("bad_http", services, Faults::default()).await;
    let (mut gateway, pages) = fleet.start_role(&["run", "gateway"]);
    let ready = format!("http://127.0.0.1:{}/readyz", pages.number());
    gateway.wait_ready(&ready, START_LIMIT).await.unwrap();
    let front = fleet.site.front();
    let bearer = format!("Bearer {API_KEY}");
    let post = async |pool: &str, key: &str, body: &str| {
        let url = format!("{front}/v1/notifications?pool={pool}");
        http::request_with("POST", &url, &[("Authorization", key)], Some(body)).await.unwrap()
    };

    let mut random = Random(8);
    let mut all = sound(&mut random);
    for (field, value) in [
        ("id", distant(2, true)),
        ("token", json!("zz")),
        ("collapse_id", json!("c".repeat(65))),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("user", json!("a\u{0}b")),
        ("payload", long_payload(4097)),
    ] {
        let one = spoilt(&mut random, field, value.clone());
        let answer = post(POOL, &bearer, &one.to_string()).await;
        assert_eq!(fields(&answer), [field], "{answer:?}");
        all[field] = value;
    }
    let mut named = fields(&post(POOL, &bearer, &all.to_string()).await);
    named.sort_unstable();
    assert_eq!(named, ["collapse_id", "expires_at", "id", "payload", "token", "user"]);

    let good = sound(&mut random).to_string();
    assert_eq!(post("nobody", &bearer, &good).await.status, 404);
    assert_eq!(post(POOL, "Bearer wrong", &good).await.status, 401);
    assert_eq!(post(POOL, &bearer, &good[1..]).await.status, 400);
    let answer = post(POOL, &bearer, &good).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(fleet.settled(1).await);
    assert_eq!(fleet.site.simulator.log().rows.len(), 1, "only the good one was sent");
    gateway.terminate();
    assert_eq!(gateway.wait_exit(START_LIMIT).await.unwrap().code(), Some(0));
    fleet.end_sender().await;
}

/// The fields that an answer of 422 blames.
fn fields(answer: &http::Response) -> Vec<String> {
    assert_eq!(answer.status, 422, "{answer:?}");
    let body = answer.json().unwrap();
    let faults = body["faults"].as_array().expect("faults");
    faults.iter().map(|fault| fault["field"].as_str().unwrap().to_owned()).collect()
}
