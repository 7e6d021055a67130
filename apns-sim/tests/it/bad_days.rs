//! Mixed faults, phases, presets, and servers that break HTTP/2.

use std::collections::BTreeSet;

use skein_apns_sim::Handle;
use skein_apns_sim::faults::{Faults, Hostility, everything, preset};

use crate::client::{Client, Event, fields, id, start, token, with};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

#[test]
fn a_phase_begins_and_ends_by_the_clock() {
    let simulator = start(|config| {
        config.faults = Faults::from_toml(
            "[[phase]]\nafter_ms = 0\nfor_ms = 300\n[phase.request]\nservice_unavailable = 1.0",
        )
        .expect("sound");
    });
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 503);
    while Client::connect(&simulator).push(&token(1)).status != 200 {}
    assert_eq!(simulator.faults().phases.len(), 1, "what was set is still shown");
    let counts = simulator.stats();
    assert_eq!(counts.accepted + counts.refused.iter().map(|(_, count)| count).sum::<u64>(), counts.requests);
}

#[test]
fn a_wedged_connection_refuses_everything_and_another_does_not() {
    let simulator = start(|config| config.faults.connection.wedge_every = 2);
    let mut client = Client::authorized(&simulator);
    for n in 0..3 {
        let answer = client.push(&token(n));
        assert_eq!((answer.status, answer.reason().as_deref()), (403, Some("ExpiredProviderToken")));
    }
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 200);
    assert_eq!(simulator.stats().wedges, 1);
}

#[test]
fn a_server_breaks_http_2_in_eight_ways() {
    for hostility in [
        Hostility::OversizedFrame,
        Hostility::BadHpack,
        Hostility::HpackInteger,
        Hostility::HeaderFlood,
        Hostility::ZeroWindow,
        Hostility::WindowOverflow,
        Hostility::UnknownStream,
        Hostility::PushPromise,
    ] {
        let simulator = start(|config| {
            config.faults.connection.hostile_every = 2;
            config.faults.connection.hostile = Some(hostility);
        });
        let mut client = Client::authorized(&simulator);
        client.send(&fields(&token(1)), BODY);
        let (kind, bytes) = client.raw_frame();
        assert!(bytes > 0, "{hostility:?} came as a frame of type {kind}");
        assert_eq!(simulator.stats().hostilities, 1);
        assert_eq!(simulator.log().rows[1].status(), None, "read, and never answered");
    }
}

#[test]
fn slow_answers_are_a_share() {
    let simulator = start(|config| {
        config.faults.request.slow = 0.5;
        config.faults.request.slow_ms = 30;
    });
    let mut client = Client::authorized(&simulator);
    for n in 0..20 {
        client.ask(&with(fields(&token(n)), "apns-id", &id(n)), BODY);
    }
    let rows = simulator.log().rows;
    let slow = rows.iter().filter(|row| row.hold_ns() >= Some(30_000_000)).count();
    assert!((2..20).contains(&slow), "{slow}");
}

/// Sends `n` requests one by one over as many connections as it takes; what came back for each.
fn history(simulator: &Handle, n: u64) -> Vec<String> {
    let mut client = Client::connect(simulator);
    let mut seen = Vec::new();
    for number in 0..n {
        let stream = match client.try_send(&with(fields(&token(number % 50)), "apns-id", &id(number)), BODY) {
            Ok(stream) => stream,
            Err(_) => {
                client = Client::connect(simulator);
                client.send(&with(fields(&token(number % 50)), "apns-id", &id(number)), BODY)
            }
        };
        client.frame(skein_apns::frame::kind::PING, 0, 0, b"12345678");
        let _ = client.flush();
        let outcome = client.first(|event| match event {
            Event::Headers { stream: other, fields, .. } if *other == stream => Some(fields[0].1.clone()),
            Event::Reset { stream: other, .. } if *other == stream => Some("reset".to_owned()),
            Event::Goaway { code, data, last_stream } => Some(format!("goaway {code} {data} {last_stream}")),
            Event::Closed(_) => Some("closed".to_owned()),
            Event::Pong(_) => Some("silence".to_owned()),
            _ => None,
        });
        if outcome.starts_with("goaway") || outcome == "closed" {
            client = Client::connect(simulator);
        } else if outcome != "silence" {
            client.first(|event| matches!(event, Event::Pong(_) | Event::Closed(_)).then_some(()));
        }
        seen.push(outcome);
    }
    seen
}

#[test]
fn everything_is_repeatable_by_seed() {
    let run = |seed| {
        let mut faults = everything(0.4, 20);
        faults.seed = seed;
        faults.request.slow = 0.0;
        faults.connection.mixed_every = 0;
        faults.connection.goaway_every = 20;
        let simulator = start(|config| config.faults = faults);
        history(&simulator, 300)
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let kinds: BTreeSet<&str> = first.iter().map(|seen| seen.split(' ').next().unwrap_or_default()).collect();
    for kind in ["200", "400", "410", "429", "500", "503", "reset", "silence", "goaway"] {
        assert!(kinds.contains(kind), "{kind} is missing in {kinds:?}");
    }
}

#[test]
fn presets_have_parameters() {
    assert_eq!(preset("everything", Some(0.2), Some(500)).expect("sound"), everything(0.2, 500));
    assert_eq!(preset("everything", None, None).expect("sound"), everything(0.01, 5_000));
}
