//! A client that others wrote: the `h2` crate finds an ordinary HTTP/2 server.

use std::sync::Arc;

use h2::client::SendRequest;
use http::Request;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{bearer, config, start, token};

async fn push(sender: &mut SendRequest<&'static [u8]>, number: u64, body: &'static [u8]) -> (u16, Vec<u8>) {
    let request = Request::post(format!("https://localhost/3/device/{}", token(number)))
        .header("authorization", bearer())
        .header("apns-topic", "com.example.im")
        .header("apns-push-type", "alert")
        .body(())
        .expect("a request");
    let mut ready = sender.clone().ready().await.expect("ready");
    let (answer, mut stream) = ready.send_request(request, false).expect("sent");
    stream.send_data(body, true).expect("sent");
    let answer = answer.await.expect("an answer");
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        text.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).expect("released");
    }
    (status, text)
}

#[tokio::test]
async fn the_h2_crate_gets_its_answers() {
    let simulator = start(|_| {});
    let connector = TlsConnector::from(Arc::new(config(&simulator, &[b"h2"], None)));
    let socket = TcpStream::connect(simulator.addr()).await.expect("connected");
    let tls =
        connector.connect(ServerName::try_from("localhost").expect("a name"), socket).await.expect("tls");
    let (mut sender, connection) =
        h2::client::Builder::new().initial_max_send_streams(1).handshake(tls).await.expect("http/2");
    let driver = tokio::spawn(connection);
    for n in 0..200 {
        assert_eq!(push(&mut sender, n, b"{\"aps\":{}}").await.0, 200);
    }
    let (status, body) = push(&mut sender, 1, b"").await;
    assert_eq!((status, body.as_slice()), (400, &br#"{"reason":"PayloadEmpty"}"#[..]));
    let together = (0..100).map(|n| {
        let mut sender = sender.clone();
        tokio::spawn(async move { push(&mut sender, n, b"{\"aps\":{}}").await.0 })
    });
    for answer in together.collect::<Vec<_>>() {
        assert_eq!(answer.await.expect("joined"), 200);
    }
    assert_eq!(simulator.stats().stream_limit_violations, 0);
    drop(sender);
    driver.await.expect("joined").expect("a clean end");
}
