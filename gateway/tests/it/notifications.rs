//! Submitting: every shape and every status.

use serde_json::json;
use skein_core::NotificationId;

use crate::support::{ONE, door, one_with};

#[tokio::test]
async fn one_many_and_shared_are_accepted_in_order() {
    let door = door().await;
    let one = door.submit(ONE).await;
    assert_eq!(one.status, 202, "{}", one.body);
    assert_eq!(one.json()["accepted"], 1);
    NotificationId::parse(&one.ids()[0]).expect("a made id");

    let ids = [NotificationId::now().to_string(), NotificationId::now().to_string()];
    let many = door.submit(&format!("[{},{}]", one_with(&ids[1]), one_with(&ids[0]))).await;
    assert_eq!((many.status, many.ids()), (202, vec![ids[1].clone(), ids[0].clone()]));

    let shared = json!({"topic": "com.example.im", "payload": {"aps": {"alert": "hi"}},
        "items": [{"token": "aa"}, {"token": "bb", "badge": {"add": 1}}, {"token": "cc", "user": "u"}]});
    let shared = door.submit(&shared.to_string()).await;
    assert_eq!((shared.status, shared.ids().len()), (202, 3), "{}", shared.body);
    assert_eq!(shared.json()["pool"], "enterprise");
    assert!(door.waiting() >= 4);
}

#[tokio::test]
async fn every_fault_is_named_and_nothing_is_accepted() {
    let door = door().await;
    let past = "2020-01-01T00:00:00Z";
    let old = "01000000-0000-7000-8000-000000000000";
    let long = "x".repeat(4096);
    let table = [
        (json!({}), vec!["token", "topic", "payload"]),
        (json!({"token": "xyz", "topic": "com.example.im", "payload": {}}), vec!["token"]),
        (json!({"token": "ab", "topic": "com.example.im", "payload": {"a": long}}), vec!["payload"]),
        (
            json!({"token": "ab", "topic": "com.example.im", "payload": {}, "collapse_id": "c".repeat(65)}),
            vec!["collapse_id"],
        ),
        (
            json!({"token": "ab", "topic": "com.example.im", "payload": {}, "expires_at": past}),
            vec!["expires_at"],
        ),
        (json!({"token": "ab", "topic": "com.example.im", "payload": {}, "id": old}), vec!["id"]),
        (json!({"token": "ab", "topic": "com.example.im", "payload": {}, "user": "a\u{0}b"}), vec!["user"]),
        (json!({"token": "ab", "topic": "com.example.im", "payload": {}, "ref": "a\u{0}b"}), vec!["ref"]),
        (json!({"token": "ab", "topic": "com.example.other", "payload": {}}), vec!["topic"]),
        (
            json!({"token": "ab", "topic": "com.example.im", "payload": {}, "push_type": "shout", "priority": 3}),
            vec!["push_type", "priority"],
        ),
        (
            json!({"topic": "com.example.im", "payload": {}, "items": [{"token": "aa"}, {"token": ""}]}),
            vec!["items[1].token"],
        ),
        (
            json!([{"token": "ab", "topic": "com.example.im", "payload": {}}, {"token": "ab"}]),
            vec!["[1].topic", "[1].payload"],
        ),
        (json!([]), vec!["items"]),
        (json!("text"), vec!["body"]),
    ];
    for (body, fields) in table {
        let response = door.submit(&body.to_string()).await;
        assert_eq!(response.problem(), (422, "invalid".to_owned()), "{}", response.body);
        assert_eq!(response.fields(), fields, "{body}");
        assert!(!response.body.contains("xyz"), "no value of a token is repeated");
    }
    assert_eq!(door.waiting(), 0);
}

#[tokio::test]
async fn limits_are_exact_to_the_byte() {
    let door = door().await;
    let body = |n: usize| {
        format!(r#"{{"token":"ab","topic":"com.example.im","payload":{{"a":"{}"}}}}"#, "x".repeat(n - 8))
    };
    assert_eq!(door.submit(&body(4096)).await.status, 202);
    assert_eq!(door.submit(&body(4097)).await.fields(), ["payload"]);
}

#[tokio::test]
async fn what_is_no_json_or_no_pool_or_no_route_is_told_apart() {
    let door = door().await;
    assert_eq!(door.submit("{\"token\":").await.problem(), (400, "not_json".to_owned()));
    assert_eq!(door.submit("").await.problem(), (400, "not_json".to_owned()));
    let unknown = door.call("POST", "/v1/notifications?pool=nowhere", ONE).await;
    assert_eq!(unknown.problem(), (404, "unknown_pool".to_owned()));
    let unnamed = door.call("POST", "/v1/notifications", ONE).await;
    assert_eq!((unnamed.status, unnamed.fields()), (422, vec!["pool".to_owned()]));
    assert_eq!(door.call("GET", "/v2", "").await.problem(), (404, "no_such_route".to_owned()));
    let method = door.call("PUT", "/v1/notifications?pool=enterprise", ONE).await;
    assert_eq!(method.problem(), (405, "method_not_allowed".to_owned()));
}

#[tokio::test]
async fn an_engine_that_does_not_take_it_is_named_with_retry_after() {
    let door = door().await;
    door.broker.set_away(true);
    let away = door.submit(ONE).await;
    assert_eq!(away.problem(), (503, "engine_away".to_owned()));
    assert_eq!(away.header("retry-after"), Some("1"));
    assert_eq!(away.json()["items"][0]["outcome"], "not_accepted");
    door.broker.set_away(false);

    door.broker.set_messages_max(0);
    let full = door.submit(ONE).await;
    assert_eq!(full.problem(), (503, "back_pressure".to_owned()), "{}", full.body);
    assert_eq!(full.header("retry-after"), Some("1"));
    assert_eq!(door.waiting(), 0);
}

#[tokio::test]
async fn an_outcome_nobody_knows_says_so_with_the_ids() {
    let door = door().await;
    door.broker.lose_confirms(1);
    let unknown = door.submit(ONE).await;
    assert_eq!(unknown.problem(), (503, "outcome_unknown".to_owned()));
    assert_eq!(unknown.json()["items"][0]["outcome"], "unknown");
    NotificationId::parse(&unknown.ids()[0]).expect("the id to submit again with");
}

#[tokio::test]
async fn part_of_a_request_is_named_item_by_item() {
    let door = door().await;
    door.broker.lose_confirms(1);
    let part = door.submit(&format!("[{ONE},{ONE}]")).await;
    assert_eq!(part.status, 207, "{}", part.body);
    let json = part.json();
    assert_eq!((&json["accepted"], &json["unknown"]), (&json!(1), &json!(1)));
    assert_eq!(json["items"][0]["outcome"], "unknown");
    assert_eq!(json["items"][1]["outcome"], "accepted");
}
