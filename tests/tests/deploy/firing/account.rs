//! The faults of the account: what is acknowledged and reaches no verdict, what fails for an app, what falls to one queue, what stands in
//! no day's partition.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use serde_json::json;
use skein_apns_sim::Reason;
use skein_core::{DeviceToken, NotificationId, PoolName, Slot, SlotMap, notification::Draft};
use skein_producer::{Producer, Wait};
use skein_test_site::{
    keys::API_KEY,
    load::{Random, payload},
    site::{POOL, TOPIC},
};
use skein_tests::http;
use tokio::task::JoinHandle;

use super::Stage;
use crate::installation::QUEUES;

/// The device whose slot's binding is led astray, and how many notifications for it a request has; four requests a second.
const LED_ASTRAY: &str = "5713";
const IN_A_REQUEST: usize = 20;
const STRAYS: &str = "strays";
/// So many devices of one queue get one more notification each, every second: twice the queue's share.
const DEVICES: usize = 60;

pub async fn account(stage: &mut Stage) {
    led_astray(stage).await;
    left_out(stage).await;
    stage
        .apns_fault(
            "APNs refuses all that an app sends",
            &["SkeinAppFails", "SkeinAcceptRatioLow"],
            &[],
            |faults| faults.request.refuse = BTreeMap::from([(Reason::PayloadTooLarge, 1.0)]),
        )
        .await;
    one_queue(stage).await;
    let first = "00000000-0000-7000-8000-000000000001";
    stage
        .fault(
            "a row of a day without a partition",
            &["SkeinLedgerUnpartitioned"],
            &[],
            async |stage| {
                let insert = format!(
                    "INSERT INTO skein.submitted VALUES ('{first}', '{first}', now(), '{POOL}', '{{}}')"
                );
                stage.ledger(&insert).await;
            },
            async |stage| {
                stage.ledger(&format!("DELETE FROM skein.submitted WHERE first_id = '{first}'")).await;
            },
        )
        .await;
}

/// A binding is moved by hand: what the broker confirms lies where nobody reads.
async fn led_astray(stage: &mut Stage) {
    let slot = Slot::of(&DeviceToken::parse(LED_ASTRAY).unwrap());
    let queue = format!("skein.{POOL}.q{}", SlotMap::even(QUEUES as u16).queue(slot));
    let binding = |queue: &str| format!("bindings/skein/e/skein.{POOL}/q/{queue}");
    let key = json!({"routing_key": slot.number().to_string()}).to_string();
    let callers = RefCell::new(None);
    stage
        .fault(
            "a binding leads to a queue that nobody reads",
            &["SkeinAcknowledgedMissing"],
            &[],
            async |stage| {
                let durable = json!({"durable": true}).to_string();
                stage.broker("PUT", &format!("queues/skein/{STRAYS}"), Some(&durable)).await;
                stage.broker("POST", &binding(STRAYS), Some(&key)).await;
                let away = format!("{}/{}", binding(&queue), slot.number());
                stage.broker("DELETE", &away, None).await;
                callers.replace(Some(tokio::spawn(submit_astray(stage.front.clone()))));
            },
            async |stage| {
                end(&callers);
                stage.broker("POST", &binding(&queue), Some(&key)).await;
                stage.broker("DELETE", &format!("queues/skein/{STRAYS}"), None).await;
            },
        )
        .await;
}

async fn submit_astray(front: String) {
    let one = json!({"token": LED_ASTRAY, "topic": TOPIC, "payload": {"aps": {"badge": 1}}});
    let body = json!(vec![one; IN_A_REQUEST]).to_string();
    let key = format!("Bearer {API_KEY}");
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        // One that is refused is acknowledged to nobody.
        let _ = http::request_with("POST", &front, &[("authorization", key.as_str())], Some(&body)).await;
    }
}

/// Somebody's trigger keeps a third of the verdicts out of the ledger, and tells nobody.
async fn left_out(stage: &mut Stage) {
    let make = "CREATE FUNCTION skein.leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
                CREATE TRIGGER leave_out BEFORE INSERT ON skein.final FOR EACH ROW WHEN (NEW.slot % 3 = 0) \
                EXECUTE FUNCTION skein.leave_out()";
    stage
        .fault(
            "a trigger leaves verdicts out",
            &["SkeinAcknowledgedMissing"],
            &[],
            async |stage| stage.ledger(make).await,
            async |stage| stage.ledger("DROP TRIGGER leave_out ON skein.final").await,
        )
        .await;
}

/// Devices of one queue get much more than the others.
async fn one_queue(stage: &mut Stage) {
    let busy = RefCell::new(None);
    stage
        .fault(
            "most is for the devices of one queue",
            &["SkeinQueueShare"],
            &[],
            async |stage| {
                busy.replace(Some(tokio::spawn(submit_to_one_queue(stage.fleet.producer()))));
            },
            async |_| end(&busy),
        )
        .await;
}

fn end(task: &RefCell<Option<JoinHandle<()>>>) {
    if let Some(task) = task.take() {
        task.abort();
    }
}

async fn submit_to_one_queue(producer: Producer) {
    let (pool, slots) = (PoolName::parse(POOL).unwrap(), SlotMap::even(QUEUES as u16));
    let mut random = Random(11);
    let of_the_queue = |token: &String| slots.queue(Slot::of(&DeviceToken::parse(token).unwrap())) == 0;
    let tokens: Vec<String> =
        std::iter::repeat_with(|| random.token()).filter(of_the_queue).take(DEVICES).collect();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    for number in 0.. {
        tick.tick().await;
        let group = Draft::new("", TOPIC).payload_json(payload("for one queue", number));
        let devices = tokens.iter().map(|token| (token.clone(), None));
        let group = group.build_for(devices, NotificationId::now().at()).unwrap();
        for outcome in producer.submit_many(&pool, group, Wait::Forever).await {
            outcome.unwrap();
        }
    }
}
