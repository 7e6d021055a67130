//! P1: facts are durable while the ledger is away, and come home.

use skein_backends::rabbitmq::{FACTS_QUEUE, SpoolState, SpooledLedger};
use skein_core::fact::{Fact, Final};
use skein_core::id::NotificationKey;
use skein_core::memory::MemoryLedger;
use skein_core::seam::{Ledger as _, LedgerError, LookUp};
use skein_core::{DeviceToken, FinalVerdict, FingerprintKey, NotificationId, Slot};
use skein_tests::{need, until};

use crate::world::{LIMIT, World, header, pool};

fn fact(n: u32) -> Final {
    let token = DeviceToken::parse(&format!("{n:08x}")).unwrap();
    let id = NotificationId::now();
    Final {
        key: NotificationKey { id, generation: 0 },
        pool: pool("im"),
        verdict: FinalVerdict::Accepted,
        cause: "ok".into(),
        status: 200,
        token: FingerprintKey::derive(b"test").token(&token),
        user: None,
        app: None,
        reference: None,
        collapse: None,
        submitted_at: None,
        at: id.at(),
        queue: 0,
        attempts: 1,
        duration_us: 1,
        payload_bytes: 10,
        possible_copy: false,
        repeat: false,
        badge: None,
        gone_at: None,
        slot: Slot::of(&token),
        sender: "s1".into(),
    }
}

fn facts(range: std::ops::Range<u32>) -> (Vec<Fact>, Vec<LookUp>) {
    let finals: Vec<Final> = range.map(fact).collect();
    let asked = finals.iter().map(|f| LookUp { key: f.key, token: f.token }).collect();
    (finals.into_iter().map(|f| Fact::Final(Box::new(f))).collect(), asked)
}

async fn found(ledger: &SpooledLedger<MemoryLedger>, asked: &[LookUp]) -> Option<usize> {
    let known = ledger.look_up(asked).await.ok()?;
    Some(known.iter().filter(|k| k.verdict.is_some()).count())
}

#[tokio::test]
async fn facts_wait_in_the_queue_and_come_home() {
    need!("rabbitmq");
    let world = World::new("facts").await;
    let inner = MemoryLedger::new();
    let ledger = SpooledLedger::new(inner.clone(), world.broker());
    let (before, asked_before) = facts(0..10);
    ledger.record(&before).await.unwrap();
    assert_eq!(found(&ledger, &asked_before).await, Some(10));

    inner.set_away(true);
    let (during, asked_during) = facts(10..1500);
    ledger.record(&during).await.unwrap();
    assert_eq!(ledger.status().state, SpoolState::Away);
    // A round of writing back that began before the ledger was away may hold some of them yet.
    let several = async || (world.depth(FACTS_QUEUE).await > 1).then_some(());
    until("P8: messages of bounded size", LIMIT, several).await.unwrap();
    assert!(matches!(ledger.look_up(&asked_before).await, Err(LedgerError::Away(_))), "P3: it cannot know");

    // A process that starts now, with the ledger back for it, sees that facts wait.
    inner.set_away(false);
    let all_found = async || found(&ledger, &asked_during).await;
    assert_eq!(until("the facts to be written back", LIMIT, all_found).await.unwrap(), 1490, "P1");
    assert_eq!(world.depth(FACTS_QUEUE).await, 0);
    let status = ledger.status();
    assert_eq!((status.state, status.stored, status.written_back), (SpoolState::Present, 1490, 1490));
}

/// P1: the facts of a process that died are written back by another; until then no look-up is answered.
#[tokio::test]
async fn another_process_writes_them_back() {
    need!("rabbitmq");
    let world = World::new("inherited").await;
    let inner = MemoryLedger::new();
    let (stored, asked) = facts(0..50);
    {
        let dying = SpooledLedger::new(inner.clone(), world.broker());
        inner.set_away(true);
        dying.record(&stored).await.unwrap();
    }
    inner.set_away(false);
    let next = SpooledLedger::new(inner.clone(), world.broker());
    match next.look_up(&asked).await {
        Err(LedgerError::Away(_)) => {}
        Ok(known) => assert!(known.iter().all(|k| k.verdict.is_some()), "P3: answered before they were home"),
        Err(other) => panic!("{other}"),
    }
    let home = async || found(&next, &asked).await;
    assert_eq!(until("the facts to be written back", LIMIT, home).await.unwrap(), 50);
}

/// One message that nobody can read blocks nobody.
#[tokio::test]
async fn what_cannot_be_read_is_buried() {
    need!("rabbitmq");
    let world = World::new("bad").await;
    let channel = world.channel().await;
    let options = lapin::options::BasicPublishOptions::default();
    let properties = lapin::BasicProperties::default().with_delivery_mode(2);
    channel
        .basic_publish("".into(), FACTS_QUEUE.into(), options, b"{", properties)
        .await
        .unwrap()
        .await
        .unwrap();
    let there = async || (world.depth(FACTS_QUEUE).await == 1).then_some(());
    until("the message", LIMIT, there).await.unwrap();

    let ledger = SpooledLedger::new(MemoryLedger::new(), world.broker());
    let (_, asked) = facts(0..1);
    let gone = async || found(&ledger, &asked).await;
    until("the queue to be empty", LIMIT, gone).await.unwrap();
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0], "x-skein-reason").as_deref(), Some("bad_facts"));
}
