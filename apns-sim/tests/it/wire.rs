//! The wire that is played: round trip and windows.

use std::time::{Duration, Instant};

use skein_apns::frame::error_code;
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

#[test]
fn a_window_is_returned_when_the_client_can_know_it() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    simulator.set_network(Network { rtt_ms: 1000, ..simulator.network() });
    let body = vec![b'x'; 4096];
    let streams: Vec<u32> = (0..15).map(|n| client.queue(&fields(&token(n)), &body)).collect();
    client.flush().expect("sent");
    let mut hasty = Client::authorized(&simulator);
    for n in 0..17 {
        hasty.queue(&fields(&token(n)), &body);
    }
    let _ = hasty.flush();
    assert_eq!(hasty.goaway().1, error_code::FLOW_CONTROL_ERROR, "its window was still on its way");
    assert_eq!(simulator.stats().protocol_errors, 1);

    assert_eq!(client.answer(streams[14]).status, 200);
    client.ping();
    let streams: Vec<u32> = (0..12).map(|n| client.queue(&fields(&token(n)), &body)).collect();
    client.flush().expect("sent");
    assert_eq!(client.answer(streams[11]).status, 200, "at least three quarters of its window are back");
}
