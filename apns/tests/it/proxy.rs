//! Through an HTTP proxy, over TCP and over TLS: each way of failing keeps its own class.

use crate::server::*;
use skein_apns::*;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// `user:pass`.
const LOGIN: &str = "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n";

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    Refuse,
    HangUpBeforeAnswer,
    HangUpAfterAnswer,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A proxy that asks for a login, and cuts its tunnels when told.
struct Connector {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    way: Way,
    cut: Notify,
}

impl Connector {
    async fn new(tls: Option<&Pki>, way: Way) -> Self {
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        let tls = tls.map(|pki| TlsAcceptor::from(Arc::new(pki.server_config(None))));
        Self { listener, tls, way, cut: Notify::new() }
    }

    fn proxy(&self, password: &str, tls: Option<&Pki>) -> Proxy {
        Proxy {
            user: Some(("user".into(), Secret::from(password.to_owned()))),
            tls: tls.map(Pki::roots),
            ..Proxy::new("localhost", self.listener.local_addr().unwrap().port())
        }
    }

    /// Serves one connection after the other.
    async fn serve(&self, server: u16) {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let inward: Box<dyn Wire> = match &self.tls {
                None => Box::new(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
            };
            self.one(inward, server).await;
        }
    }

    async fn one(&self, inward: Box<dyn Wire>, server: u16) {
        let mut inward = BufReader::new(inward);
        let mut asked = String::new();
        while !asked.ends_with("\r\n\r\n") {
            if inward.read_line(&mut asked).await.unwrap_or(0) == 0 {
                return;
            }
        }
        assert!(asked.starts_with(&format!("CONNECT localhost:{server} HTTP/1.1\r\n")), "{asked}");
        let answer = match self.way {
            Way::HangUpBeforeAnswer => return,
            Way::Refuse => "HTTP/1.1 403 Not that host\r\n\r\n",
            _ if !asked.contains(LOGIN) => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            _ => "HTTP/1.1 200 Connection established\r\n\r\n",
        };
        inward.write_all(answer.as_bytes()).await.unwrap();
        inward.flush().await.unwrap();
        if !answer.contains(" 200 ") || self.way == Way::HangUpAfterAnswer {
            return;
        }
        let mut outward = TcpStream::connect(("localhost", server)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut inward, &mut outward) => {}
            () = self.cut.notified() => {}
        }
    }
}

async fn failure(tls: bool, way: Way, password: &str) -> LastFailure {
    let server = Server::new().await;
    let pki = tls.then(Pki::new);
    let connector = Connector::new(pki.as_ref(), way).await;
    let config = ClientConfig { proxy: Some(connector.proxy(password, pki.as_ref())), ..server.config() };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    let failed = async {
        loop {
            let connecting = client.progress(&mut kept);
            let _ = tokio::time::timeout(std::time::Duration::from_millis(5), connecting).await;
            if let Some(last) = client.status().last_failure {
                return last;
            }
        }
    };
    tokio::select! {
        () = connector.serve(server.port()) => unreachable!("it serves on"),
        found = failed => found,
    }
}

#[tokio::test]
async fn each_way_of_failing_has_its_own_class() {
    use ConnectFailure::{ProxyAuthentication, ProxyLost, ProxyRefused};
    for tls in [false, true] {
        for (way, password, class) in [
            (Way::Open, "wrong", ProxyAuthentication),
            (Way::Refuse, "pass", ProxyRefused),
            (Way::HangUpBeforeAnswer, "pass", ProxyLost),
            (Way::HangUpAfterAnswer, "pass", ProxyLost),
        ] {
            let found = failure(tls, way, password).await;
            assert_eq!(found.failure, class, "tls {tls}: {}", found.detail);
            assert!(!found.detail.contains(password), "P9: {}", found.detail);
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_not_trusted_is_unreachable() {
    let server = Server::new().await;
    let nobody = TcpListener::bind(("localhost", 0)).await.unwrap().local_addr().unwrap().port();
    let config = ClientConfig { proxy: Some(Proxy::new("localhost", nobody)), ..server.config() };
    let mut client = Client::new(config, token());
    let mut kept = Vec::new();
    write_all(&mut client, 1..=1);
    client.progress(&mut kept).await;
    let unreachable = NotSent::NoConnection(ConnectFailure::ProxyUnreachable);
    assert!(matches!(&kept[0].1, Answer::NotSent { why, .. } if *why == unreachable), "{kept:?}");

    let (ours, theirs) = (Pki::new(), Pki::new());
    let connector = Connector::new(Some(&theirs), Way::Open).await;
    let config = ClientConfig { proxy: Some(connector.proxy("pass", Some(&ours))), ..server.config() };
    let mut client = Client::new(config, token());
    write_all(&mut client, 1..=1);
    tokio::select! {
        () = connector.serve(server.port()) => unreachable!("it serves on"),
        found = answers(&mut client, 1) => {
            assert!(matches!(&found[0].1, Answer::NotSent { why, .. } if *why == unreachable), "{found:?}");
        }
    }
    let detail = client.status().last_failure.unwrap().detail;
    assert!(detail.contains("tls to it fails"), "{detail}");
}

/// P3: what was read and not answered when the tunnel went is in doubt, what was never written is not sent.
#[tokio::test]
async fn p3_a_tunnel_cut_in_the_middle_is_told_from_apns() {
    for tls in [false, true] {
        let server = Server::new().await;
        let pki = tls.then(Pki::new);
        let connector = Connector::new(pki.as_ref(), Way::Open).await;
        let config = ClientConfig { proxy: Some(connector.proxy("pass", pki.as_ref())), ..server.config() };
        let mut client = Client::new(config, token());
        let mut kept = Vec::new();
        let script = async {
            let mut peer = server.accept(MANY).await;
            let asked = peer.request().await;
            peer.reply(&asked, 200, b"").await;
            peer.request().await;
            connector.cut.notify_one();
            // APNs itself stays: the next connection is through the same proxy.
            let mut again = server.accept(MANY).await;
            let asked = again.request().await;
            again.reply(&asked, 200, b"").await;
            (peer, again)
        };
        write_all(&mut client, 1..=1);
        let pushes = async {
            kept.extend(answers(&mut client, 1).await);
            write_all(&mut client, 2..=2);
            kept.extend(answers(&mut client, 1).await);
            write_all(&mut client, 3..=3);
            kept.extend(answers(&mut client, 1).await);
        };
        tokio::select! {
            () = connector.serve(server.port()) => unreachable!("it serves on"),
            _ = async { tokio::join!(script, pushes) } => {}
        }
        assert_eq!(labels(&kept), [(1, "reply"), (2, "tunnel_lost"), (3, "reply")], "tls {tls}");
        assert_eq!(client.health().tunnels_lost, 1);
        assert_eq!(client.status().last_lost, Some("tunnel"));
    }
}

/// What does not fit into one write to the proxy must still all arrive, TLS in TLS.
#[tokio::test]
async fn many_pushes_go_through_tls_in_tls() {
    const PUSHES: u64 = 90;
    let server = Server::new().await;
    let pki = Pki::new();
    let connector = Connector::new(Some(&pki), Way::Open).await;
    let config = ClientConfig { proxy: Some(connector.proxy("pass", Some(&pki))), ..server.config() };
    let mut client = Client::new(config, server.pki.client_certificate());
    let script = async {
        let mut peer = server.accept(MANY).await;
        for _ in 0..PUSHES {
            let asked = peer.request().await;
            peer.reply(&asked, 200, b"").await;
        }
        peer
    };
    write_all(&mut client, 1..=PUSHES);
    let served = async { tokio::join!(script, answers(&mut client, PUSHES as usize)).1 };
    tokio::select! {
        () = connector.serve(server.port()) => unreachable!("it serves on"),
        found = served => assert!(found.iter().all(|(_, answer)| answer.label() == "reply"), "{found:?}"),
    }
}
