//! P1, P2, P3 for the guide's bridge: what waits in a queue of another system comes over in order, none lost, though the bridge is
//! killed in between.

use std::{collections::HashMap, time::Duration};

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::json;
use skein_apns_sim::{
    Faults, SEQUENCE_KEY,
    checker::{Confirmed, FinalVerdict, History, check},
    fingerprint_of_hex,
};
use skein_core::NotificationId;
use skein_test_site::{books::number, load::Random};
use skein_tests::{
    need,
    process::{Child, Program},
    services::{PostgreSql, RabbitMq},
    until, workspace_folder,
};

use crate::{
    fleet::{Fleet, Services},
    site::{POOL, TOPIC},
};

const OLD_QUEUE: &str = "old-queue-3";
const MESSAGES: usize = 400;
const TOKENS: usize = 20;
const KILLS: usize = 2;
/// What no notification can be made of, each after this message.
const UNREADABLE: [(usize, &str); 2] = [(40, "no JSON"), (300, r#"{"token":"no hex","payload":{}}"#)];
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// What waits in the old queue: by `message_id`, for the checker.
async fn fill(url: &str) -> HashMap<String, Confirmed> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(OLD_QUEUE.into(), durable, FieldTable::default()).await.unwrap();
    let mut random = Random(17);
    let tokens: Vec<String> = (0..TOKENS).map(|_| random.token()).collect();
    let mut next = [0; TOKENS];
    let mut sent = HashMap::new();
    let at_seconds = NotificationId::now().at().as_millis() as u64 / 1_000;
    for place in 0..MESSAGES {
        let message_id = format!("m-{place}");
        let whose = random.below(TOKENS);
        let (token, sequence) = (&tokens[whose], next[whose]);
        next[whose] += 1;
        let payload = json!({"aps": {"alert": "from the old system"}, SEQUENCE_KEY: sequence});
        let body = json!({"token": token, "payload": payload}).to_string();
        let properties = BasicProperties::default()
            .with_message_id(message_id.as_str().into())
            .with_timestamp(at_seconds)
            .with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let unreadable =
            UNREADABLE.iter().find(|(after, _)| *after == place).map(|(_, body)| body.to_string());
        for (body, properties) in [(body, properties.clone())]
            .into_iter()
            // It must not vanish where it is put.
            .chain(unreadable.map(|body| (body, properties.with_expiration("600000".into()))))
        {
            let confirm =
                channel.basic_publish("".into(), OLD_QUEUE.into(), options, body.as_bytes(), properties);
            assert!(confirm.await.unwrap().await.unwrap().is_ack());
        }
        sent.insert(message_id, Confirmed { id: 0, token: fingerprint_of_hex(token).unwrap(), sequence });
    }
    sent
}

/// How many it has put aside.
async fn aside(url: &str) -> u32 {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let there = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = format!("{OLD_QUEUE}.aside");
    channel.queue_declare(queue.into(), there, FieldTable::default()).await.unwrap().message_count()
}

fn bridge(url: &str) -> Child {
    let mut program = Program::new("python3");
    let script = workspace_folder().join("examples/producers/python/bridge.py");
    program.command().arg(script).args([url, OLD_QUEUE, POOL, TOPIC]);
    program.start().unwrap()
}

/// `message_id` to id, of what it has printed, a line cut short left out.
fn carried(child: &Child) -> Vec<(String, String)> {
    let output = child.output();
    let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let words = whole.lines().map(|line| line.split_once(' ').unwrap());
    words.map(|(id, message_id)| (message_id.to_owned(), id.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_bridge_that_is_killed_loses_nothing_and_keeps_the_order() {
    need!("rabbitmq", "postgresql", "pika");
    let broker = RabbitMq::shared().await.unwrap();
    let services = Services::direct(broker, PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::start("bridge", services, Faults::default()).await;
    let mut sent = fill(&fleet.url).await;
    let mut ids: HashMap<String, String> = HashMap::new();
    for life in 1..=KILLS + 1 {
        let mut child = bridge(&fleet.url);
        let wanted = MESSAGES * life / (KILLS + 1);
        let enough = async || {
            let now = carried(&child);
            let known = now.iter().filter(|(message_id, _)| !ids.contains_key(message_id)).count();
            (ids.len() + known >= wanted).then_some(())
        };
        let came = until("the bridge to carry", RUN_LIMIT, enough).await;
        came.unwrap_or_else(|e| panic!("{e}: {}", child.log()));
        child.kill9();
        for (message_id, id) in carried(&child) {
            let before = ids.insert(message_id, id.clone());
            assert!(before.is_none_or(|before| before == id), "P3: the same message has the same id");
        }
    }

    // One that it was killed with may be there twice.
    assert!(aside(&fleet.url).await >= UNREADABLE.len() as u32, "what can't be read is in nobody's way");
    assert!(fleet.settled(MESSAGES).await);
    fleet.end_sender().await;
    let books = fleet.books().await;
    assert_eq!(books.count(FinalVerdict::Accepted), MESSAGES as u64, "P1: {:?}", books.by_label());
    for (message_id, id) in &ids {
        sent.get_mut(message_id).unwrap().id = number(id);
    }
    let confirmed: Vec<Confirmed> = sent.into_values().collect();
    let report = check(&History {
        confirmed: &confirmed,
        log: &fleet.site.simulator.log(),
        verdicts: Some(&books.verdicts),
        possible_copies: &books.possible_copies,
        writers: None,
    });
    assert!(report.is_clean() && report.unconfirmed == 0, "P1, P2, P3: {report}");
}
