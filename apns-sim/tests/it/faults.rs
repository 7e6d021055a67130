//! Faults of requests and tokens, and the stall switch.

use skein_apns_sim::faults::{ConnectionFaults, Faults, Stall};
use skein_apns_sim::{GoneTimestamp, TokenState, fingerprint_of_hex};

use crate::client::{Client, Event, REFUSED, fields, id, start, token, with};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

fn always(change: impl FnOnce(&mut Faults)) -> Client {
    let simulator = Box::leak(Box::new(start(|config| change(&mut config.faults))));
    Client::connect(simulator)
}

#[test]
fn each_share_answers_as_its_name_says() {
    type Case = (fn(&mut Faults), u16, &'static str);
    let cases: [Case; 6] = [
        (|faults| faults.request.gone = 1.0, 410, "Unregistered"),
        (|faults| faults.request.too_many_requests = 1.0, 429, "TooManyRequests"),
        (|faults| faults.request.internal_server_error = 1.0, 500, "InternalServerError"),
        (|faults| faults.request.service_unavailable = 1.0, 503, "ServiceUnavailable"),
        (|faults| faults.request.shutdown = 1.0, 503, "Shutdown"),
        (|faults| faults.request.bad_device_token = 1.0, 400, "BadDeviceToken"),
    ];
    for (change, status, reason) in cases {
        let answer = always(change).push(&token(1));
        assert_eq!((answer.status, answer.reason().as_deref()), (status, Some(reason)));
        assert_eq!(answer.timestamp().is_some(), status == 410);
    }
}

#[test]
fn a_refused_stream_and_a_silent_one() {
    let mut client = always(|faults| faults.request.refused_stream = 1.0);
    let stream = client.send(&fields(&token(1)), BODY);
    assert_eq!(client.reset(stream), REFUSED);

    let simulator = start(|config| config.faults.request.silence = 1.0);
    let mut client = Client::connect(&simulator);
    client.send(&fields(&token(1)), BODY);
    client.ping();
    assert!(!client.aside.iter().any(|event| matches!(event, Event::Headers { .. })));
    let row = simulator.log().rows[0];
    assert_eq!((row.status(), row.delivered(), row.written_ns()), (None, true, None));
    assert_eq!(simulator.device(row.token()).map(|shown| shown.delivered), Some(1));
}

#[test]
fn odd_answers_come_in_five_kinds() {
    let simulator = start(|config| config.faults.request.odd_answer = 1.0);
    let mut client = Client::connect(&simulator);
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..60 {
        let stream = client.send(&with(fields(&token(n)), "apns-id", &id(n)), BODY);
        let (fields, body) = client.whole(stream);
        seen.insert((fields[0].1.clone(), body));
    }
    let statuses: Vec<&str> = seen.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["400", "400", "400", "421", "503"]);
    assert_eq!(simulator.stats().odd_answers, 60);
}

#[test]
fn bodies_may_come_in_pieces() {
    let mut client = always(|faults| faults.connection.split_bodies = true);
    let stream = client.send(&fields(&token(1)), b"");
    let mut body = String::new();
    let mut pieces = 0;
    loop {
        let (piece, last) = client.wait(|event| match event {
            Event::Data { stream: other, body, end } if *other == stream => Some((body.clone(), *end)),
            _ => None,
        });
        body += &piece;
        pieces += 1;
        if last {
            break;
        }
    }
    assert_eq!((pieces, body.as_str()), (3, r#"{"reason":"PayloadEmpty"}"#));
}

#[test]
fn a_retry_is_decided_anew_and_no_id_is_struck_twice() {
    let simulator = start(|config| {
        config.faults.request.internal_server_error = 1.0;
        config.faults.request.faults_per_id_max = 1;
    });
    let mut client = Client::connect(&simulator);
    let request = with(fields(&token(1)), "apns-id", &id(1));
    assert_eq!(client.ask(&request, BODY).status, 500);
    assert_eq!(client.ask(&request, BODY).status, 200);
}

#[test]
fn the_same_seed_meets_the_same_faults() {
    let run = |seed| {
        let simulator = start(|config| {
            config.faults.seed = seed;
            config.faults.request.too_many_requests = 0.5;
        });
        let mut client = Client::connect(&simulator);
        let ask = |n| client.ask(&with(fields(&token(n)), "apns-id", &id(n)), BODY).status;
        (0..40).map(ask).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn tokens_have_fates_of_their_own() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    for (state, status, reason) in [
        (TokenState::Gone, 410, "Unregistered"),
        (TokenState::Expired, 410, "ExpiredToken"),
        (TokenState::WrongEnvironment, 400, "BadDeviceToken"),
        (TokenState::WrongTopic, 400, "DeviceTokenNotForTopic"),
        (TokenState::Throttled, 429, "TooManyRequests"),
    ] {
        assert!(simulator.set_token(fingerprint_of_hex(&token(7)).expect("hex"), state));
        let answer = client.push(&token(7));
        assert_eq!((answer.status, answer.reason().as_deref()), (status, Some(reason)));
        assert_eq!(client.push(&token(8)).status, 200, "others flow");
    }
}

#[test]
fn the_timestamp_of_a_410_lies_where_it_was_put() {
    let simulator = start(|config| config.faults.tokens.gone = 1.0);
    let mut client = Client::connect(&simulator);
    let now = skein_apns_sim::clock::wall_ms();
    assert!(client.push(&token(1)).timestamp().is_some_and(|at| at >= now), "milliseconds, and not before");
    let mut faults = simulator.faults();
    for (timestamp, expected) in [(GoneTimestamp::AtMs(1234), Some(1234)), (GoneTimestamp::Absent, None)] {
        faults.tokens.gone_timestamp = timestamp;
        simulator.set_faults(faults.clone()).expect("sound");
        client.ping();
        assert_eq!(client.push(&token(1)).timestamp(), expected);
    }
}

#[test]
fn a_stall_holds_answers_until_it_is_lifted() {
    let simulator = start(|config| config.faults.stall = Stall::Answers);
    let mut client = Client::connect(&simulator);
    let stream = client.send(&fields(&token(1)), BODY);
    client.ping();
    assert!(!client.aside.iter().any(|event| matches!(event, Event::Headers { .. })));
    assert_eq!((simulator.log().rows.len(), simulator.stats().accepted), (1, 0));
    simulator.set_faults(Faults::default()).expect("sound");
    assert_eq!(client.answer(stream).status, 200);
}

#[test]
fn a_deaf_service_reads_nothing_until_it_listens_again() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    simulator.set_faults(Faults { stall: Stall::Reads, ..Faults::default() }).expect("sound");
    let stream = client.send(&fields(&token(1)), BODY);
    assert_eq!(simulator.log().rows.len(), 1, "only what came before");
    simulator.set_faults(Faults::default()).expect("sound");
    assert_eq!(client.answer(stream).status, 200);
}

#[test]
fn a_stalled_connection_answers_nothing_any_more() {
    let simulator = start(|config| config.faults.connection.stall_every = 2);
    let mut client = Client::authorized(&simulator);
    client.send(&fields(&token(1)), BODY);
    assert_eq!(Client::connect(&simulator).push(&token(2)).status, 200, "another one is not touched");
    drop(client);
    assert_eq!(simulator.stats().stalls, 1);
}

#[test]
fn delayed_answers_come_in_order_of_their_time() {
    let simulator = start(|config| {
        config.faults.request.delay_ms = 5;
        config.faults.request.delay_jitter_ms = 20;
    });
    let mut client = Client::authorized(&simulator);
    let streams: Vec<u32> = (0..50).map(|n| client.queue(&fields(&token(n)), BODY)).collect();
    client.flush().expect("sent");
    assert!(streams.into_iter().all(|stream| client.answer(stream).status == 200));
    let rows = simulator.log().rows;
    assert!(rows.iter().all(|row| row.written_ns().is_some_and(|at| at >= row.read_ns() + 5_000_000)));
}

#[test]
fn the_realistic_mix_accepts_97_percent_in_the_end() {
    let requests_alone = Faults { connection: ConnectionFaults::default(), ..skein_apns_sim::realistic() };
    let simulator = start(|config| config.faults = requests_alone);
    let mut client = Client::authorized(&simulator);
    let (mut accepted, mut gone) = (0, 0);
    for n in 0..2000 {
        let request = with(fields(&token(n)), "apns-id", &id(n));
        for _ in 0..2 {
            let stream = client.send(&request, BODY);
            let status = client.wait(|event| match event {
                Event::Headers { stream: other, fields, .. } if *other == stream => fields[0].1.parse().ok(),
                Event::Reset { stream: other, .. } if *other == stream => Some(0),
                _ => None,
            });
            accepted += u32::from(status == 200);
            gone += u32::from(status == 410);
            if matches!(status, 200 | 410) {
                break;
            }
        }
    }
    assert_eq!(accepted + gone, 2000, "nothing else is final, and a second try is not struck again");
    assert!(accepted >= 1940, "{accepted}");
    assert!((5..60).contains(&gone), "{gone}");
}
