//! Registration, and P4: a token that was gone is valid again once it registers.

use skein_core::seam::{Ledger as _, LookUp};
use skein_core::{DeviceToken, NotificationId, NotificationKey};

use crate::support::{door, fingerprints};

const PATH: &str = "/v1/devices?pool=enterprise";

#[tokio::test]
async fn registers_one_and_many() {
    let door = door().await;
    let one = door.call("POST", PATH, r#"{"token":"AB12","user":"u-1","app":"im"}"#).await;
    assert_eq!((one.status, &one.json()["registered"]), (200, &1.into()), "{}", one.body);
    let many = door.call("POST", PATH, r#"[{"token":"cd"},{"token":"ef"}]"#).await;
    assert_eq!(many.json()["registered"], 2);

    let key = NotificationKey { id: NotificationId::now(), generation: 0 };
    for token in ["ab12", "cd", "ef"] {
        let token = fingerprints().token(&DeviceToken::parse(token).unwrap());
        let known = door.ledger.look_up(&[LookUp { key, token }]).await.unwrap();
        assert!(known[0].device.registered_at.is_some());
    }
}

#[tokio::test]
async fn names_every_fault_and_registers_none() {
    let door = door().await;
    let body = r#"[{"token":"cd"},{"token":"zz","user":""},{"app":"a\u0000"},7]"#;
    let bad = door.call("POST", PATH, body).await;
    assert_eq!(bad.problem(), (422, "invalid".to_owned()));
    assert_eq!(bad.fields(), ["[1].token", "[1].user", "[2].token", "[2].app", "[3].body"]);
    assert_eq!(door.call("POST", PATH, "[]").await.fields(), ["body"]);
    assert_eq!(door.call("POST", PATH, "x").await.problem(), (400, "not_json".to_owned()));
    let key = NotificationKey { id: NotificationId::now(), generation: 0 };
    let token = fingerprints().token(&DeviceToken::parse("cd").unwrap());
    let known = door.ledger.look_up(&[LookUp { key, token }]).await.unwrap();
    assert_eq!(known[0].device.registered_at, None);
}

#[tokio::test]
async fn the_ledger_away_is_told_with_retry_after() {
    let door = door().await;
    door.ledger.set_away(true);
    let away = door.call("POST", PATH, r#"{"token":"ab"}"#).await;
    assert_eq!(away.problem(), (503, "ledger_away".to_owned()));
    assert_eq!(away.header("retry-after"), Some("1"));
    let traced = door.call("GET", &format!("/v1/notifications/{}", NotificationId::now()), "").await;
    assert_eq!(traced.problem(), (503, "ledger_away".to_owned()));
}

#[tokio::test]
async fn an_unknown_id_has_no_trace() {
    let door = door().await;
    let none = door.call("GET", &format!("/v1/notifications/{}", NotificationId::now()), "").await;
    assert_eq!(none.problem(), (404, "unknown_notification".to_owned()));
    assert_eq!(door.call("GET", "/v1/notifications/x", "").await.fields(), ["id"]);
}
