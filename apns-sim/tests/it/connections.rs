//! Stream limits, GOAWAYs, resets, windows, and what breaks the protocol.

use std::io::ErrorKind;

use skein_apns::frame::{MAX_31_BITS, error_code, flag, kind};
use skein_apns_sim::faults::{Faults, GoawayData, LastStream, OVER_LIMIT_TEXT, OverLimit};

use crate::client::{Client, Event, REFUSED, fields, start, token, without};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

#[test]
fn one_stream_until_a_valid_token_then_many() {
    let simulator = start(|config| config.streams_max = 5);
    let mut client = Client::try_connect(&simulator, &[b"h2"], None).expect("connected");
    assert_eq!(client.stream_limit(), 1);
    assert_eq!(client.ask(&without(fields(&token(1)), "authorization"), BODY).status, 403);
    let streams: Vec<u32> = (0..3).map(|n| client.queue(&fields(&token(n)), BODY)).collect();
    client.flush().expect("sent");
    assert_eq!(client.answer(streams[0]).status, 200);
    assert_eq!(client.stream_limit(), 5);
    assert_eq!((client.reset(streams[1]), client.reset(streams[2])), (REFUSED, REFUSED));
    let streams: Vec<u32> = (0..5).map(|n| client.queue(&fields(&token(n)), BODY)).collect();
    client.flush().expect("sent");
    assert!(streams.into_iter().all(|stream| client.answer(stream).status == 200));
    assert_eq!(simulator.stats().stream_limit_violations, 2);
    let refused = simulator.log().rows.iter().filter(|row| row.refused()).count();
    assert_eq!(refused, 2);
}

#[test]
fn too_many_streams_may_end_the_connection() {
    let simulator = start(|config| {
        config.streams_max = 2;
        config.faults.connection.over_limit = OverLimit::Goaway;
    });
    let mut client = Client::authorized(&simulator);
    client.ping();
    let streams: Vec<u32> = (0..4).map(|n| client.queue(&fields(&token(n)), BODY)).collect();
    client.flush().expect("sent");
    let (last_stream, code, data) = client.goaway();
    assert_eq!((last_stream, code), (streams[1], error_code::PROTOCOL_ERROR));
    assert_eq!(data, OVER_LIMIT_TEXT);
    assert_eq!((client.answer(streams[0]).status, client.answer(streams[1]).status), (200, 200));
    client.closed();
    assert_eq!(simulator.log().rows.iter().filter(|row| row.refused()).count(), 2);
}

#[test]
fn the_limit_drops_after_a_refusal_and_comes_back() {
    let simulator = start(|config| config.faults.connection.limit_drops = true);
    let mut client = Client::authorized(&simulator);
    assert_eq!(client.stream_limit(), 1000);
    assert_eq!(client.ask(&fields(&token(1)), b"").status, 400);
    assert_eq!(client.stream_limit(), 1);
    client.ping();
    let (first, second) = (client.queue(&fields(&token(1)), b""), client.queue(&fields(&token(2)), BODY));
    client.flush().expect("sent");
    assert_eq!((client.answer(first).status, client.reset(second)), (400, REFUSED));
    assert_eq!(client.push(&token(1)).status, 200);
    assert_eq!(client.stream_limit(), 1000);
}

fn with_connection_faults(change: impl FnOnce(&mut skein_apns_sim::faults::ConnectionFaults)) -> Faults {
    let mut faults = Faults::default();
    change(&mut faults.connection);
    faults
}

#[test]
fn goaway_names_the_last_stream_it_processed() {
    for (form, data) in [
        (GoawayData::Json, r#"{"reason":"Shutdown"}"#),
        (GoawayData::Text, "Shutdown"),
        (GoawayData::Empty, ""),
    ] {
        let simulator = start(|config| {
            config.faults = with_connection_faults(|faults| {
                faults.goaway_every = 3;
                faults.goaway_data = form;
                faults.goaway_code = 2;
            });
        });
        let mut client = Client::authorized(&simulator);
        let streams: Vec<u32> = (0..4).map(|n| client.queue(&fields(&token(n)), BODY)).collect();
        client.flush().expect("sent");
        assert_eq!(client.goaway(), (streams[1], 2, data.to_owned()));
        assert!(streams[..2].iter().all(|stream| client.answer(*stream).status == 200));
        assert_eq!(client.closed(), None);
        assert!(
            !client.aside.iter().any(|event| matches!(event, Event::Headers { .. })),
            "the rest is not answered"
        );
        let log = simulator.log();
        assert_eq!(log.rows.iter().filter(|row| row.status() == Some(200)).count(), 3);
        assert_eq!(log.rows.iter().filter(|row| row.refused()).count(), 2);
    }
}

#[test]
fn goaway_may_disown_everything_or_come_twice() {
    let simulator = start(|config| {
        config.faults = with_connection_faults(|faults| {
            faults.goaway_every = 2;
            faults.goaway_last_stream = LastStream::Zero;
            faults.goaway_twice = true;
        });
    });
    let mut client = Client::authorized(&simulator);
    client.send(&fields(&token(1)), BODY);
    assert_eq!((client.goaway().0, client.goaway().0), (0, 0));
    assert_eq!(client.closed(), None);
    assert!(simulator.log().rows[1].refused());
}

#[test]
fn an_announced_goaway_is_followed_by_the_true_one() {
    let simulator = start(|config| {
        config.faults = with_connection_faults(|faults| {
            faults.goaway_every = 2;
            faults.goaway_last_stream = LastStream::Announced;
        });
    });
    let mut client = Client::authorized(&simulator);
    let announced_by = client.send(&fields(&token(1)), BODY);
    assert_eq!(client.goaway().0, MAX_31_BITS);
    assert_eq!(client.answer(announced_by).status, 200);
    assert_eq!(client.goaway().0, announced_by);
    assert_eq!(client.closed(), None);
}

#[test]
fn a_reset_leaves_what_was_not_written_unanswered() {
    let simulator = start(|config| config.faults = with_connection_faults(|faults| faults.reset_every = 4));
    let mut client = Client::authorized(&simulator);
    for n in 0..4 {
        client.queue(&fields(&token(n)), BODY);
    }
    client.flush().expect("sent");
    assert_eq!(client.closed(), Some(ErrorKind::ConnectionReset));
    let log = simulator.log();
    let open: Vec<_> = log.rows.iter().filter(|row| row.written_ns().is_none()).collect();
    assert_eq!((log.rows.len(), open.len()), (4, 3));
    assert!(
        open.iter().all(|row| row.status() == Some(200) && row.delivered()),
        "delivered, and nobody was told"
    );
    assert_eq!(simulator.stats().resets, 1);
}

#[test]
fn too_many_refusals_end_a_connection_and_a_410_is_none() {
    let simulator = start(|config| {
        config.faults = with_connection_faults(|faults| faults.error_budget = 6);
        config.faults.tokens.gone = 1.0;
    });
    let mut client = Client::authorized(&simulator);
    for n in 0..20 {
        assert_eq!(client.push(&token(n)).status, 410);
    }
    assert_eq!(client.ask(&fields(&token(1)), b"").status, 400);
    assert_eq!(client.ask(&fields(&token(1)), b"").status, 400);
    assert_eq!(client.push("00zz").reason().as_deref(), Some("BadDeviceToken"));
    client.goaway();
    assert_eq!(client.closed(), None);
}

#[test]
fn connections_are_ended_by_order() {
    let simulator = start(|_| {});
    let (mut one, mut two) = (Client::authorized(&simulator), Client::authorized(&simulator));
    simulator.goaway_all();
    assert_eq!((one.goaway().0, two.goaway().0), (1, 1));
    let mut three = Client::authorized(&simulator);
    simulator.reset_all();
    assert_eq!(three.closed(), Some(ErrorKind::ConnectionReset));
}

#[test]
fn bodies_wait_for_the_clients_window() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    client.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 5]);
    let stream = client.send(&fields(&token(1)), b"");
    client.ping();
    assert!(!client.aside.iter().any(|event| matches!(event, Event::Data { .. })));
    assert_eq!(simulator.log().rows[1].written_ns(), None, "its answer is not out yet");
    client.frame(kind::WINDOW_UPDATE, 0, stream, &100_u32.to_be_bytes());
    client.flush().expect("sent");
    assert_eq!(client.answer(stream).reason().as_deref(), Some("PayloadEmpty"));
}

#[test]
fn the_connections_window_is_returned() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    let body = vec![b'x'; 4096];
    for n in 0..64 {
        assert_eq!(client.ask(&fields(&token(n)), &body).status, 200);
    }
    assert!(client.aside.contains(&Event::WindowUpdate));
}

#[test]
fn whoever_breaks_http_2_is_told_and_cut_off() {
    type Breach = (u32, fn(&mut Client));
    let breaches: [Breach; 9] = [
        (error_code::PROTOCOL_ERROR, |client| client.frame(kind::DATA, 0, 0, b"x")),
        (error_code::PROTOCOL_ERROR, |client| client.frame(kind::HEADERS, flag::END_HEADERS, 2, b"")),
        (error_code::PROTOCOL_ERROR, |client| client.frame(kind::CONTINUATION, 0, 1, b"")),
        (error_code::PROTOCOL_ERROR, |client| client.frame(kind::PUSH_PROMISE, 0, 1, b"")),
        (error_code::PROTOCOL_ERROR, |client| client.frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
        (error_code::FLOW_CONTROL_ERROR, |client| {
            client.frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])
        }),
        (error_code::FRAME_SIZE_ERROR, |client| client.frame(kind::PING, 0, 0, b"x")),
        (error_code::FRAME_SIZE_ERROR, |client| client.frame(kind::DATA, 0, 1, &[0; 16_385])),
        (error_code::COMPRESSION_ERROR, |client| {
            client.frame(kind::HEADERS, flag::END_HEADERS, 3, &[0xff; 9])
        }),
    ];
    for (code, breach) in breaches {
        let simulator = start(|_| {});
        let mut client = Client::authorized(&simulator);
        breach(&mut client);
        let _ = client.flush();
        assert_eq!(client.goaway().1, code);
        client.closed();
        assert_eq!(simulator.stats().protocol_errors, 1);
    }
}

#[test]
fn a_request_that_comes_with_the_handshake_is_not_overlooked() {
    let simulator = start(|_| {});
    for n in 0..20 {
        let mut client = Client::unconnected(&simulator);
        client.acknowledges = false;
        let stream = client.queue(&fields(&token(n)), BODY);
        client.flush_with_handshake();
        assert_eq!(client.answer(stream).status, 200);
    }
}

#[test]
fn a_client_that_never_speaks_does_not_hold_up_the_end() {
    let simulator = start(|_| {});
    let _mute = std::net::TcpStream::connect(simulator.addr()).expect("connected");
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 200);
    simulator.shutdown().expect("no log file to fail");
}

#[test]
fn shutting_down_says_goodbye() {
    let simulator = start(|_| {});
    let mut client = Client::authorized(&simulator);
    let stopping = std::thread::spawn(move || simulator.shutdown());
    assert_eq!(client.goaway().0, 1);
    assert_eq!(client.closed(), None);
    stopping.join().expect("joined").expect("no log file to fail");
}
