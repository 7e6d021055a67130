//! The wire that is played: round trip and windows.

use std::time::{Duration, Instant};

use skein_apns_sim::Network;

use crate::client::{Client, Event, fields, start, token};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

#[test]
fn everything_takes_a_round_trip_and_keeps_its_order() {
    let simulator = start(|config| config.rtt_ms = 40);
    let mut client = Client::authorized(&simulator);
    let began = Instant::now();
    client.ping();
    assert!(began.elapsed() >= Duration::from_millis(40), "PINGs travel too");
    let streams: Vec<u32> = (0..100).map(|n| client.send(&fields(&token(n)), BODY)).collect();
    let answered: Vec<u32> = (0..100)
        .map(|_| {
            client.wait(|event| match event {
                Event::Headers { stream, .. } => Some(*stream),
                _ => None,
            })
        })
        .collect();
    assert_eq!(answered, streams);
    let rows = simulator.log().rows;
    assert_eq!(rows.len(), 101);
    assert!(
        rows.iter().all(|row| row.hold_ns() >= Some(40_000_000)),
        "a reader can tell the wire from the client"
    );
}

#[test]
fn the_wire_changes_while_connections_are_open() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    simulator.set_network(Network { rtt_ms: 30, ..simulator.network() });
    assert_eq!(client.push(&token(1)).status, 200);
    simulator.set_network(Network { rtt_ms: 0, window_bytes: 100_000 });
    assert_eq!(client.push(&token(2)).status, 200);
    let holds: Vec<_> = simulator.log().rows.iter().map(|row| row.hold_ns().unwrap_or(0)).collect();
    assert!(holds[1] >= 30_000_000, "{holds:?}");
    let mut client = Client::try_connect(&simulator, &[b"h2"], None).expect("connected");
    let window = client.wait(|event| match event {
        Event::Settings(settings) => settings.iter().find(|(id, _)| *id == 4).map(|(_, bytes)| *bytes),
        _ => None,
    });
    assert_eq!(window, 100_000);
}

#[test]
fn what_is_on_its_way_when_the_client_ends_is_still_acted_on() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    simulator.set_network(Network { rtt_ms: 40, ..simulator.network() });
    client.send(&fields(&token(1)), BODY);
    drop(client);
    while simulator.stats().connections_open > 0 {
        std::thread::yield_now();
    }
    assert_eq!(simulator.log().rows.len(), 2);
}
