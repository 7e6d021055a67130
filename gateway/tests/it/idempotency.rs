//! Submitting again: by key and by id. P3: no copy that nobody asked for.

use std::time::Duration;

use futures_util::future::join_all;
use skein_core::fact::{Fact, Final};
use skein_core::seam::Ledger as _;
use skein_core::{DeviceToken, FinalVerdict, NotificationId, NotificationKey, Slot};
use skein_gateway::{Options, ServeOptions};

use crate::gated::Gated;
use crate::support::{ONE, door, door_over, fingerprints, one_with, pool};

#[tokio::test]
async fn ten_at_once_are_one_submission() {
    let door = door().await;
    let calls = (0..10).map(|_| door.submit_keyed("k1", ONE));
    let mut answers = Vec::new();
    for answer in join_all(calls).await {
        assert_eq!(answer.status, 202, "{}", answer.body);
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all got the same answer");
    assert_eq!(door.waiting(), 1, "one submission");
}

#[tokio::test]
async fn the_same_key_answers_the_same_and_refuses_another_body() {
    let door = door().await;
    let first = door.submit_keyed("k1", ONE).await;
    let second = door.submit_keyed("k1", ONE).await;
    assert_eq!((second.status, &second.body), (202, &first.body));
    let other = ONE.replace("hi", "ho");
    assert_eq!(door.submit_keyed("k1", &other).await.problem(), (409, "key_reused".to_owned()));
    assert_eq!(door.submit_keyed("k2", &other).await.status, 202);
    assert_eq!(door.waiting(), 2);
    assert_eq!(door.submit_keyed(&"k".repeat(256), ONE).await.fields(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let door = door().await;
    assert_eq!(door.submit_keyed("k1", "{}").await.status, 422);
    assert_eq!(door.submit_keyed("k1", ONE).await.status, 202);
}

#[tokio::test]
async fn an_open_request_goes_on_under_the_same_ids() {
    let door = door().await;
    door.broker.set_away(true);
    let away = door.submit_keyed("k1", ONE).await;
    assert_eq!(away.problem(), (503, "engine_away".to_owned()));
    door.broker.set_away(false);
    let done = door.submit_keyed("k1", ONE).await;
    assert_eq!((done.status, done.ids()), (202, away.ids()));
    assert_eq!(door.waiting(), 1);
}

#[tokio::test]
async fn only_what_was_not_accepted_is_submitted_again() {
    let door = door().await;
    door.broker.lose_confirms(1);
    let two = format!("[{ONE},{ONE}]");
    let part = door.submit_keyed("k1", &two).await;
    assert_eq!(part.status, 207);
    let before = door.waiting();
    let done = door.submit_keyed("k1", &two).await;
    assert_eq!((done.status, done.ids()), (202, part.ids()));
    assert_eq!(door.waiting(), before + 1, "the accepted one is not submitted again");
}

#[tokio::test]
async fn an_id_with_its_final_verdict_is_not_published_again() {
    let door = door().await;
    let id = NotificationId::now();
    let token = DeviceToken::parse("ab12").unwrap();
    let verdict = Final {
        key: NotificationKey { id, generation: 0 },
        pool: pool("enterprise"),
        verdict: FinalVerdict::Accepted,
        cause: "".into(),
        status: 200,
        token: fingerprints().token(&token),
        user: None,
        app: None,
        reference: None,
        collapse: None,
        submitted_at: None,
        at: id.at(),
        queue: 0,
        attempts: 1,
        duration_us: 1,
        payload_bytes: 2,
        possible_copy: false,
        repeat: false,
        badge: None,
        gone_at: None,
        slot: Slot::of(&token),
        sender: "s".into(),
    };
    door.ledger.record(&[Fact::Final(Box::new(verdict))]).await.unwrap();
    let again = door.submit(&one_with(&id.to_string())).await;
    assert_eq!((again.status, again.ids()), (202, vec![id.to_string()]));
    assert_eq!(door.waiting(), 0, "nothing was published");

    let traced = door.call("GET", &format!("/v1/notifications/{id}"), "").await;
    assert_eq!(traced.status, 200, "{}", traced.body);
    assert_eq!(traced.json()["events"][0]["what"], "accepted");

    door.ledger.set_away(true);
    let fresh = one_with(&NotificationId::now().to_string());
    assert_eq!(door.submit(&fresh).await.status, 202, "the ledger away stops no submission (P7)");
}

/// P1: what is begun is ended, though its caller was told that nobody knows.
#[tokio::test]
async fn past_the_deadline_the_work_goes_on() {
    let slow = Gated::default();
    let options = Options { request_deadline: Duration::from_millis(50), ..Options::default() };
    let door = door_over(options, ServeOptions::default(), slow.clone()).await;
    let late = door.submit_keyed("k1", ONE).await;
    assert_eq!(late.problem(), (503, "outcome_unknown".to_owned()));
    let under_way = door.submit_keyed("k1", ONE).await;
    assert_eq!(under_way.problem(), (503, "under_way".to_owned()));
    slow.gate.add_permits(1);
    let mut done = door.submit_keyed("k1", ONE).await;
    while done.problem().1 == "under_way" {
        done = door.submit_keyed("k1", ONE).await;
    }
    assert_eq!((done.status, done.ids()), (202, late.ids()));
    assert_eq!(slow.begun.available_permits(), 1, "one submission");
}
