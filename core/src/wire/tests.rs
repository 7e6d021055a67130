//! Golden messages, the schema, and what is refused.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::notification::{Draft, Fault};
use crate::{NotificationId, Slot};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn id(n: u8) -> NotificationId {
    NotificationId::new(NOW, [n; 10])
}

fn draft(n: u8) -> Draft {
    Draft::new("A0ff", "com.example.im").id(id(n)).payload_json("{\"aps\":{\"alert\":\"hi\"}}")
}

fn take(kind: &str, body: &[u8]) -> Result<Decoded, Malformed> {
    decode(kind, &Bytes::copy_from_slice(body), NOW, |_| true)
}

#[test]
fn golden_single() {
    let n = draft(1)
        .user("u-42")
        .app("im")
        .reference("r1")
        .badge(crate::Badge::Add(1))
        .collapse_id("c1")
        .expiration(Expiration::At(NOW.plus(std::time::Duration::from_secs(60))))
        .build(NOW)
        .unwrap();
    let body = encode(&n).unwrap();
    let golden = include_str!("../../tests/golden/notification.v1.json");
    assert_eq!(String::from_utf8(body.clone()).unwrap(), golden.trim_end());
    let back = take(NOTIFICATION_V1, golden.trim_end().as_bytes()).unwrap();
    assert_eq!(back.items.len(), 1);
    let b = &back.items[0];
    assert_eq!((b.id, &b.token, &b.user, b.badge, b.generation), (n.id, &n.token, &n.user, n.badge, 0));
    assert_eq!(b.content, n.content);
}

#[test]
fn golden_batch() {
    let mut list: Vec<_> = (1..=3).map(|k| draft(k).user("u").build(NOW).unwrap()).collect();
    let shared = Arc::clone(&list[0].content);
    list[1].content = shared;
    list[2].content = draft(3).payload_json("{\"aps\":{}}").build(NOW).unwrap().content;
    let body = encode_batch(&list).unwrap();
    let golden = include_str!("../../tests/golden/batch.v1.json");
    assert_eq!(String::from_utf8(body).unwrap(), golden.trim_end());
    let back = take(BATCH_V1, golden.trim_end().as_bytes()).unwrap();
    assert_eq!(back.items.iter().map(|i| i.id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert!(Arc::ptr_eq(&back.items[0].content, &back.items[1].content));
    assert_eq!(&*back.items[2].content.payload, b"{\"aps\":{}}");
    assert_eq!(back.submitted.unwrap().ids.len(), 3);
}

#[test]
fn schemas_are_checked_in() {
    for (kind, schema) in schemas() {
        let path = format!("{}/../producer-lib/schema/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("SKEIN_WRITE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(stored, text, "{path} is not what the types say: run with SKEIN_WRITE_SCHEMA=1");
    }
}

#[test]
fn three_states_of_expiration() {
    for (json, expected) in [
        ("", Expiration::Unset),
        (",\"expires_at\":null", Expiration::Unset),
        (",\"expires_at\":0", Expiration::NotStored),
        (",\"expires_at\":\"2001-01-01T00:00:00Z\"", Expiration::At(Timestamp::from_secs(978_307_200))),
    ] {
        let body =
            format!("{{\"id\":\"{}\",\"token\":\"a0\",\"topic\":\"t\",\"payload\":{{}}{json}}}", id(1));
        assert_eq!(
            take(NOTIFICATION_V1, body.as_bytes()).unwrap().items[0].content.expiration,
            expected,
            "{json}"
        );
    }
}

#[test]
fn only_own_slots_are_taken() {
    let tokens = ["a0", "a1", "a2", "a3"];
    let list: Vec<_> = tokens
        .iter()
        .enumerate()
        .map(|(k, t)| Draft::new(*t, "t").id(id(k as u8)).payload_json("{}").build(NOW).unwrap())
        .collect();
    let body = Bytes::from(encode_batch(&list).unwrap());
    let mine = list[2].slot();
    let decoded = decode(BATCH_V1, &body, NOW, |s| s == mine).unwrap();
    assert_eq!(decoded.items.iter().map(|n| n.id).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(decoded.submitted, None);
    let first = list[0].slot();
    let decoded = decode(BATCH_V1, &body, NOW, |s| s == first).unwrap();
    let mut slots: Vec<Slot> = list.iter().map(|n| n.slot()).collect();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(decoded.submitted, Some(Submitted { ids: list.iter().map(|n| n.id).collect(), slots }));
}

#[test]
fn bodies_of_no_use() {
    assert_eq!(take("skein.notification.v9", b"{}").unwrap_err(), Malformed::UnknownType);
    assert!(matches!(take(NOTIFICATION_V1, b"{").unwrap_err(), Malformed::NotJson { .. }));
    assert!(matches!(take(NOTIFICATION_V1, b"\xff\xfe").unwrap_err(), Malformed::NotJson { .. }));
    assert_eq!(take(BATCH_V1, b"{\"items\":[]}").unwrap_err(), Malformed::Items(0));
    assert_eq!(
        take(NOTIFICATION_V1, &vec![b' '; BODY_BYTES_MAX + 1]).unwrap_err(),
        Malformed::TooLong(BODY_BYTES_MAX + 1)
    );
}

#[test]
fn a_bad_item_leaves_its_neighbours_alone() {
    let body = format!(
        "{{\"topic\":\"t\",\"payload\":{{}},\"items\":[{{\"id\":\"{}\",\"token\":\"a0\"}},{{\"id\":\"{}\",\"token\":\"zz\"}},{{\"id\":7,\"token\":\"a0\",\"user\":3}}]}}",
        id(1),
        id(2)
    );
    let decoded = take(BATCH_V1, body.as_bytes()).unwrap();
    assert_eq!(decoded.items.len(), 1);
    assert_eq!(decoded.bad.len(), 2);
    assert_eq!(decoded.bad[0].id, Some(id(2)));
    let fields = |faults: &[Fault]| faults.iter().map(|f| f.field.clone()).collect::<Vec<_>>();
    assert_eq!(fields(&decoded.bad[1].faults), ["items[2].user", "items[2].id"]);
}

#[test]
fn faults_show_no_value() {
    let body = b"{\"id\":\"secret-id\",\"token\":\"secret-token\",\"topic\":\"t\",\"payload\":[\"secret-payload\"],\"user\":\"secret\\u0000\"}";
    let decoded = take(NOTIFICATION_V1, body).unwrap();
    let text = format!("{:?}", decoded.bad);
    assert!(!text.contains("secret"), "P9: {text}");
    assert_eq!(decoded.bad[0].faults.len(), 4);
}

#[test]
fn an_id_from_the_wrong_day() {
    let body = |at: i64, submitted: &str| {
        let id = NotificationId::new(Timestamp::from_secs(at), [1; 10]);
        format!("{{\"id\":\"{id}\",\"token\":\"a0\",\"topic\":\"t\",\"payload\":{{}}{submitted}}}")
    };
    let ok = |text: String| take(NOTIFICATION_V1, text.as_bytes()).unwrap().bad.is_empty();
    let (now, day) = (NOW.as_secs(), 86_400);
    assert!(ok(body(now - day + 5, "")));
    assert!(!ok(body(now - day - 5, "")));
    assert!(!ok(body(now + day + 5, "")));
    let waited = format!(",\"submitted_at\":\"{}\"", Timestamp::from_secs(now - 9 * day));
    assert!(ok(body(now - 9 * day, &waited)), "it may wait in its queue for days");
    assert!(!ok(body(now - 11 * day, &waited)));
}

#[test]
fn drafts_of_a_caller() {
    let made = read_drafts(b"{\"token\":\"a0\",\"topic\":\"t\",\"payload\":{}}", NotificationId::now().at())
        .unwrap();
    assert!(made[0].content.submitted_at.is_some());
    let faults = read_drafts(
        b"{\"topic\":\"t\",\"payload\":{},\"items\":[{\"token\":\"zz\"},{}]}",
        NotificationId::now().at(),
    )
    .unwrap_err();
    assert_eq!(
        faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
        ["items[0].token", "items[1].token"]
    );
}

#[test]
fn a_trace_goes_along_and_never_costs_a_push() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace_of = |body: &[u8]| take(NOTIFICATION_V1, body).unwrap().items[0].content.trace;
    let body = encode(&draft(1).traceparent(TRACE).build(NOW).unwrap()).unwrap();
    assert_eq!(trace_of(&body).unwrap().to_string(), TRACE);
    let text = String::from_utf8(body).unwrap();
    for unreadable in ["\"00-zz\"", "7", "null", "{\"a\":[]}"] {
        let body = text.replace(&format!("\"{TRACE}\""), unreadable);
        assert_ne!(body, text);
        assert_eq!(trace_of(body.as_bytes()), None, "{unreadable}");
    }
}
