//! The rules of the service about connections: each GOAWAY, wedged connections, silence, need.

use crate::server::*;
use skein_apns::frame::{MAX_31_BITS, kind, setting};
use skein_apns::*;
use skein_apns_sim::{Handle, Simulator, SimulatorConfig};
use std::time::Duration;

/// One reply on a connection, so that it takes many requests.
async fn first_reply(peer: &mut Peer) {
    let asked = peer.request().await;
    peer.reply(&asked, 200, b"").await;
}

/// The last stream that a GOAWAY says it has seen.
#[derive(Clone, Copy, Debug)]
enum Last {
    Announced,
    Nothing,
    /// The first of four that are open.
    First,
}

#[tokio::test]
async fn p3_every_kind_of_goaway_splits_what_is_open_and_is_followed_by_another_connection() {
    use Last::*;
    for (frames, kept, debug) in [
        (&[Announced, First][..], 1, &b""[..]),
        (&[First, First], 1, br#"{"reason":"Shutdown"}"#),
        (&[Nothing], 0, br#"{"reason":"IdleTimeout","timestamp":18446744073709551616}"#),
        (&[Announced, Nothing], 0, b"Maximum active streams violated for this endpoint."),
        (&[First, Announced], 1, b"\xff\xfe"),
        (&[Announced], 4, b"{"),
    ] {
        let server = Server::new().await;
        let mut client = Client::new(server.config(), token());
        write_all(&mut client, 0..=4);
        let script = async {
            let mut peer = server.accept(MANY).await;
            first_reply(&mut peer).await;
            let mut asked = Vec::new();
            for _ in 1..=4 {
                asked.push(peer.request().await);
            }
            for last in frames {
                let last = match last {
                    Announced => MAX_31_BITS,
                    Nothing => 0,
                    First => asked[0].stream,
                };
                peer.goaway(last, debug).await;
            }
            for asked in &asked[..kept] {
                peer.reply(asked, 200, b"").await;
            }
            // The replacement comes without anything being written.
            let mut second = server.accept(MANY).await;
            first_reply(&mut second).await;
            (peer, second)
        };
        let client_side = async {
            let mut found = answers(&mut client, 5).await;
            write_all(&mut client, 5..=5);
            found.extend(answers(&mut client, 1).await);
            found
        };
        let (_peers, found) = tokio::join!(script, client_side);
        let expected: Vec<_> = (0..=5u64)
            .map(|key| {
                (key, if (1..=4).contains(&key) && key > kept as u64 { "above_last_stream" } else { "reply" })
            })
            .collect();
        assert_eq!(labels(&found), expected, "{frames:?}");
        assert_eq!(client.health().connections.goaways, frames.len() as u64);
    }
}

#[tokio::test]
async fn a_connection_that_stays_wedged_is_not_asked_again() {
    for (status, reason) in [
        (403, r#"{"reason":"ExpiredProviderToken"}"#),
        (429, r#"{"reason":"TooManyProviderTokenUpdates"}"#),
        (403, r#"{"reason":"UnrelatedKeyIdInToken"}"#),
        (403, r#"{"reason":"BadEnvironmentKeyInToken"}"#),
    ] {
        let server = Server::new().await;
        let mut client = Client::new(server.config(), token());
        write_all(&mut client, 0..=2);
        let script = async {
            let mut wedged = server.accept(MANY).await;
            first_reply(&mut wedged).await;
            let (one, two) = (wedged.request().await, wedged.request().await);
            wedged.reply(&one, status, reason.as_bytes()).await;
            let mut fresh = server.accept(MANY).await;
            first_reply(&mut fresh).await;
            // What was open is still waited for.
            wedged.reply(&two, 200, b"").await;
            (wedged, fresh)
        };
        let client_side = async {
            let mut found = answers(&mut client, 2).await;
            write_all(&mut client, 3..=3);
            found.extend(answers(&mut client, 2).await);
            found
        };
        let (_peers, found) = tokio::join!(script, client_side);
        assert!(matches!(found[1], (1, Answer::Reply { status: got, .. }) if got == status), "{reason}");
        assert!(found[2..].iter().all(|(_, answer)| matches!(answer, Answer::Reply { status: 200, .. })));
    }
}

#[tokio::test]
async fn p3_a_half_open_connection_with_a_full_send_buffer_is_replaced() {
    let server = Server::new().await;
    let config = ClientConfig {
        ping_after: Duration::from_millis(200),
        ping_wait: Duration::from_millis(200),
        buffer_max: 10_000,
        streams_max: 10_000,
        connections_max: 1,
        ..server.config()
    };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    write_all(&mut client, 0..=0);
    let accept = async {
        let wide = [(setting::MAX_CONCURRENT_STREAMS, 10_000), (setting::INITIAL_WINDOW_SIZE, MAX_31_BITS)];
        let mut peer = server.accept(&wide).await;
        peer.send(kind::WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes()).await;
        first_reply(&mut peer).await;
        peer
    };
    // From here on the peer neither reads nor writes.
    let peer = while_serving(&mut client, &mut kept, accept).await;
    kept.extend(answers(&mut client, 1 - kept.len()).await);
    for key in 1..=5_000 {
        let mut push = request(key);
        push.payload = vec![b' '; 4_096].into();
        client.write(push).unwrap();
    }
    let mut found = Vec::new();
    let mut second = while_serving(&mut client, &mut found, server.accept(MANY)).await;
    assert_eq!(client.health().silent, 1);
    drop(peer);
    let count = |label| found.iter().filter(|(_, answer)| answer.label() == label).count();
    let (silent, never) = (count("silent"), count("never_written"));
    assert!(silent > 100 && never > 100, "{silent} written, {never} not");
    assert_eq!(silent + never, found.len());
    // What was held goes to the replacement.
    let asked = while_serving(&mut client, &mut Vec::new(), second.request()).await;
    assert_eq!(asked.body.len(), 4_096);
}

#[tokio::test]
async fn p3_silence_behind_a_shut_gate_is_found_as_well() {
    let server = Server::new().await;
    let config = ClientConfig {
        ping_after: Duration::from_millis(150),
        ping_wait: Duration::from_millis(150),
        connections_max: 1,
        ..server.config()
    };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    write_all(&mut client, 0..=1);
    let accept = async {
        let mut peer = server.accept(MANY).await;
        first_reply(&mut peer).await;
        peer.request().await;
        peer
    };
    let _peer = while_serving(&mut client, &mut kept, accept).await;
    kept.extend(answers(&mut client, 1 - kept.len()).await);
    client.set_gate(|| false);
    write_all(&mut client, 2..=2);
    let found = answers(&mut client, 2).await;
    assert_eq!(labels(&found), [(1, "silent"), (2, "never_written")]);
}

#[tokio::test]
async fn p2_a_silent_connection_gets_no_more_requests_while_it_is_asked() {
    let server = Server::new().await;
    let config = ClientConfig {
        ping_after: Duration::from_millis(100),
        ping_wait: Duration::from_secs(20),
        connections_max: 2,
        ..server.config()
    };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    write_all(&mut client, 0..=1);
    let until_asked = async {
        let mut peer = server.accept(MANY).await;
        first_reply(&mut peer).await;
        let asked = peer.request().await;
        let (_, ping) = peer.frame_of(kind::PING).await;
        (peer, asked, ping)
    };
    let (mut first, asked, ping) = while_serving(&mut client, &mut kept, until_asked).await;
    write_all(&mut client, 2..=2);
    let script = async {
        let mut second = server.accept(MANY).await;
        first_reply(&mut second).await;
        first.send(kind::PING, skein_apns::frame::flag::ACK, 0, &ping).await;
        first.reply(&asked, 200, b"").await;
        second
    };
    let _second = while_serving(&mut client, &mut kept, script).await;
    kept.extend(answers(&mut client, 3 - kept.len()).await);
    kept.sort_by_key(|(key, _)| *key);
    assert_eq!(labels(&kept), [(0, "reply"), (1, "reply"), (2, "reply")]);
    assert_eq!((client.status().open, client.health().silent), (2, 0));
}

/// A simulator behind small windows and a long way, and how to connect to it.
fn a_long_way() -> (Handle, ClientConfig) {
    let simulator =
        Simulator::start(SimulatorConfig { rtt_ms: 60, window_bytes: 16_384, ..SimulatorConfig::default() })
            .unwrap();
    let address = simulator.addr();
    let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox).unwrap();
    let config = ClientConfig {
        roots: Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap(),
        connect_interval_min: Duration::from_millis(1),
        ..ClientConfig::new(endpoint)
    };
    (simulator, config)
}

/// Of a payload that fills a good part of such a window.
fn large(number: u64) -> Request {
    Request {
        apns_id: u128::from(number).to_be_bytes(),
        payload: format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "x".repeat(1_400)).into(),
        ..request(number)
    }
}

#[tokio::test]
async fn p4_other_bounds_hold_at_once_and_cut_nothing() {
    let (_simulator, config) = a_long_way();
    let mut client = Client::new(config, token());
    let (mut next, mut found) = (0, Vec::new());
    for (connections_max, in_flight_max, until) in [(1, 100_000, 200), (4, 100_000, 800), (2, 7, 900)] {
        client.resize(connections_max, in_flight_max);
        let mut is_within = false;
        while found.len() < until {
            while next < until as u64 && client.room() > 0 {
                client.write(large(next)).unwrap();
                next += 1;
                is_within |= client.in_flight() <= in_flight_max;
                assert!(!is_within || client.in_flight() <= in_flight_max, "once within, always within");
            }
            client.progress(&mut found).await;
        }
        let status = client.status();
        assert!(status.open <= connections_max, "{status:?}");
    }
    assert!(found.iter().all(|(_, answer)| matches!(answer, Answer::Reply { status: 200, .. })));
    let health = client.health();
    assert_eq!((health.connects, health.connections_lost), (4, 0), "grown to 4, then drained to 2");
    assert_eq!(client.status().open, 2);
}

#[tokio::test]
async fn small_windows_and_a_long_way_open_connections_and_disuse_closes_them() {
    let (_simulator, config) = a_long_way();
    let config = ClientConfig { connections_max: 4, idle_max: Duration::from_millis(100), ..config };
    let mut client = Client::new(config, token());
    let (mut next, mut found) = (0, Vec::new());
    while found.len() < 600 {
        while next < 600 && client.room() > 0 {
            client.write(large(next)).unwrap();
            next += 1;
        }
        client.progress(&mut found).await;
    }
    assert!(found.iter().all(|(_, answer)| matches!(answer, Answer::Reply { status: 200, .. })));
    assert_eq!(client.health().connects, 4, "all that it may");
    // Nobody asks for anything: the client goes on by itself until one is left.
    let alone = async {
        while client.health().retired < 3 {
            tokio::select! {
                () = client.progress(&mut found) => {}
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), alone).await.expect("the others go");
    assert_eq!((client.status().open, client.health().connections_lost), (1, 0));
}
