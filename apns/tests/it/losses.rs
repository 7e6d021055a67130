//! Connections that end badly: who is in doubt, who is not, and what comes after.

use crate::server::*;
use skein_apns::frame::{MAX_31_BITS, kind};
use skein_apns::*;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::AsyncRead;

/// A client that is past its first reply on `peer`, with requests 1..=count read there.
async fn warmed_up(server: &Server, client: &mut Client, count: u64) -> (Peer, Vec<Asked>) {
    let mut kept = Vec::new();
    client.write(request(0)).unwrap();
    let script = server.accept_and_reply();
    let mut peer = while_serving(client, &mut kept, script).await;
    if kept.is_empty() {
        kept = answers(client, 1).await;
    }
    assert_eq!(labels(&kept), [(0, "reply")]);
    if count > 0 {
        write_all(client, 1..=count);
    }
    let script = async {
        let mut asked = Vec::new();
        for _ in 0..count {
            asked.push(peer.request().await);
        }
        asked
    };
    let mut none = Vec::new();
    let asked = while_serving(client, &mut none, script).await;
    assert!(none.is_empty());
    (peer, asked)
}

#[tokio::test]
async fn p3_goaway_splits_what_is_in_flight_and_the_connection_is_replaced() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let (mut peer, asked) = warmed_up(&server, &mut client, 4).await;
    peer.goaway(MAX_31_BITS, b"").await;
    peer.goaway(asked[1].stream, br#"{"reason":"Shutdown"}"#).await;
    let above = answers(&mut client, 2).await;
    assert_eq!(labels(&above), [(3, "above_last_stream"), (4, "above_last_stream")]);
    assert_eq!(above[0].1.evidence().last_stream_id, Some(asked[1].stream));
    let mut kept = Vec::new();
    let mut second = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    assert!(kept.is_empty());
    write_all(&mut client, 5..=5);
    let script = async {
        let asked = second.request().await;
        second.reply(&asked, 200, b"").await;
    };
    while_serving(&mut client, &mut kept, script).await;
    peer.reply(&asked[0], 200, b"").await;
    peer.cut();
    kept.extend(answers(&mut client, 3 - kept.len()).await);
    kept.sort_by_key(|(key, _)| *key);
    assert_eq!(labels(&kept), [(1, "reply"), (2, "connection_lost"), (5, "reply")]);
    assert!(kept[0].1.evidence().connection < kept[2].1.evidence().connection);
    assert_eq!(client.status().last_goaway.unwrap().reason, Some(Reason::Shutdown));
    assert_eq!(client.health().connections.goaways, 2);
}

#[tokio::test]
async fn p3_a_reset_leaves_the_written_in_doubt_and_the_held_not_sent() {
    let server = Server::new().await;
    let config = ClientConfig { connections_max: 1, streams_max: 2, ..server.config() };
    let mut client = Client::new(config, token());
    let (peer, _) = warmed_up(&server, &mut client, 2).await;
    write_all(&mut client, 3..=4);
    drop(server);
    peer.cut();
    let answers = answers(&mut client, 4).await;
    assert_eq!(
        labels(&answers),
        [(1, "connection_lost"), (2, "connection_lost"), (3, "no_connection"), (4, "no_connection")]
    );
    assert!(matches!(
        answers[2].1,
        Answer::NotSent { why: NotSent::NoConnection(ConnectFailure::Refused), .. }
    ));
    let health = client.health();
    assert_eq!((health.connections_lost, health.unsent), (1, 2));
    assert!(health.connect_failures[ConnectFailure::Refused.index()] > 0);
    let last = client.status().last_failure.unwrap();
    assert_eq!((last.failure, last.is_past), (ConnectFailure::Refused, false), "since the last one stood");
}

#[tokio::test]
async fn a_failure_to_connect_is_past_once_a_connection_has_stood() {
    let server = Server::new().await;
    let mut client = Client::new(ClientConfig { connections_max: 1, ..server.config() }, token());
    write_all(&mut client, 1..=1);
    let script = async {
        drop(server.accept_raw().await);
        server.accept_and_reply().await
    };
    let (_peer, _) = tokio::join!(script, answers(&mut client, 1));
    assert!(client.status().last_failure.unwrap().is_past);
}

#[tokio::test]
async fn what_was_held_goes_to_the_next_connection() {
    let server = Server::new().await;
    let config = ClientConfig { connections_max: 1, streams_max: 1, ..server.config() };
    let mut client = Client::new(config, token());
    let (peer, _) = warmed_up(&server, &mut client, 1).await;
    write_all(&mut client, 2..=2);
    peer.cut();
    let script = server.accept_and_reply();
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 2));
    assert_eq!(labels(&answers), [(1, "connection_lost"), (2, "reply")]);
}

#[tokio::test]
async fn p3_silence_is_probed_and_the_connection_replaced() {
    let server = Server::new().await;
    let config = ClientConfig {
        ping_after: Duration::from_millis(200),
        ping_wait: Duration::from_millis(200),
        ..server.config()
    };
    let mut client = Client::new(config, token());
    let (mut peer, _) = warmed_up(&server, &mut client, 2).await;
    let mut kept = Vec::new();
    while_serving(&mut client, &mut kept, peer.frame_of(kind::PING)).await;
    kept.extend(answers(&mut client, 2 - kept.len()).await);
    assert_eq!(labels(&kept), [(1, "silent"), (2, "silent")]);
    assert_eq!((client.health().silent, client.health().connections.pings), (1, 1));
    write_all(&mut client, 3..=3);
    let script = server.accept_and_reply();
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&answers), [(3, "reply")]);
}

#[tokio::test]
async fn p3_a_deadline_leaves_the_request_in_doubt_and_the_connection_alive() {
    let server = Server::new().await;
    let config = ClientConfig { request_timeout: Duration::from_millis(300), ..server.config() };
    let mut client = Client::new(config, token());
    let (mut peer, asked) = warmed_up(&server, &mut client, 1).await;
    let late = answers(&mut client, 1).await;
    assert_eq!(labels(&late), [(1, "deadline")]);
    let mut kept = Vec::new();
    let (reset, _) = while_serving(&mut client, &mut kept, peer.frame_of(kind::RST_STREAM)).await;
    assert_eq!(reset.stream, asked[0].stream);
    write_all(&mut client, 2..=2);
    let script = async {
        peer.reply(&asked[0], 200, b"").await;
        let asked = peer.request().await;
        peer.reply(&asked, 200, b"").await;
    };
    let ((), answers) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&answers), [(2, "reply")]);
}

#[tokio::test]
async fn a_credential_refusal_asks_for_a_fresh_connection() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let (mut peer, asked) = warmed_up(&server, &mut client, 1).await;
    peer.reply(&asked[0], 403, br#"{"reason":"ExpiredProviderToken"}"#).await;
    let expired = answers(&mut client, 1).await;
    assert!(matches!(
        expired[0].1,
        Answer::Reply { status: 403, reason: Some(Reason::ExpiredProviderToken), .. }
    ));
    write_all(&mut client, 2..=2);
    let script = server.accept_and_reply();
    let (_peer, answers) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&answers), [(2, "reply")]);
}

#[tokio::test]
async fn draining_waits_for_replies_and_then_for_its_deadline_only() {
    let server = Server::new().await;
    let config = ClientConfig { streams_max: 2, connections_max: 1, ..server.config() };
    let mut client = Client::new(config, token());
    let (mut peer, asked) = warmed_up(&server, &mut client, 2).await;
    write_all(&mut client, 3..=4);
    let mut kept = Vec::new();
    let script = async {
        peer.reply(&asked[0], 200, b"").await;
        peer.request().await;
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    let ((), ()) = tokio::join!(script, client.drain(deadline, &mut kept));
    kept.sort_by_key(|(key, _)| *key);
    assert_eq!(
        labels(&kept),
        [(1, "reply"), (2, "closed_after_write"), (3, "closed_after_write"), (4, "closed_before_write")]
    );
    assert_eq!(client.room(), 0);
    assert!(client.write(request(9)).is_err());
}

#[tokio::test]
async fn p3_closing_answers_everything_at_once_and_writes_nothing_more() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let (mut peer, _) = warmed_up(&server, &mut client, 1).await;
    write_all(&mut client, 2..=2);
    let mut kept = Vec::new();
    client.close(&mut kept);
    assert_eq!(labels(&kept), [(1, "closed_after_write"), (2, "never_written")]);
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut peer.stream, &mut rest).await.unwrap();
    assert_eq!(rest, b"", "request 2 never leaves");
}

#[tokio::test]
async fn p2_a_shut_gate_holds_back_what_was_accepted_before() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let (mut peer, _) = warmed_up(&server, &mut client, 0).await;
    let mut kept = Vec::new();
    let barrier = async {
        peer.send(kind::PING, 0, 0, b"barrier!").await;
        peer.frame_of(kind::PING).await
    };
    while_serving(&mut client, &mut kept, barrier).await;
    let open = Rc::new(Cell::new(false));
    let asked = Rc::new(Cell::new(0));
    client.set_gate({
        let (open, asked) = (open.clone(), asked.clone());
        move || {
            asked.set(asked.get() + 1);
            open.get()
        }
    });
    write_all(&mut client, 1..=1);
    let ask_twice = async {
        while asked.get() < 4 {
            tokio::task::yield_now().await;
        }
    };
    while_serving(&mut client, &mut kept, ask_twice).await;
    let unread = std::future::poll_fn(|cx| {
        let mut byte = [0];
        let mut into = tokio::io::ReadBuf::new(&mut byte);
        Poll::Ready(
            Pin::new(&mut peer.stream).poll_read(cx, &mut into).is_ready() && !into.filled().is_empty(),
        )
    });
    assert!(!unread.await, "nothing may come through a shut gate");
    open.set(true);
    let script = async {
        let asked = peer.request().await;
        peer.reply(&asked, 200, b"").await;
    };
    let ((), found) = tokio::join!(script, answers(&mut client, 1));
    assert_eq!(labels(&found), [(1, "reply")]);
}
