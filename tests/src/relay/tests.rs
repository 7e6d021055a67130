use std::{io::ErrorKind, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Relay, Side};
use crate::until;

const LIMIT: Duration = Duration::from_secs(60);

struct Pair {
    relay: Relay,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::start(listener.local_addr().unwrap()).await.unwrap();
    let client = TcpStream::connect(relay.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let mut pair = Pair { relay, listener, client, server };
    pair.passes(b"hello").await;
    pair
}

impl Pair {
    async fn passes(&mut self, bytes: &[u8]) {
        let mut read = vec![0; bytes.len()];
        self.client.write_all(bytes).await.unwrap();
        self.server.read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        self.server.write_all(bytes).await.unwrap();
        self.client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes);
    }
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let pair = pair().await;
    let counted = async || {
        let both = (pair.relay.bytes_to(Side::Server), pair.relay.bytes_to(Side::Client));
        (both == (5, 5)).then_some(())
    };
    until("5 bytes each way", LIMIT, counted).await.unwrap();
    assert_eq!((pair.relay.open(), pair.relay.accepted()), (1, 1));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_sees_the_source_that_is_named() {
    let source = std::net::Ipv4Addr::new(127, 0, 0, 77);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::start_from(listener.local_addr().unwrap(), source).await.unwrap();
    let _client = TcpStream::connect(relay.address()).await.unwrap();
    let (_server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip(), source);
}

#[tokio::test]
async fn a_cut_resets_both_sides() {
    let mut pair = pair().await;
    pair.relay.cut_all();
    assert_eq!(pair.client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(pair.server.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    until("no open connection", LIMIT, async || (pair.relay.open() == 0).then_some(())).await.unwrap();
    pair.client = TcpStream::connect(pair.relay.address()).await.unwrap();
    pair.server = pair.listener.accept().await.unwrap().0;
    pair.passes(b"an earlier cut does not touch new connections").await;
}

#[tokio::test]
async fn a_cut_of_the_client_leaves_the_server_half_open() {
    let mut pair = pair().await;
    pair.relay.cut(Side::Client);
    assert_eq!(pair.client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(pair.relay.open(), 1);
    assert_eq!(pair.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    pair.relay.cut(Side::Server);
    assert_eq!(pair.server.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn frozen_bytes_arrive_after_the_thaw() {
    let mut pair = pair().await;
    pair.relay.freeze();
    pair.client.write_all(b"late").await.unwrap();
    assert_eq!(pair.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    pair.relay.resume();
    let mut read = [0; 4];
    pair.server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"late");
}

#[tokio::test]
async fn a_silenced_connection_stays_dead_and_a_new_one_lives() {
    let mut pair = pair().await;
    pair.relay.silence();
    pair.client.write_all(b"lost").await.unwrap();
    pair.client.shutdown().await.unwrap();
    pair.client = TcpStream::connect(pair.relay.address()).await.unwrap();
    let silenced = std::mem::replace(&mut pair.server, pair.listener.accept().await.unwrap().0);
    pair.relay.resume();
    pair.passes(b"alive").await;
    assert_eq!(silenced.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn refusing_means_that_nobody_listens() {
    let mut pair = pair().await;
    pair.relay.set_refusing(true);
    let refused = async || TcpStream::connect(pair.relay.address()).await.err();
    let error = until("a refused connection", LIMIT, refused).await.unwrap();
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{error}");
    pair.passes(b"open connections go on").await;
    pair.relay.set_refusing(false);
    let accepted = async || TcpStream::connect(pair.relay.address()).await.ok();
    until("an accepted connection", LIMIT, accepted).await.unwrap();
}
