//! The producer under cuts, nacks, returns and alarms.

use std::collections::HashMap;

use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use skein_core::notification::Draft;
use skein_core::seam::{Broker as _, Inbox as _, SubmitError};
use skein_core::{Notification, NotificationId, QueueName, SlotMap, wire};
use skein_producer::{Producer, ProducerOptions, Wait};
use skein_tests::services::RabbitMq;
use skein_tests::{need, until};

use crate::world::{LIMIT, World, link, pool};

/// One with content of its own, so that it travels alone.
fn single(token: u32, n: u32) -> Notification {
    let json = format!("{{\"aps\":{{}},\"n\":{n}}}");
    let draft = Draft::new(format!("{token:08x}"), "com.example.im").payload_json(json);
    draft.build(NotificationId::now().at()).unwrap()
}

fn shared(tokens: std::ops::Range<u32>) -> Vec<Notification> {
    let devices = tokens.map(|token| (format!("{token:08x}"), None));
    let draft = Draft::new("", "com.example.im").payload_json("{\"aps\":{}}");
    draft.build_for(devices, NotificationId::now().at()).unwrap()
}

/// What arrived: token, id, whether it was marked as a repeat; queue by queue.
type Arrived = Vec<(String, NotificationId, bool)>;

/// Takes until every id of `wanted` has arrived.
async fn arrived(world: &World, queues: u16, max_length_bytes: u64, wanted: &[Notification]) -> Arrived {
    let slots = SlotMap::even(queues);
    let mut all = Arrived::new();
    for number in 0..queues {
        let queue = QueueName { pool: pool("im"), number };
        let mut missing: std::collections::HashSet<NotificationId> =
            wanted.iter().filter(|n| slots.queue(n.slot()) == number).map(|n| n.id).collect();
        let mut inbox = world.broker_of(max_length_bytes).attach(&queue, 100).await.unwrap();
        while !missing.is_empty() || world.depth(&queue.on_broker()).await > 0 {
            let taken = tokio::time::timeout(LIMIT, inbox.take(100)).await.expect("all to arrive").unwrap();
            for delivery in &taken {
                let now = NotificationId::now().at();
                let owns = |slot| slots.queue(slot) == number;
                for item in wire::decode(&delivery.kind, &delivery.body, now, owns).unwrap().items {
                    missing.remove(&item.id);
                    all.push((item.token.reveal_hex(), item.id, delivery.repeat));
                }
            }
            inbox.settle(&mut taken.iter().map(|d| d.tag).collect()).await.unwrap();
        }
        inbox.leave().await;
    }
    all
}

/// P2: first arrivals in order for each token. P3: what arrived again was marked.
fn check(arrived: &Arrived, submitted: &[Notification]) {
    let mut first: HashMap<&str, Vec<NotificationId>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for (token, id, repeat) in arrived {
        if seen.insert(*id) {
            first.entry(token).or_default().push(*id);
        } else {
            assert!(*repeat, "P3: {id} arrived again without a mark");
        }
    }
    let mut wanted: HashMap<String, Vec<NotificationId>> = HashMap::new();
    for n in submitted {
        wanted.entry(n.token.reveal_hex()).or_default().push(n.id);
    }
    for (token, ids) in wanted {
        assert_eq!(first.get(token.as_str()), Some(&ids), "P1, P2: the order of {token}");
    }
}

#[tokio::test]
async fn order_over_cuts() {
    need!("rabbitmq");
    let world = World::new("cuts").await;
    world.declare("im", 4).await;
    let producer = world.producer(&["im"]).await;
    let mut submitted: Vec<Notification> = (0..1500).map(|n| single(n % 40, n)).collect();
    submitted.extend(shared(0..40));
    let submitting = {
        let (producer, list) = (producer.clone(), submitted.clone());
        tokio::spawn(async move { producer.submit_many(&pool("im"), list, Wait::Forever).await })
    };
    for cut in 1..=4 {
        let passed = world.relay.bytes_to(skein_tests::relay::Side::Server) + 60_000;
        let enough = async || {
            let bytes = world.relay.bytes_to(skein_tests::relay::Side::Server);
            (bytes > passed || submitting.is_finished()).then_some(())
        };
        until("some to be published", LIMIT, enough).await.unwrap();
        assert!(!submitting.is_finished(), "cut {cut} comes too late to test anything");
        world.relay.cut_all();
    }
    let outcomes = tokio::time::timeout(LIMIT, submitting).await.unwrap().unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{:?}", outcomes.iter().find(|o| o.is_err()));
    check(&arrived(&world, 4, crate::world::MAX_LENGTH_BYTES, &submitted).await, &submitted);
}

/// P2, P8: a full queue nacks; who waits is served in order when there is room, who doesn't is told.
#[tokio::test]
async fn order_over_nacks() {
    need!("rabbitmq");
    const SMALL: u64 = 20_000;
    let world = World::new("nacks").await;
    world.declare_of("im", 1, SMALL).await;
    let producer = world.producer(&["im"]).await;
    let submitted: Vec<Notification> = (0..600).map(|n| single(n % 7, n)).collect();
    let submitting = {
        let (producer, list) = (producer.clone(), submitted.clone());
        tokio::spawn(async move { producer.submit_many(&pool("im"), list, Wait::Forever).await })
    };
    let refused = async || {
        let outcome = producer.submit_many(&pool("im"), vec![single(1000, 0)], Wait::No).await;
        matches!(outcome[..], [Err(SubmitError::BackPressure(_))]).then_some(())
    };
    until("the queue to be full", LIMIT, refused).await.unwrap();
    assert!(!submitting.is_finished());
    let arrived = arrived(&world, 1, SMALL, &submitted).await;
    let outcomes = submitting.await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    check(&arrived, &submitted);
}

/// P1: what no queue is bound for is reported, each and only that, whatever confirms it travels with.
#[tokio::test]
async fn unroutable_ones_are_told_apart() {
    need!("rabbitmq");
    let world = World::new("returns").await;
    world.declare("im", 4).await;
    let slots = SlotMap::even(4);
    let channel = world.channel().await;
    for slot in slots.slots(2) {
        let key = slot.number().to_string().into();
        let queue = QueueName { pool: pool("im"), number: 2 }.on_broker().into();
        channel.queue_unbind(queue, "skein.im".into(), key, FieldTable::default()).await.unwrap();
    }
    let producer = world.producer(&["im"]).await;
    for round in 0..5 {
        let list: Vec<Notification> = (0..900).map(|n| single(n, round * 1000 + n)).collect();
        let outcomes = producer.submit_many(&pool("im"), list.clone(), Wait::Forever).await;
        for (n, outcome) in list.iter().zip(&outcomes) {
            let unbound = slots.queue(n.slot()) == 2;
            let right = match outcome {
                Ok(_) => !unbound,
                Err(SubmitError::Rejected(_)) => unbound,
                Err(_) => false,
            };
            assert!(right, "P1: {outcome:?} for queue {}", slots.queue(n.slot()));
        }
    }
    let key = slots.slots(2).next().unwrap().number().to_string().into();
    let queue = QueueName { pool: pool("im"), number: 2 }.on_broker().into();
    let options = QueueBindOptions::default();
    channel.queue_bind(queue, "skein.im".into(), key, options, FieldTable::default()).await.unwrap();
}

/// P8: an alarm shows as back-pressure, and what was under way is confirmed when it is over.
#[tokio::test]
async fn an_alarm_is_back_pressure() {
    need!("rabbitmq");
    let rabbit = RabbitMq::start().await.unwrap();
    let world = World::of(&rabbit, "alarm").await;
    world.declare("im", 1).await;
    let producer = world.producer(&["im"]).await;
    rabbit.set_memory_alarm(true).await.unwrap();
    let stuck = producer.try_submit(&pool("im"), single(1, 1)).unwrap();
    let refused = async || match producer.try_submit(&pool("im"), single(2, 2)) {
        Err(SubmitError::BackPressure(why)) if why.contains("block") => Some(()),
        _ => None,
    };
    until("back-pressure", LIMIT, refused).await.unwrap();
    assert!(producer.trouble().unwrap().contains("alarm"));
    let limited = Wait::For(std::time::Duration::from_millis(50));
    let outcomes = producer.submit_many(&pool("im"), vec![single(3, 3)], limited).await;
    assert!(matches!(outcomes[..], [Err(SubmitError::BackPressure(_))]), "{outcomes:?}");

    rabbit.set_memory_alarm(false).await.unwrap();
    stuck.outcome().await.unwrap();
    producer.submit(&pool("im"), single(4, 4)).await.unwrap();
}

/// P2, P3: while an alarm is on, a lost connection's messages are not published again; marked when they are.
#[tokio::test]
async fn nothing_is_repeated_under_an_alarm() {
    need!("rabbitmq");
    let rabbit = RabbitMq::start().await.unwrap();
    let world = World::of(&rabbit, "cut_alarm").await;
    world.declare("im", 1).await;
    let producer = world.producer(&["im"]).await;
    rabbit.set_memory_alarm(true).await.unwrap();
    let list: Vec<Notification> = (0..5).map(|n| single(n, n)).collect();
    let submitting = {
        let (producer, list) = (producer.clone(), list.clone());
        tokio::spawn(async move { producer.submit_many(&pool("im"), list, Wait::Forever).await })
    };
    let blocked = async || producer.trouble().filter(|t| t.contains("alarm"));
    until("the alarm to be seen", LIMIT, blocked).await.unwrap();
    world.relay.cut_all();
    until("the alarm to be seen on a new connection", LIMIT, async || {
        (world.relay.accepted() >= 2 && producer.trouble().is_some_and(|t| t.contains("alarm"))).then_some(())
    })
    .await
    .unwrap();
    assert!(!submitting.is_finished());
    rabbit.set_memory_alarm(false).await.unwrap();
    assert!(submitting.await.unwrap().iter().all(Result::is_ok));
    check(&arrived(&world, 1, crate::world::MAX_LENGTH_BYTES, &list).await, &list);
}

#[tokio::test]
async fn who_does_not_wait_is_told_that_the_broker_is_away() {
    need!("rabbitmq");
    let world = World::new("away").await;
    world.declare("im", 1).await;
    world.relay.set_refusing(true);
    let producer = Producer::connect(ProducerOptions::new(link(&world.relayed()), vec![pool("im")]));
    assert!(matches!(producer.try_submit(&pool("im"), single(1, 1)), Err(SubmitError::Away { .. })));
    let limit = std::time::Duration::from_millis(100);
    let outcomes = producer.submit_many(&pool("im"), vec![single(1, 1)], Wait::For(limit)).await;
    assert!(matches!(outcomes[..], [Err(SubmitError::Away { .. })]), "{outcomes:?}");
    world.relay.set_refusing(false);
    producer.submit(&pool("im"), single(1, 2)).await.unwrap();
}

#[tokio::test]
async fn a_missing_exchange_is_named_and_found_when_it_comes() {
    need!("rabbitmq");
    let world = World::new("exchange").await;
    let producer = world.producer(&["im"]).await;
    match producer.submit(&pool("im"), single(1, 1)).await {
        Err(SubmitError::Rejected(why)) => assert!(why.contains("skein cluster init")),
        other => panic!("{other:?}"),
    }
    world.declare("im", 1).await;
    let found = async || producer.submit(&pool("im"), single(1, 2)).await.ok();
    until("the exchange to be found", LIMIT, found).await.unwrap();
}
