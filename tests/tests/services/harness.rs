//! Each service starts, is killed, stopped and frozen, and keeps its data on the same ports.

use std::{io::ErrorKind, time::Duration};

use lapin::options::BasicAckOptions;
use skein_tests::{
    need,
    process::Program,
    relay::Relay,
    services::{PostgreSql, RabbitMq, ZooKeeper},
    until,
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::amqp::{QUEUE, connect, consume, declare, next, publish, take};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_confirmed_message_survives_the_brokers_kill() {
    need!("rabbitmq");
    let mut broker = RabbitMq::start().await.unwrap();
    let url = broker.vhost("survivor").await.unwrap();
    let connection = connect(&url).await;
    let channel = connection.create_channel().await.unwrap();
    declare(&channel).await;
    publish(&channel, [7]).await;
    broker.registered(QUEUE).await.unwrap();

    broker.kill9();
    assert!(TcpStream::connect(broker.amqp()).await.is_err(), "the broker still listens");
    broker.start_again().await.unwrap();

    let connection = connect(&url).await;
    let channel = connection.create_channel().await.unwrap();
    let mut consumer = consume(&channel, 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.data, b"7");
    delivery.ack(BasicAckOptions::default()).await.unwrap();
}

#[tokio::test]
async fn the_relays_reset_is_seen_by_a_client_of_the_broker() {
    need!("rabbitmq");
    let broker = RabbitMq::shared().await.unwrap();
    let relay = Relay::start(broker.amqp()).await.unwrap();
    let mut raw = TcpStream::connect(relay.address()).await.unwrap();
    let connection = connect(&format!("amqp://guest:guest@{}/%2f", relay.address())).await;
    until("both connections to be open", LIMIT, async || (relay.open() == 2).then_some(())).await.unwrap();

    relay.cut_all();
    assert_eq!(raw.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let lost = async || (!connection.status().connected()).then_some(());
    until("the client to notice", LIMIT, lost).await.unwrap();
}

#[tokio::test]
async fn an_ended_broker_leaves_nothing_behind() {
    need!("rabbitmq");
    let broker = RabbitMq::start().await.unwrap();
    let (address, ids) = (broker.amqp(), broker.process_ids());
    assert_eq!(ids.len(), 2, "epmd and the node");
    drop(broker);
    assert!(TcpStream::connect(address).await.is_err());
    for id in ids {
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "process {id} lives");
    }
}

#[tokio::test]
async fn services_do_not_outlive_a_killed_test() {
    need!("zookeeper", "postgresql");
    let mut program = Program::new(env!("CARGO_BIN_EXE_services"));
    let temp = tempfile::tempdir().unwrap();
    std::fs::set_permissions(temp.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    program.command().args(["--only", "zookeeper,postgresql"]).env("TMPDIR", temp.path());
    let mut owner = program.start().unwrap();
    owner.wait_for_line("ready", Duration::from_secs(60)).await.unwrap();
    let address_of = |name: &str| {
        let output = owner.output();
        let line = output.lines().find(|line| line.starts_with(name)).unwrap();
        let host = line.rsplit(['=', '@']).next().unwrap();
        host.trim_end_matches("/postgres").to_owned()
    };
    let addresses = [address_of("ZOOKEEPER"), address_of("DATABASE_URL")];
    for address in &addresses {
        TcpStream::connect(address).await.unwrap();
    }

    owner.kill9();
    let ended = async |address: &str| TcpStream::connect(address).await.is_err().then_some(());
    for address in &addresses {
        until("a service to end with its owner", LIMIT, async || ended(address).await).await.unwrap();
    }
    let left = || {
        std::fs::read_dir(temp.path()).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
    };
    let deleted = async || left().all(|name| name.starts_with("skein-ports-")).then_some(());
    until("the folders to be deleted", LIMIT, deleted).await.unwrap();
}

#[tokio::test]
async fn a_frozen_broker_keeps_its_sockets_and_goes_on() {
    need!("rabbitmq");
    let mut broker = RabbitMq::start().await.unwrap();
    let url = broker.vhost("frozen").await.unwrap();
    let connection = connect(&url).await;
    let channel = connection.create_channel().await.unwrap();
    declare(&channel).await;

    broker.pause();
    let mut publishing = std::pin::pin!(publish(&channel, [1]));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut publishing).await;
    assert!(early.is_err(), "a frozen broker confirmed");
    broker.resume();
    publishing.await;
    assert_eq!(take(&mut consume(&channel, 1).await, 1).await, [(1, false)]);
}

#[tokio::test]
async fn a_database_keeps_its_rows_over_stop_and_kill() {
    need!("postgresql");
    let mut server = PostgreSql::start().await.unwrap();
    let url = server.database("ledger").await.unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    server.query(&name, "CREATE TABLE fact (id int); INSERT INTO fact VALUES (1)").await.unwrap();

    server.restart().await.unwrap();
    server.query(&name, "INSERT INTO fact VALUES (2), (NULL)").await.unwrap();
    server.kill9().await.unwrap();
    assert!(server.query(&name, "SELECT 1").await.is_err(), "the server still answers");
    server.start_again().await.unwrap();

    let rows = server.query(&name, "SELECT id FROM fact ORDER BY id").await.unwrap();
    assert_eq!(rows, [vec![Some("1".to_owned())], vec![Some("2".to_owned())], vec![None]]);
    let error = server.query(&name, "SELECT 1/0").await.unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
}

#[tokio::test]
async fn databases_of_one_server_are_apart() {
    need!("postgresql");
    let server = PostgreSql::shared().await.unwrap();
    let first = server.database("same").await.unwrap();
    let second = server.database("same").await.unwrap();
    assert_ne!(first, second);
}

#[tokio::test]
async fn zookeeper_answers_before_and_after_a_kill() {
    need!("zookeeper");
    let mut server = ZooKeeper::start().await.unwrap();
    assert!(server.word("srvr").await.unwrap().contains("Mode: standalone"));
    server.kill9();
    assert!(server.word("srvr").await.is_err());
    server.start_again().await.unwrap();
    assert_eq!(server.word("ruok").await.unwrap(), "imok");
    server.pause();
    assert!(server.word("ruok").await.is_err(), "a frozen server answered");
    server.resume();
    assert_eq!(server.word("ruok").await.unwrap(), "imok");
    server.stop().await.unwrap();
}
