//! Connections that can't be made, and the ways there.

use crate::server::*;
use skein_apns::frame::kind;
use skein_apns::*;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What a request comes back with when no connection can be made.
async fn failure(config: ClientConfig, credential: Credential) -> ConnectFailure {
    let mut client = Client::new(config, credential);
    write_all(&mut client, 1..=1);
    match answers(&mut client, 1).await.remove(0).1 {
        Answer::NotSent { why: NotSent::NoConnection(failure), .. } => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_without_a_server_refuses() {
    let server = Server::new().await;
    let refusing = {
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = ClientConfig {
        endpoint: Endpoint::custom("localhost", refusing, Environment::Sandbox).unwrap(),
        ..server.config()
    };
    assert_eq!(failure(config, token()).await, ConnectFailure::Refused);
}

#[tokio::test]
async fn an_untrusted_server_is_a_fault_of_the_chain() {
    let server = Server::new().await;
    let config = ClientConfig { roots: Roots::apple(), ..server.config() };
    let serve = async {
        loop {
            assert!(server.accept_tls().await.is_err());
        }
    };
    tokio::select! {
        () = serve => {}
        found = failure(config, token()) => assert_eq!(found, ConnectFailure::TlsChain),
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_fault_of_the_handshake() {
    let server = Server::new().await;
    let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
    let config = ClientConfig {
        endpoint: Endpoint::custom("localhost", listener.local_addr().unwrap().port(), Environment::Sandbox)
            .unwrap(),
        ..server.config()
    };
    let serve = async {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tcp.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        }
    };
    tokio::select! {
        () = serve => {}
        found = failure(config, token()) => assert_eq!(found, ConnectFailure::TlsHandshake),
    }
}

#[tokio::test]
async fn p3_a_certificate_that_the_server_refuses_leaves_nothing_in_doubt() {
    let pki = Pki::new();
    let config = pki.server_config(Some(&pki));
    let server = Server::with(pki, config).await;
    let stranger = Pki::new().client_certificate();
    let mut client = Client::new(server.config(), stranger);
    write_all(&mut client, 1..=1);
    let serve = async {
        loop {
            // Kept open until the client has read the alert: a close would race it with a reset.
            let mut tcp = server.accept_raw().await;
            let error = server.handshake(&mut tcp).await.unwrap_err();
            assert!(error.to_string().contains("certificate"), "{error}");
            let mut sink = [0; 1024];
            while tokio::io::AsyncReadExt::read(&mut tcp, &mut sink).await.is_ok_and(|n| n > 0) {}
        }
    };
    tokio::select! {
        () = serve => {}
        found = answers(&mut client, 1) => assert_eq!(labels(&found), [(1, "no_connection")]),
    }
    assert_eq!(client.health().connections.writes, 0);
    assert_eq!(client.status().last_failure.unwrap().failure, ConnectFailure::ClientCertificate);
}

/// P3: a server that hangs up after the handshake, as some refuse a certificate with TLS 1.3, has been given nothing.
#[tokio::test]
async fn p3_a_server_that_hangs_up_after_the_handshake_leaves_nothing_in_doubt() {
    let server = Server::new().await;
    let mut client = Client::new(server.config(), server.pki.client_certificate());
    write_all(&mut client, 1..=20);
    let mut connects = 0;
    let serve = async {
        loop {
            drop(server.accept_tls().await.unwrap());
            connects += 1;
        }
    };
    let found = tokio::select! {
        () = serve => unreachable!("it serves for ever"),
        found = answers(&mut client, 20) => found,
    };
    assert!(connects > 0);
    for (key, answer) in &found {
        let why = NotSent::NoConnection(ConnectFailure::TlsHandshake);
        assert!(matches!(answer, Answer::NotSent { why: found, .. } if *found == why), "{key}: {answer:?}");
    }
    let health = client.health();
    assert_eq!((health.connections.writes, health.connections_lost), (0, 0), "nothing was written");
    assert!(health.connect_failures[ConnectFailure::TlsHandshake.index()] > 0);
}

#[tokio::test]
async fn p8_a_server_that_never_speaks_is_a_failure_to_connect() {
    let server = Server::new().await;
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(200),
        unsent_max: Duration::from_millis(600),
        connections_max: 1,
        ..server.config()
    };
    let mut client = Client::new(config, token());
    write_all(&mut client, 1..=1);
    let mut kept = Vec::new();
    let serve = async {
        loop {
            kept.push(server.accept_tls().await.unwrap());
        }
    };
    let found = tokio::select! {
        () = serve => unreachable!("it serves for ever"),
        found = answers(&mut client, 1) => found,
    };
    let why = NotSent::NoConnection(ConnectFailure::Timeout);
    assert!(matches!(found[0].1, Answer::NotSent { why: found, .. } if found == why), "{found:?}");
    let health = client.health();
    assert_eq!((health.connections.writes, health.connections_lost), (0, 0));
    assert!(health.connect_failures[ConnectFailure::Timeout.index()] > 0);
}

#[tokio::test]
async fn a_connection_serves_from_the_servers_settings_on() {
    let server = Server::new().await;
    let config = ClientConfig { ping_after: Duration::from_millis(100), ..server.config() };
    let mut client = Client::new(config, token());
    write_all(&mut client, 1..=1);
    let mut kept = Vec::new();
    let until_silent = async {
        let mut peer = server.accept_silent().await;
        // Of what the client has to say nothing is a request.
        for expected in [kind::SETTINGS, kind::WINDOW_UPDATE, kind::PING] {
            assert_eq!(peer.frame().await.0.kind, expected);
        }
        peer
    };
    let mut peer = while_serving(&mut client, &mut kept, until_silent).await;
    assert!(!client.is_connected());
    let until_asked = async {
        peer.settings(MANY).await;
        peer.request().await
    };
    let asked = while_serving(&mut client, &mut kept, until_asked).await;
    assert!(client.is_connected());
    peer.reply(&asked, 200, b"").await;
    assert_eq!(labels(&answers(&mut client, 1).await), [(1, "reply")]);
}

#[tokio::test]
async fn a_proxy_opens_a_tunnel() {
    let server = Server::new().await;
    let proxy = TcpListener::bind(("localhost", 0)).await.unwrap();
    let config = ClientConfig {
        proxy: Some(Proxy {
            user: Some(("user".into(), Secret::from("pass".to_owned()))),
            ..Proxy::new("localhost", proxy.local_addr().unwrap().port())
        }),
        ..server.config()
    };
    let mut client = Client::new(config, token());
    write_all(&mut client, 1..=1);
    let tunnel = async {
        let (tcp, _) = proxy.accept().await.unwrap();
        let mut inward = BufReader::new(tcp);
        let mut asked = String::new();
        while !asked.ends_with("\r\n\r\n") {
            inward.read_line(&mut asked).await.unwrap();
        }
        assert!(asked.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port())));
        inward.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut outward = TcpStream::connect(("localhost", server.port())).await.unwrap();
        copy_bidirectional(&mut inward, &mut outward).await
    };
    let script = server.accept_and_reply();
    let served = async { tokio::join!(script, answers(&mut client, 1)).1 };
    tokio::select! {
        _ = tunnel => panic!("the tunnel ended"),
        found = served => assert_eq!(labels(&found), [(1, "reply")]),
    }
}

#[tokio::test]
async fn more_work_than_one_connection_takes_opens_another() {
    let server = Server::new().await;
    let config = ClientConfig { streams_max: 1, connections_max: 2, ..server.config() };
    let mut client = Client::new(config, server.pki.client_certificate());
    write_all(&mut client, 1..=2);
    let script = async {
        let mut first = server.accept(MANY).await;
        let one = first.request().await;
        let mut second = server.accept(MANY).await;
        let two = second.request().await;
        assert_eq!((one.stream, two.stream), (1, 1));
        second.reply(&two, 200, b"").await;
        first.reply(&one, 200, b"").await;
        (first, second)
    };
    let (_peers, found) = tokio::join!(script, answers(&mut client, 2));
    assert_eq!(labels(&found), [(1, "reply"), (2, "reply")]);
    assert_eq!(client.status().open, 2);
}
