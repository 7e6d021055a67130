//! What the suites can't see of an attachment: what it says when it ends, its lease, its thread's fate.

use std::io::ErrorKind;

use skein_backends::clock::SystemClock;
use skein_backends::rabbitmq::{RabbitBroker, RabbitOptions};
use skein_core::QueueName;
use skein_core::seam::{Broker as _, BrokerError, Clock as _, Inbox as _};
use skein_tests::{need, until};

use crate::wiretap::{BASIC_ACK, CONNECTION_OPEN, POLITE, Wiretap};
use crate::world::{LIMIT, MAX_LENGTH_BYTES, World, link, pool};

fn queue() -> QueueName {
    QueueName { pool: pool("im"), number: 0 }
}

async fn tapped(world: &World) -> (Wiretap, RabbitBroker) {
    let tap = Wiretap::start(world.rabbit.amqp()).await;
    let url = world.url.replace(&world.rabbit.amqp().to_string(), &tap.address.to_string());
    let options = RabbitOptions { max_length_bytes: MAX_LENGTH_BYTES, ..RabbitOptions::new(link(&url)) };
    (tap, RabbitBroker::new(options))
}

/// What a client said since its last `basic.consume`, once it has ended.
async fn last_words(mut tap: Wiretap) -> Vec<(u16, u16)> {
    let ended = tap.ended.wait_for(Option::is_some).await.unwrap();
    assert_eq!(*ended, Some(ErrorKind::ConnectionReset), "an abrupt end, not a handshake");
    let said = tap.said.lock().unwrap().clone();
    assert!(said.contains(&CONNECTION_OPEN), "the tap hears: {said:?}");
    let consume = said.iter().rposition(|m| *m == (60, 20)).expect("basic.consume");
    said[consume..].to_vec()
}

/// The control: what the driver itself says when it is dropped, and that the tap hears it.
#[tokio::test]
async fn the_driver_alone_says_good_bye() {
    need!("rabbitmq");
    let world = World::new("polite").await;
    let mut tap = Wiretap::start(world.rabbit.amqp()).await;
    let url = world.url.replace(&world.rabbit.amqp().to_string(), &tap.address.to_string());
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
    drop(connection);
    tap.ended.wait_for(Option::is_some).await.unwrap();
    assert!(tap.said.lock().unwrap().iter().any(|m| POLITE.contains(m)));
}

/// P2: a polite good-bye with deliveries unsettled reorders; a drop must not say one.
#[tokio::test]
async fn a_drop_says_nothing() {
    need!("rabbitmq");
    let world = World::new("drop").await;
    world.declare("im", 1).await;
    for body in 0..5 {
        world.publish(&queue(), &[body], false).await;
    }
    let (tap, broker) = tapped(&world).await;
    let mut inbox = broker.attach(&queue(), 10).await.unwrap();
    assert!(!inbox.take(3).await.unwrap().is_empty());
    drop(inbox);
    let words = last_words(tap).await;
    assert!(!words.iter().any(|m| POLITE.contains(m)), "P2: {words:?}");
}

/// P1, P2: leaving lets the broker read every acknowledgement first, and says nothing else.
#[tokio::test]
async fn leaving_acknowledges_and_says_nothing_more() {
    need!("rabbitmq");
    let world = World::new("leave").await;
    world.declare("im", 1).await;
    for body in 0..50 {
        world.publish(&queue(), &[body], false).await;
    }
    let (tap, broker) = tapped(&world).await;
    let mut inbox = broker.attach(&queue(), 40).await.unwrap();
    let mut tags = Vec::new();
    while tags.len() < 30 {
        tags.extend(inbox.take(30 - tags.len()).await.unwrap().iter().map(|d| d.tag));
    }
    inbox.settle(&mut tags).await.unwrap();
    inbox.leave().await;
    let words = last_words(tap).await;
    assert!(!words.iter().any(|m| POLITE.contains(m)), "P2: {words:?}");
    assert_eq!(words.iter().filter(|m| **m == BASIC_ACK).count(), 1, "one acknowledgement for the front");
    let back = async || (world.depth(&queue().on_broker()).await == 20).then_some(());
    until("the untouched ones to be back", LIMIT, back).await.unwrap();
    let rest: Vec<u8> = world.drain(&queue().on_broker()).await.iter().map(|d| d.data[0]).collect();
    assert_eq!(rest, (30..50).collect::<Vec<u8>>());
}

/// P2: a lost path shuts the gate within the lease, long before the heartbeat notices.
#[tokio::test]
async fn silence_shuts_the_lease() {
    need!("rabbitmq");
    let world = World::new("silence").await;
    world.declare("im", 1).await;
    let inbox = world.broker().attach(&queue(), 10).await.unwrap();
    let lease = inbox.lease();
    assert!(lease.is_open(SystemClock.boot()));
    world.relay.silence();
    let shut = async || (!lease.is_open(SystemClock.boot())).then_some(());
    until("the lease to be shut", LIMIT, shut).await.unwrap();
    drop(inbox);
}

/// The end of an attachment is seen without taking, and by the lease at once.
#[tokio::test]
async fn a_cut_is_seen_by_who_takes_nothing() {
    need!("rabbitmq");
    let world = World::new("cut").await;
    world.declare("im", 1).await;
    world.publish(&queue(), b"waiting", false).await;
    let mut inbox = world.broker().attach(&queue(), 10).await.unwrap();
    let lease = inbox.lease();
    world.relay.cut_all();
    let error = tokio::time::timeout(LIMIT, inbox.cut()).await.unwrap();
    assert!(matches!(error, BrokerError::Away(_)), "{error:?}");
    assert!(!lease.is_open(SystemClock.boot()), "P2");
    assert!(inbox.take(1).await.is_err() || inbox.take(1).await.is_err());
}

#[tokio::test]
async fn what_is_missing_is_said() {
    need!("rabbitmq");
    let world = World::new("missing").await;
    let error = world.broker().attach(&queue(), 10).await.err().unwrap();
    assert!(matches!(&error, BrokerError::Refused(why) if why.contains("skein cluster init")), "{error}");
    world.relay.set_refusing(true);
    let error = world.broker().attach(&queue(), 10).await.err().unwrap();
    assert!(matches!(&error, BrokerError::Away(_)), "{error}");
}
