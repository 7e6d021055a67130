//! Replies of every shape, and limits that change.

use crate::server::*;
use skein_apns::frame::{error_code, kind, setting};
use skein_apns::*;

#[tokio::test]
async fn a_token_client_shows_its_token_and_reads_replies() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    write_all(&mut client, 1..=3);
    let script = async {
        let mut peer = server.accept(MANY).await;
        let first = peer.request().await;
        assert_eq!(first.header(":method"), "POST");
        assert_eq!(first.header(":authority"), format!("localhost:{}", server.port()));
        assert_eq!(first.header(":path"), format!("/3/device/{}", "01".repeat(32)));
        assert_eq!(first.header("apns-topic"), "com.example.im");
        assert_eq!(first.header("apns-expiration"), "0");
        assert_eq!(first.header("apns-id"), "01010101-0101-0101-0101-010101010101");
        assert!(first.header("authorization").starts_with("bearer "));
        assert_eq!(first.body, br#"{"aps":{"alert":"1"}}"#);
        peer.reply(&first, 200, b"").await;
        let second = peer.request().await;
        let third = peer.request().await;
        assert_eq!(second.header("authorization"), first.header("authorization"));
        peer.reply(&third, 410, br#"{"reason":"Unregistered","timestamp":1700000000123}"#).await;
        peer.reply(&second, 200, b"").await;
        peer
    };
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 3));
    assert!(matches!(answers[0], (1, Answer::Reply { status: 200, apns_id: Some([1, ..]), .. })));
    assert!(matches!(answers[1], (2, Answer::Reply { status: 200, .. })));
    let Answer::Reply {
        status: 410,
        reason: Some(Reason::Unregistered),
        timestamp_ms: Some(1_700_000_000_123),
        evidence,
        ..
    } = &answers[2].1
    else {
        panic!("{answers:?}")
    };
    assert_eq!((evidence.stream, evidence.last_stream_id), (5, None));
    assert_eq!(client.health().connections.accepted, 2);
    assert_eq!((client.status().open, client.in_flight()), (1, 0));
}

#[tokio::test]
async fn a_certificate_client_shows_its_certificate() {
    let pki = Pki::new();
    let config = pki.server_config(Some(&pki));
    let server = Server::with(pki, config).await;
    let mut client = Client::new(server.config(), server.pki.client_certificate());
    write_all(&mut client, 1..=1);
    let script = async {
        let mut peer = server.accept(MANY).await;
        assert!(peer.stream.get_ref().1.peer_certificates().is_some());
        let asked = peer.request().await;
        assert_eq!(asked.header("authorization"), "");
        peer.reply(&asked, 200, b"").await;
        peer
    };
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&answers), [(1, "reply")]);
}

#[tokio::test]
async fn the_stream_limit_goes_to_one_and_back() {
    let server = Server::new().await;
    let config = ClientConfig { connections_max: 1, ..server.config() };
    let mut client = Client::new(config, token());
    write_all(&mut client, 1..=4);
    let mut kept = Vec::new();
    let script = async {
        let mut peer = server.accept(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).await;
        for key in 1..=2 {
            let asked = peer.request().await;
            assert_eq!(asked.stream, 2 * key - 1);
            // Nothing else may come before the reply: the next frame after a PING of ours is its acknowledgement.
            peer.send(kind::PING, 0, 0, b"anything").await;
            let (next, _) = loop {
                let frame = peer.frame().await;
                if frame.0.kind != kind::SETTINGS {
                    break frame;
                }
            };
            assert_eq!(next.kind, kind::PING);
            peer.reply(&asked, 200, b"").await;
        }
        let third = peer.request().await;
        peer.settings(MANY).await;
        let fourth = peer.request().await;
        peer.reply(&fourth, 200, b"").await;
        peer.reply(&third, 200, b"").await;
        peer
    };
    let _peer = while_serving(&mut client, &mut kept, script).await;
    kept.extend(answers(&mut client, 4 - kept.len()).await);
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|(_, answer)| matches!(answer, Answer::Reply { status: 200, .. })));
}

#[tokio::test]
async fn p3_a_refused_stream_was_not_sent() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    write_all(&mut client, 1..=1);
    let script = async {
        let mut peer = server.accept(MANY).await;
        let asked = peer.request().await;
        peer.send(kind::RST_STREAM, 0, asked.stream, &error_code::REFUSED_STREAM.to_be_bytes()).await;
        peer
    };
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&answers), [(1, "refused_stream")]);
}

#[tokio::test]
async fn p8_room_is_bounded_and_its_return_is_told() {
    let server = Server::new().await;
    let config = ClientConfig { buffer_max: 2, connections_max: 1, ..server.config() };
    let mut client = Client::new(config, token());
    assert_eq!(client.room(), 2);
    write_all(&mut client, 1..=2);
    assert_eq!(client.room(), 0);
    assert_eq!(client.write(request(3)).unwrap_err().key, 3);
    let mut kept = Vec::new();
    let accept = async {
        let mut peer = server.accept(MANY).await;
        let asked = peer.request().await;
        (peer, asked)
    };
    let (mut peer, asked) = while_serving(&mut client, &mut kept, accept).await;
    assert!(kept.is_empty());
    assert_eq!(client.room(), 1);
    write_all(&mut client, 3..=3);
    assert_eq!(client.room(), 0);
    peer.reply(&asked, 200, b"").await;
    let first = answers(&mut client, 1).await;
    assert_eq!(labels(&first), [(1, "reply")]);
    assert!(client.room() > 10);
}

#[tokio::test]
async fn p8_what_is_in_hand_is_bounded_over_all_connections() {
    let server = Server::new().await;
    let config = ClientConfig { in_flight_max: 3, ..server.config() };
    let mut client = Client::new(config, server.pki.client_certificate());
    assert_eq!(client.room(), 3);
    write_all(&mut client, 1..=3);
    assert_eq!((client.room(), client.write(request(4)).unwrap_err().key), (0, 4));
    let mut kept = Vec::new();
    let script = async {
        let mut peer = server.accept(MANY).await;
        let asked = [peer.request().await, peer.request().await, peer.request().await];
        peer.reply(&asked[1], 200, b"").await;
        peer
    };
    let _peer = while_serving(&mut client, &mut kept, script).await;
    kept.extend(answers(&mut client, 1 - kept.len()).await);
    assert_eq!(labels(&kept), [(2, "reply")]);
    assert_eq!((client.room(), client.in_flight()), (1, 2));
}

#[tokio::test]
async fn a_burst_is_under_way_before_all_of_it_is_made() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), server.pki.client_certificate());
    let mut kept = Vec::new();
    let mut peer = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    for key in 1..=40 {
        let mut push = request(key);
        push.payload = format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "x".repeat(1_400)).into();
        client.write(push).unwrap();
    }
    // The client is not polled: what arrives was written as the burst was made.
    let asked = tokio::time::timeout(std::time::Duration::from_secs(20), peer.request()).await;
    assert_eq!(asked.expect("the first of the burst").stream, 1);
    assert_eq!(client.in_flight(), 40);
}
