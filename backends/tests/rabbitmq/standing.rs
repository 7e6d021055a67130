//! A start need not declare what stands: what is missing, even one binding that perhaps was not made, is found.

use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use skein_core::QueueName;
use skein_core::seam::{Broker as _, BrokerError};
use skein_tests::need;
use tokio::sync::watch;

use crate::world::{LIMIT, MAX_LENGTH_BYTES, World, pool};

#[tokio::test]
async fn all_of_it_stands_or_it_is_declared() {
    need!("rabbitmq");
    let world = World::new("standing").await;
    let broker = world.broker();
    let pools = [(pool("im"), 4)];
    assert!(!broker.stands(&pools).await.unwrap(), "nothing is declared");
    world.declare("im", 4).await;
    assert!(broker.stands(&pools).await.unwrap());
    assert!(!broker.stands(&[(pool("im"), 3)]).await.unwrap(), "P3: a slot is in another queue then");
    assert!(!broker.stands(&[(pool("im"), 5)]).await.unwrap());
    assert!(!broker.stands(&[(pool("im"), 4), (pool("other"), 1)]).await.unwrap());

    let channel = world.channel().await;
    channel.queue_delete("skein.im.q2".into(), QueueDeleteOptions::default()).await.unwrap();
    assert!(!broker.stands(&pools).await.unwrap(), "P1: its slots are bound to nothing");
    world.declare("im", 4).await;
    assert!(broker.stands(&pools).await.unwrap());

    // As if its declarer had ended before the last binding.
    let mark = "skein.im.whole.4";
    channel.exchange_delete(mark.into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert!(!broker.stands(&pools).await.unwrap(), "P1: nobody knows whether every binding was made");
    world.declare("im", 4).await;
    match world.broker_of(MAX_LENGTH_BYTES / 2).stands(&pools).await {
        Err(BrokerError::Refused(why)) => assert!(why.contains("max_length_bytes"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_attached_to_before_it_is_declared() {
    need!("rabbitmq");
    let world = World::new("once").await;
    world.declare("im", 1).await;
    let (declared, known) = watch::channel(false);
    let broker = world.broker().once(known);
    let queue = QueueName { pool: pool("im"), number: 0 };
    let attaching = tokio::spawn(async move { broker.attach(&queue, 10).await });
    // A round trip of another connection: far more than attaching would take.
    let channel = world.channel().await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let looked = channel.queue_declare("skein.im.q0".into(), passive, Default::default()).await.unwrap();
    assert_eq!(looked.consumer_count(), 0);
    declared.send_replace(true);
    let attached = tokio::time::timeout(LIMIT, attaching).await.unwrap().unwrap();
    assert!(attached.is_ok(), "{:?}", attached.err());
}
