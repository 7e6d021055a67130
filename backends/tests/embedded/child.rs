//! A process that submits, owns its queues and records, telling on its standard output what it did, until it is killed.
//!
//! Lines: `confirmed <token> <id>`, `written <token> <id>` (this would be the write to APNs), `recorded <id>`, `settled <id>`.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;

use skein_backends::sqlite::{Embedded, EmbeddedOptions};
use skein_backends::token_cipher::TokenCipher;
use skein_core::contract::ledger::Sample;
use skein_core::fact::{Fact, Final};
use skein_core::notification::{Badge, Draft};
use skein_core::seam::{Broker, Inbox, Ledger, LookUp, Submit};
use skein_core::{FingerprintKey, Notification, NotificationId, PoolName, QueueName, wire};

pub const FILE: &str = "SKEIN_CRASH_FILE";
/// Set, the process submits nothing, and ends when its queues are empty.
pub const DRAIN: &str = "SKEIN_CRASH_DRAIN";
pub const QUEUES: u16 = 3;
const DEVICES: usize = 12;
const PREFETCH: u16 = 40;

pub fn pool() -> PoolName {
    PoolName::parse("enterprise").unwrap()
}

pub fn key() -> FingerprintKey {
    FingerprintKey::new([7; 32])
}

pub async fn open(path: impl Into<PathBuf>) -> Embedded {
    let options = EmbeddedOptions::new(path, vec![(pool(), QUEUES)]);
    Embedded::open(options, TokenCipher::new([1; 32])).await.unwrap()
}

fn tell(line: &str) {
    // One write a line: what was told before the kill is in the pipe, whole.
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// Not a test of its own: the other test runs it in a process that it kills.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let engine = open(path).await;
    let local = tokio::task::LocalSet::new();
    for number in 0..QUEUES {
        local.spawn_local(own(engine.broker(), engine.ledger(), QueueName { pool: pool(), number }));
    }
    if std::env::var_os(DRAIN).is_some() {
        let probes = local.run_until(submit(&engine, 0..64, "ff")).await;
        let drained = async {
            // Each queue has a probe, and it is behind everything.
            let mut waiting: HashSet<NotificationId> = probes.into_iter().collect();
            while !waiting.is_empty() {
                for id in waiting.clone() {
                    if !engine.ledger().trace(id).await.unwrap().events.is_empty() {
                        waiting.remove(&id);
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        local.run_until(drained).await;
        tell("drained");
        return;
    }
    local
        .run_until(async {
            loop {
                submit(&engine, 0..DEVICES, "aa").await;
            }
        })
        .await;
}

/// One for each device: singly, or with a shared payload.
async fn submit(engine: &Embedded, devices: std::ops::Range<usize>, kind: &str) -> Vec<NotificationId> {
    let now = NotificationId::now().at();
    let tokens = devices.map(|device| (format!("{kind}{device:04x}"), None));
    let draft = Draft::new("", "t").payload_json("{\"aps\":{}}").badge(Badge::Add(1));
    let list = draft.build_for(tokens, now).unwrap();
    let told: Vec<(String, NotificationId)> = list.iter().map(|n| (n.token.reveal_hex(), n.id)).collect();
    let outcomes = engine.submit().submit(&pool(), list).await;
    for ((token, id), outcome) in told.iter().zip(outcomes) {
        outcome.unwrap();
        tell(&format!("confirmed {token} {id}"));
    }
    told.into_iter().map(|(_, id)| id).collect()
}

async fn own(broker: impl Broker, ledger: impl Ledger, queue: QueueName) {
    let mut inbox = broker.attach(&queue, PREFETCH).await.unwrap();
    loop {
        for delivery in inbox.take(3).await.unwrap() {
            let items = wire::decode(&delivery.kind, &delivery.body, NotificationId::now().at(), |_| true);
            // A device has one in a batch, so all of them may be under way together.
            let items = items.unwrap().items;
            let known = if delivery.redelivered { known(&ledger, &items).await } else { Vec::new() };
            let open: Vec<&Notification> = items.iter().filter(|n| !known.contains(&n.id)).collect();
            let mut facts = Vec::new();
            for n in &open {
                tell(&format!("written {} {}", n.token.reveal_hex(), n.id));
                let sample = Sample { pool: pool(), key: n.key(), token: n.token.clone(), at: n.id.at() };
                facts.push(Fact::Final(Box::new(Final { badge: n.badge, ..sample.accepted() })));
            }
            let recorded = ledger.record(&facts).await.unwrap();
            assert!(recorded.late.is_empty(), "looked up before");
            open.iter().for_each(|n| tell(&format!("recorded {}", n.id)));
            inbox.settle(&mut vec![delivery.tag]).await.unwrap();
        }
    }
}

/// Which of them have a final verdict.
async fn known(ledger: &impl Ledger, items: &[Notification]) -> Vec<NotificationId> {
    let asked: Vec<LookUp> =
        items.iter().map(|n| LookUp { key: n.key(), token: key().token(&n.token) }).collect();
    let known = ledger.look_up(&asked).await.unwrap();
    items.iter().zip(known).filter(|(_, known)| known.verdict.is_some()).map(|(n, _)| n.id).collect()
}
