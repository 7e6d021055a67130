//! The dry connection: what it finds out of a credential without a push.

use crate::server::*;
use skein_apns::frame::{flag, kind};
use skein_apns::*;
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_good_credential_is_answered_and_nothing_is_pushed() {
    let server = Server::new().await;
    let config = server.config();
    let credential = server.pki.client_certificate();
    let script = async {
        let mut peer = server.accept(MANY).await;
        let (_, ping) = peer.frame_of(kind::PING).await;
        peer.send(kind::PING, flag::ACK, 0, &ping).await;
        let mut kinds = Vec::new();
        while let Ok(first) = peer.stream.read_u8().await {
            kinds.push(first);
        }
        kinds
    };
    let (_, found) = tokio::join!(script, probe(&config, &credential));
    assert!(found.unwrap().took < config.connect_timeout);
}

#[tokio::test]
async fn a_certificate_that_the_handshake_refuses_is_a_refusal() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let config = ours.server_config(Some(&theirs));
    let server = Server::with(ours, config).await;
    let config = server.config();
    // Of an authority that the server does not know.
    let credential = server.pki.client_certificate();
    let script = async {
        let mut tcp = server.accept_raw().await;
        server.handshake(&mut tcp).await.unwrap_err();
        let mut sink = [0; 1024];
        while tcp.read(&mut sink).await.is_ok_and(|n| n > 0) {}
    };
    let ((), found) = tokio::join!(script, probe(&config, &credential));
    let error = found.unwrap_err();
    assert!(error.is_refusal(), "{error}");
}

#[tokio::test]
async fn a_goaway_with_a_reason_is_a_refusal() {
    let server = Server::new().await;
    let (config, credential) = (server.config(), server.pki.client_certificate());
    let script = async {
        let mut peer = server.accept(MANY).await;
        peer.goaway(0, br#"{"reason":"BadCertificateEnvironment"}"#).await;
        peer
    };
    let (_peer, found) = tokio::join!(script, probe(&config, &credential));
    let error = found.unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("BadCertificateEnvironment"), "{error}");
}

#[tokio::test]
async fn no_way_to_apns_says_nothing_of_the_credential() {
    let server = Server::new().await;
    let config = ClientConfig { connect_timeout: Duration::from_millis(200), ..server.config() };
    let error = probe(&config, &token()).await.unwrap_err();
    assert!(!error.is_refusal(), "{error}");
    let nobody = Endpoint::custom("localhost", 1, Environment::Sandbox).unwrap();
    let error = probe(&ClientConfig { endpoint: nobody, ..server.config() }, &token()).await.unwrap_err();
    assert!(matches!(error, ProbeError::Unreachable(_)), "{error}");
}
