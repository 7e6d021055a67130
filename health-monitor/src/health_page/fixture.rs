//! A fleet on a bad day, for the page's tests: a sender gone, a queue without its owner, a breaker open, a name that is markup.

use std::time::Duration;

use serde_json::json;
use skein_core::Timestamp;

use crate::api::{Fleet, HISTORY_SECONDS, History, Line};

pub(crate) fn fleet() -> Fleet {
    let life = "00000000-0000-0000-0000-000000000001";
    let queue = |n: u32, state: &str, owner: Option<&str>, depth: Option<u64>| {
        json!({"queue": format!("im.q{n}"), "state": state, "owner": owner, "incarnation": owner.map(|_| life), "epoch": 7 + n,
               "cause": "broker_dead", "successor": null, "paused": state == "paused", "prefetch": 128, "ready": depth,
               "unacked": depth.map(|_| 3), "depth": depth.map(|n| n + 3), "oldest_ms": depth.map(|n| n * 10),
               "in_per_second": 61.5, "out_per_second": depth.map(|_| 60.0)})
    };
    let sender = |name: &str, state: &str, there: bool| {
        json!({"member": name, "state": state, "incarnation": there.then_some(life), "host": there.then_some("<b>host</b>"),
               "zone": null, "version": there.then_some("0.1.0"), "since": null, "queues": ["im.q0"], "per_second": there.then_some(1250),
               "in_flight": there.then_some(40), "held": there.then_some(9), "delay_ms": there.then_some(42), "weight": 10,
               "apns": there.then_some("healthy"), "broker": there.then_some("healthy"), "ledger": there.then_some("cut_off"),
               "lease": there.then_some("open"), "draining": false, "quarantined": false, "succeeds": null, "connections": null,
               "gone_at": (!there).then_some("2026-11-21T11:59:29Z")})
    };
    let fleet = Fleet::default();
    let mut value = serde_json::to_value(&fleet).unwrap();
    value["at"] = json!("2026-11-21T12:00:00Z");
    value["monitor"] = json!({"name": "monitor-1", "leads": true, "row": ["monitor-1", "monitor-2"], "passes": 9, "pass_ms": 3});
    value["broker"]["state"] = json!("up");
    value["queues"] = json!([
        queue(0, "owned", Some("sender-1"), Some(12)),
        queue(1, "owner_gone", Some("sender-2"), Some(1_900)),
        queue(2, "paused", None, None),
    ]);
    value["senders"] =
        json!([sender("sender-1", "present", true), sender("sender-2", "session_gone", false)]);
    value["credentials"] = json!([{"pool": "im", "member": "sender-1", "apns": "refused", "state": "in_use",
        "environment": "sandbox", "topics": ["com.example.im"], "kind": "certificate", "expires_at": "2026-12-01T00:00:00Z",
        "days_left": 9, "paused": "APNs refuses the certificate: <script>alert(1)</script>", "trouble": null}]);
    value["plan"] = json!({"wakes_in_ms": 400, "held": [{"what": "restart", "why": "sender-2 may be restarting", "alarms": false}],
        "moves": [{"queue": "im.q1", "change": "assign", "from": "sender-2", "to": "sender-1", "cause": "broker_dead",
                   "why": "sender-2's connection is closed"}]});
    value["done"] = json!([{"at": "2026-11-21T11:59:30Z", "epoch": 7, "queue": "im.q0", "change": "assign", "from": "sender-2",
        "to": "sender-1", "cause": "broker_dead", "why": "sender-2's connection is closed"}]);
    value["alarms"] = json!([{"level": "critical", "what": "owner_gone", "why": "im.q1 has lost its owner"}]);
    serde_json::from_value(value).unwrap()
}

pub(crate) fn history() -> History {
    let from = Timestamp::parse("2026-11-21T12:00:00Z")
        .unwrap()
        .minus(Duration::from_secs(HISTORY_SECONDS as u64 - 1));
    let fleet = Line {
        kind: "fleet".to_owned(),
        name: String::new(),
        rate: (0..HISTORY_SECONDS).map(|n| (n > 400).then_some(500.0 + (n % 40) as f32)).collect(),
        delay_ms: (0..HISTORY_SECONDS).map(|n| (n != 600).then_some(40 + n as u32 % 7)).collect(),
        backlog: (0..HISTORY_SECONDS)
            .map(|n| Some(if n > 870 { 30 * (n as u64 - 870) } else { 12 }))
            .collect(),
    };
    History { from, step_ms: 1000, lines: vec![fleet] }
}
