//! The control endpoint, over plain HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use skein_apns_sim::Handle;

use crate::client::{Client, start, token};

pub fn http(address: SocketAddr, method: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

pub fn controlled() -> (Handle, SocketAddr) {
    let simulator = start(|config| config.control = Some(([127, 0, 0, 1], 0).into()));
    let address = simulator.control_addr().expect("it listens");
    (simulator, address)
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn faults_are_set_by_json_toml_and_preset() {
    let (simulator, address) = controlled();
    let set =
        |query: &str, kind: &str, body: &str| http(address, "POST", &format!("/faults{query}"), kind, body);
    assert_eq!(set("", "application/json", r#"{"request":{"gone":1.0}}"#).0, 200);
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 410);
    assert_eq!(set("", "application/toml", "[request]\ninternal_server_error = 1.0").0, 200);
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 500);
    assert_eq!(set("?preset=realistic", "application/json", "").0, 200);
    assert_eq!(simulator.faults(), skein_apns_sim::realistic());
    assert_eq!(set("?preset=none", "application/json", "").0, 200);
    for (query, body) in
        [("?preset=worse", ""), ("", r#"{"request":{"gone":2}}"#), ("", r#"{"gone":1}"#), ("", "x")]
    {
        let (status, body) = set(query, "application/json", body);
        assert_eq!(status, 400);
        assert!(json(&body)["error"].is_string());
    }
    let (status, body) = http(address, "GET", "/faults", "text/plain", "");
    assert_eq!((status, json(&body)["request"]["gone"].as_f64()), (200, Some(0.0)));
}

#[test]
fn a_stall_is_set_and_lifted() {
    let (simulator, address) = controlled();
    let set = |stall: &str| {
        http(address, "POST", "/stall", "application/json", &format!(r#"{{"stall":"{stall}"}}"#))
    };
    assert_eq!(set("answers").0, 200);
    let mut client = Client::connect(&simulator);
    let stream = client.send(&crate::client::fields(&token(1)), b"{}");
    client.ping();
    assert_eq!(simulator.stats().accepted, 0);
    assert_eq!(set("none").0, 200);
    assert_eq!(client.answer(stream).status, 200);
    assert_eq!(set("sometimes").0, 422);
}

#[test]
fn figures_log_devices_and_tokens_are_shown_and_forgotten() {
    let (simulator, address) = controlled();
    let get = |path: &str| http(address, "GET", path, "text/plain", "");
    let post = |path: &str, body: &str| http(address, "POST", path, "application/json", body);
    let mut client = Client::connect(&simulator);
    client.ask(&crate::client::fields(&token(5)), br#"{"aps":{"badge":3},"skein_seq":1}"#);
    let gone = format!(r#"{{"token":"{}","state":"gone"}}"#, token(6));
    assert_eq!(post("/tokens", &gone).0, 200);
    assert_eq!(post("/tokens", r#"{"token":"xyz","state":"gone"}"#).0, 400);
    assert_eq!(client.push(&token(6)).status, 410);

    let stats = json(&get("/stats").1);
    assert_eq!((stats["accepted"].as_u64(), stats["refused"]["Unregistered"].as_u64()), (Some(1), Some(1)));
    let log = get("/log").1;
    let rows: Vec<Value> = log.lines().map(json).collect();
    assert_eq!(
        (rows.len(), rows[0]["seq"].as_u64(), rows[1]["reason"].as_str()),
        (2, Some(1), Some("Unregistered"))
    );
    assert!(!log.contains(&token(5)), "P9: no raw token in the log");
    let device = json(&get(&format!("/devices/{}", token(5))).1);
    assert_eq!((device["badge"].as_u64(), device["delivered"].as_u64()), (Some(3), Some(1)));
    assert_eq!(get(&format!("/devices/{}", token(6))).0, 404);

    assert_eq!(post("/reset", "").0, 200);
    assert_eq!(get("/log").1, "");
    assert_eq!(client.push(&token(6)).status, 200, "its state is forgotten");
    assert_eq!(post("/goaway", "").0, 200);
    client.goaway();
    let mut client = Client::authorized(&simulator);
    assert_eq!(post("/disconnect", "").0, 200);
    assert!(client.closed().is_some());
}

#[test]
fn a_device_is_sent_offline_and_shows_what_survived() {
    let (simulator, address) = controlled();
    let post = |path: &str, body: &str| http(address, "POST", path, "application/json", body);
    let device = format!("/devices/{}", token(5));
    assert_eq!(post(&device, r#"{"online":false}"#).0, 200);
    assert_eq!(post("/devices/xyz", r#"{"online":false}"#).0, 400);
    let mut client = Client::connect(&simulator);
    for n in 1..4 {
        let body = format!(
            r#"{{"aps":{{"alert":{{"title":"Ann","body":"say {n}"}},"badge":{n}}},"skein_seq":{n}}}"#
        );
        assert_eq!(client.ask(&crate::client::fields(&token(5)), body.as_bytes()).status, 200);
    }
    let shown = json(&http(address, "GET", &device, "text/plain", "").1);
    assert_eq!((shown["delivered"].as_u64(), shown["online"].as_bool()), (Some(0), Some(false)));
    assert_eq!(
        (shown["overwritten"].as_u64(), shown["stored"][0]["text"].as_str()),
        (Some(2), Some("say 3"))
    );
    let shown = json(&post(&device, r#"{"online":true}"#).1);
    assert_eq!((shown["text"].as_str(), shown["badge"].as_u64()), (Some("say 3"), Some(3)));
    assert_eq!((shown["sequence"].as_u64(), shown["delivered"].as_u64()), (Some(3), Some(1)));
}

#[test]
fn credentials_are_made_and_unmade() {
    let (simulator, address) = controlled();
    let post = |path: &str, body: &str| http(address, "POST", path, "application/json", body);
    let pem = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let key = serde_json::json!({"key_id":"ABCDEFGHIJ","team_id":"TEAM567890","p8":pem,"topics":["com.example.im"]});
    assert_eq!(post("/keys", &key.to_string()).0, 200);
    let answer = Client::connect(&simulator).push(&token(1));
    assert_eq!(answer.reason().as_deref(), Some("InvalidProviderToken"), "signatures count now");
    assert_eq!(post("/keys/revoke", r#"{"key_id":"ABCDEFGHIJ"}"#).0, 200);
    assert_eq!(post("/keys/revoke", r#"{"key_id":"NOSUCHKEY0"}"#).0, 400);
    assert_eq!(post("/keys", r#"{"key_id":"A","team_id":"B","p8":"C"}"#).0, 400);

    let issued = json(&post("/certificates/issue", r#"{"bundle_id":"com.example.im","sandbox":true}"#).1);
    let text = |name: &str| issued[name].as_str().expect("PEM").to_owned();
    let pair = skein_apns_sim::authority::PemPair { certificate: text("certificate"), key: text("key") };
    let connect = || Client::try_connect(&simulator, &[b"h2"], Some(&pair)).map(|mut client| client.event());
    assert!(matches!(connect(), Ok(crate::client::Event::Settings(_))));
    let revoke = serde_json::json!({ "certificate": text("certificate") }).to_string();
    assert_eq!(post("/certificates/revoke", &revoke).0, 200);
    assert!(!matches!(connect(), Ok(crate::client::Event::Settings(_))));
    assert_eq!(post("/certificates/revoke", r#"{"certificate":"x"}"#).0, 400);
}

#[test]
fn the_wire_is_changed_piece_by_piece() {
    let (simulator, address) = controlled();
    let post = |body: &str| http(address, "POST", "/network", "application/json", body);
    assert_eq!(post(r#"{"rtt_ms":20}"#).0, 200);
    let shown = json(&post(r#"{"window_bytes":70000}"#).1);
    assert_eq!((shown["rtt_ms"].as_u64(), shown["window_bytes"].as_u64()), (Some(20), Some(70_000)));
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 200);
    assert!(simulator.log().rows[0].hold_ns() >= Some(20_000_000));
}

#[test]
fn a_wire_out_of_bounds_is_refused_and_changes_nothing() {
    let (simulator, address) = controlled();
    let before = simulator.network();
    for (body, bounds) in [
        (r#"{"window_bytes":0}"#, "16384 to 1073741824"),
        (r#"{"window_bytes":16383}"#, "16384 to 1073741824"),
        (r#"{"window_bytes":1073741825}"#, "16384 to 1073741824"),
        (r#"{"rtt_ms":10001}"#, "0 to 10000"),
        (r#"{"rtt_ms":4000000000,"window_bytes":70000}"#, "0 to 10000"),
    ] {
        let (status, answer) = http(address, "POST", "/network", "application/json", body);
        assert_eq!(status, 400, "{body}");
        assert!(json(&answer)["error"].as_str().is_some_and(|why| why.contains(bounds)), "{answer}");
        assert_eq!(simulator.network(), before, "{body}");
    }
    for body in [r#"{"rtt_ms":10000,"window_bytes":16384}"#, r#"{"rtt_ms":0,"window_bytes":1073741824}"#] {
        assert_eq!(http(address, "POST", "/network", "application/json", body).0, 200, "{body}");
    }
    assert_eq!((simulator.network().rtt_ms, simulator.network().window_bytes), (0, 1 << 30));
}

#[test]
fn an_unknown_path_is_answered_with_those_there_are() {
    let (_simulator, address) = controlled();
    let get = |path: &str| http(address, "GET", path, "text/plain", "");
    let (status, body) = get("/fault");
    assert_eq!(status, 404);
    let paths = json(&body)["paths"].as_array().expect("a list").clone();
    assert!(paths.len() > 10);
    for path in paths {
        let path = path.as_str().expect("a path").replace("{token}", "xyz");
        assert!(!get(&path).1.contains("no such path"), "{path}");
    }
}
