//! P8: bodies, requests, rates and waits are bounded, and an orderly end waits for what is under way.

use std::time::Duration;

use skein_gateway::{Options, ServeOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gated::Gated;
use crate::support::{KEY, ONE, call, door_over, door_with};

#[tokio::test]
async fn a_body_over_its_bound_is_refused() {
    let door = door_with(Options { body_bytes_max: ONE.len(), ..Options::default() }).await;
    assert_eq!(door.submit(ONE).await.status, 202);
    assert_eq!(door.submit(&format!("{ONE} ")).await.problem(), (413, "too_large".to_owned()));
}

#[tokio::test]
async fn a_key_has_a_rate() {
    let door = door_with(Options { rate_max: 1, rate_burst: 2, ..Options::default() }).await;
    assert_eq!(door.submit(&format!("[{ONE},{ONE}]")).await.status, 202);
    let limited = door.submit(&format!("[{ONE},{ONE}]")).await;
    assert_eq!(limited.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(limited.header("retry-after"), Some("2"));
    assert_eq!(door.waiting(), 2);
}

#[tokio::test]
async fn more_items_than_a_request_may_have_are_refused() {
    let door = door_with(Options { items_max: 2, ..Options::default() }).await;
    assert_eq!(door.submit(&format!("[{ONE},{ONE},{ONE}]")).await.fields(), ["items"]);
    let shared =
        r#"{"topic":"com.example.im","payload":{},"items":[{"token":"aa"},{"token":"bb"},{"token":"cc"}]}"#;
    assert_eq!(door.submit(shared).await.fields(), ["items"]);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let options = Options { body_deadline: Duration::from_millis(20), ..Options::default() };
    let door = door_with(options).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = format!(
        "POST /v1/notifications?pool=enterprise HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 9\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let serving = ServeOptions { head_deadline: Duration::from_millis(20), ..ServeOptions::default() };
    let door = door_over(Options::default(), serving, Gated::default()).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(b"POST /v1/notif").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

async fn post(address: std::net::SocketAddr) -> u16 {
    let key = format!("Bearer {KEY}");
    let path = "/v1/notifications?pool=enterprise";
    call(address, "POST", path, &[("authorization", &key)], ONE.as_bytes()).await.status
}

#[tokio::test]
async fn requests_under_way_are_bounded_even_if_their_callers_hung_up() {
    let engine = Gated::default();
    let options = Options { requests_max: 1, ..Options::default() };
    let door = door_over(options, ServeOptions::default(), engine.clone()).await;
    let first = tokio::spawn(post(door.address));
    engine.begun.acquire().await.unwrap().forget();
    first.abort();
    let _ = first.await;
    assert_eq!(post(door.address).await, 503, "the work of the one that hung up goes on");
    engine.gate.add_permits(2);
    while post(door.address).await != 202 {}
}

#[tokio::test]
async fn the_end_waits_for_what_is_under_way() {
    let engine = Gated::default();
    let door = door_over(Options::default(), ServeOptions::default(), engine.clone()).await;
    let (address, shutdown, served) = (door.address, door.shutdown, door.served);
    let under_way = tokio::spawn(post(address));
    engine.begun.acquire().await.unwrap().forget();
    shutdown.send(()).expect("it is serving");
    while TcpStream::connect(address).await.is_ok() {}
    engine.gate.add_permits(1);
    assert_eq!(under_way.await.unwrap(), 202);
    served.await.unwrap().expect("an orderly end");
}

#[tokio::test]
async fn bounds_are_replaced_while_running() {
    let start = Options { rate_max: 1, rate_burst: 1, ..Options::default() };
    let door = door_with(start.clone()).await;
    assert_eq!(door.submit(ONE).await.status, 202);
    assert_eq!(door.submit(ONE).await.status, 429);
    door.gateway.replace_options(Options { rate_max: 1_000_000, items_max: 1, ..start });
    while door.submit(ONE).await.status == 429 {}
    assert_eq!(door.submit(&format!("[{ONE},{ONE}]")).await.fields(), ["items"]);
}
