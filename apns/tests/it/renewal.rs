//! Connections that make way for others: age, rotation, failures in a row.

use crate::server::*;
use skein_apns::frame::kind;
use skein_apns::*;
use std::time::Duration;

async fn serve_one(peer: &mut Peer) -> Asked {
    let asked = peer.request().await;
    peer.reply(&asked, 200, b"").await;
    asked
}

/// Writes a push, and lets the server answer it on `peer`.
async fn one_push(client: &mut Client, key: u64, peer: &mut Peer) -> Asked {
    write_all(client, key..=key);
    let mut found = Vec::new();
    let asked = while_serving(client, &mut found, serve_one(peer)).await;
    if found.is_empty() {
        found = answers(client, 1).await;
    }
    assert_eq!(labels(&found), [(key, "reply")]);
    asked
}

#[tokio::test]
async fn a_rotated_credential_takes_over_once_it_has_served() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let mut kept = Vec::new();
    let mut old = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    let before = one_push(&mut client, 1, &mut old).await;

    client.rotate(token());
    let mut new = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    assert_eq!((client.status().open, client.status().retiring), (2, 0), "the old one is still there");
    let after = one_push(&mut client, 2, &mut new).await;
    assert_ne!(before.header("authorization"), after.header("authorization"));
    one_push(&mut client, 3, &mut new).await;
    assert_eq!((client.status().open, client.health().retired), (1, 1));
}

#[tokio::test]
async fn a_bad_new_credential_leaves_the_old_one_in_place() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let mut kept = Vec::new();
    let mut old = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    one_push(&mut client, 1, &mut old).await;

    client.rotate(token());
    let mut new = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    write_all(&mut client, 2..=2);
    let script = async {
        let asked = new.request().await;
        new.reply(&asked, 403, br#"{"reason":"InvalidProviderToken"}"#).await;
    };
    while_serving(&mut client, &mut kept, script).await;
    kept.extend(answers(&mut client, 1 - kept.len()).await);
    assert!(matches!(kept[0].1, Answer::Reply { status: 403, .. }));
    one_push(&mut client, 3, &mut old).await;
    assert!(client.status().failures_in_row > 0, "the old one's service is no proof for the new");
}

#[tokio::test]
async fn a_connection_past_its_age_is_replaced_and_mints_a_new_token() {
    let server = Server::new().await;
    let config = ClientConfig { token_age_max: Duration::from_secs(1), ..server.config() };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    let mut first = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    let before = one_push(&mut client, 1, &mut first).await;
    let mut second = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    let after = one_push(&mut client, 2, &mut second).await;
    assert_ne!(before.header("authorization"), after.header("authorization"));
}

#[tokio::test]
async fn a_server_that_hangs_up_is_called_with_growing_pauses() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let mut kept = Vec::new();
    let script = async {
        for _ in 0..4 {
            server.accept(MANY).await.goaway(0, br#"{"reason":"BadCertificateEnvironment"}"#).await;
        }
        server.accept(MANY).await
    };
    let _peer = while_serving(&mut client, &mut kept, script).await;
    let status = client.status();
    assert!(status.failures_in_row >= 4, "{status:?}");
    assert_eq!(status.last_goaway.unwrap().reason, Some(Reason::BadCertificateEnvironment));
}

#[tokio::test]
async fn a_connection_that_is_no_longer_needed_is_closed() {
    let server = Server::new().await;
    let config = ClientConfig {
        streams_max: 1,
        connections_max: 2,
        idle_max: Duration::from_millis(100),
        ..server.config()
    };
    let mut client = Client::new(config, server.pki.client_certificate());
    write_all(&mut client, 1..=2);
    let script = async {
        let mut first = server.accept(MANY).await;
        let one = first.request().await;
        let mut second = server.accept(MANY).await;
        serve_one(&mut second).await;
        first.reply(&one, 200, b"").await;
        (first, second)
    };
    let mut kept = Vec::new();
    let (mut first, mut second) = while_serving(&mut client, &mut kept, script).await;
    let end = async {
        tokio::select! {
            (header, _) = first.frame_of(kind::GOAWAY) => header,
            (header, _) = second.frame_of(kind::GOAWAY) => header,
        }
    };
    while_serving(&mut client, &mut kept, end).await;
    assert_eq!(kept.len(), 2);
    assert_eq!((client.status().open, client.health().retired), (1, 1));
}

#[tokio::test]
async fn a_refused_credential_s_connection_goes_when_another_takes_its_place() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), token());
    let mut kept = Vec::new();
    let mut old = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    let before = one_push(&mut client, 1, &mut old).await;

    let first_of_bad = client.rotate(token());
    let mut bad = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    write_all(&mut client, 2..=2);
    let script = async {
        let asked = bad.request().await;
        // A word that does not end the connection by itself.
        bad.reply(&asked, 403, br#"{"reason":"Forbidden"}"#).await;
    };
    while_serving(&mut client, &mut kept, script).await;
    kept.extend(answers(&mut client, 1 - kept.len()).await);
    assert_eq!(kept[0].1.evidence().connection, first_of_bad);

    let first_of_good = client.rotate(token());
    assert!(first_of_good > first_of_bad);
    let mut good = while_serving(&mut client, &mut kept, server.accept(MANY)).await;
    let after = one_push(&mut client, 3, &mut good).await;
    assert_ne!(before.header("authorization"), after.header("authorization"));
    assert_eq!(client.status().open, 1, "neither the old nor the refused one");
}
