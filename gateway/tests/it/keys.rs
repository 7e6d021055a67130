//! Who may come in. P9: no key, hash or token in an answer.

use crate::support::{NARROW_KEY, ONE, access, door};

const PATH: &str = "/v1/notifications?pool=enterprise";

#[tokio::test]
async fn without_a_valid_key_nobody_comes_in() {
    let door = door().await;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Basic key-of-the-backend")],
        vec![("authorization", "key-of-the-backend")],
    ] {
        for (method, path) in
            [("POST", PATH), ("POST", "/v1/devices?pool=enterprise"), ("GET", "/v1/notifications/x")]
        {
            let response = door.call_with(method, path, &headers, ONE).await;
            assert_eq!(response.problem(), (401, "unauthorized".to_owned()), "{method} {path} {headers:?}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert!(!response.body.contains("key-of"), "no key is repeated");
        }
    }
    assert_eq!(door.waiting(), 0);
}

#[tokio::test]
async fn a_key_opens_its_own_pools() {
    let door = door().await;
    let headers = [("authorization", &*format!("bearer {NARROW_KEY}"))];
    let mine = door.call_with("POST", "/v1/notifications?pool=developer", &headers, ONE).await;
    assert_eq!(mine.status, 202, "{}", mine.body);
    let foreign = door.call_with("POST", PATH, &headers, ONE).await;
    assert_eq!(foreign.problem(), (403, "pool_forbidden".to_owned()));
    let devices = door.call_with("POST", "/v1/devices?pool=enterprise", &headers, ONE).await;
    assert_eq!(devices.problem(), (403, "pool_forbidden".to_owned()));
}

#[tokio::test]
async fn keys_are_replaced_while_running() {
    let door = door().await;
    assert_eq!(door.submit(ONE).await.status, 202);
    let mut other = access();
    other.keys.remove(0);
    door.gateway.replace_access(other);
    assert_eq!(door.submit(ONE).await.problem(), (401, "unauthorized".to_owned()));
}
