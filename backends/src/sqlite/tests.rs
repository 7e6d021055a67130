//! The engine against the suites of its seams, and its own faults: a full disk, a second process, settings that changed.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use skein_core::contract::{broker, ledger, submit};
use skein_core::fact::{Fact, Final};
use skein_core::lease::BootMillis;
use skein_core::notification::Draft;
use skein_core::seam::{Broker, Clock, Inbox, Ledger, LedgerError, Submit, SubmitError};
use skein_core::{NotificationId, PoolName, QueueName, Timestamp};
use sqlx::Row;
use tempfile::TempDir;

use super::inbox::EmbeddedInbox;
use super::queue::{NOTIFICATION, REPEAT};
use super::writer::{NewMessage, SubmitOrder};
use super::*;
use crate::clock::SystemClock;

const POOLS: u16 = 64;

fn pool(number: u16) -> PoolName {
    PoolName::parse(&format!("pool-{number}")).unwrap()
}

fn options(path: impl Into<PathBuf>, queues: u16) -> EmbeddedOptions {
    EmbeddedOptions::new(path, (0..POOLS).map(|number| (pool(number), queues)).collect())
}

async fn open(options: EmbeddedOptions) -> Embedded {
    Embedded::open(options, TokenCipher::new([3; 32])).await.unwrap()
}

struct Harness {
    folder: TempDir,
    engine: Mutex<Embedded>,
    used: AtomicU16,
}

impl Harness {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(options(folder.path().join("skein.db"), 4)).await;
        Self { folder, engine: Mutex::new(engine), used: AtomicU16::new(0) }
    }

    fn unused(&self) -> PoolName {
        pool(self.used.fetch_add(1, Ordering::Relaxed))
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.lock().unwrap().engine)
    }
}

/// Stores a body as it is, and waits until it is stored.
async fn publish(engine: &Engine, queue: &QueueName, body: &[u8], repeat: bool) {
    let kind = if repeat { NOTIFICATION + REPEAT } else { NOTIFICATION };
    let queue = Arc::clone(engine.queue(queue).unwrap());
    let messages = vec![NewMessage { queue, kind, body: Bytes::copy_from_slice(body) }];
    let (done, stored) = oneshot::channel();
    assert!(engine.desk.put(|waiting| waiting.submits.push_back(SubmitOrder { messages, done })));
    engine.desk.queue_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    stored.await.unwrap().unwrap();
}

impl broker::BrokerHarness for Harness {
    type Broker = EmbeddedBroker;
    const COUNTS_RETURNS: bool = false;

    fn broker(&self) -> EmbeddedBroker {
        EmbeddedBroker::new(self.engine())
    }

    fn boot(&self) -> BootMillis {
        SystemClock.boot()
    }

    async fn fresh_queue(&self) -> QueueName {
        QueueName { pool: self.unused(), number: 3 }
    }

    async fn publish(&self, queue: &QueueName, body: &[u8], repeat: bool) {
        publish(&self.engine(), queue, body, repeat).await;
    }

    async fn cut(&self, _queue: &QueueName, inbox: &mut EmbeddedInbox) {
        inbox.end();
    }

    async fn dead_letters(&self, queue: &QueueName) -> Vec<Bytes> {
        let rows = sqlx::query("SELECT body FROM dead_letter WHERE queue = ? ORDER BY number")
            .bind(queue.to_string())
            .fetch_all(&self.engine().readers)
            .await
            .unwrap();
        rows.iter().map(|row| Bytes::from(row.get::<Vec<u8>, _>(0))).collect()
    }
}

impl submit::SubmitHarness for Harness {
    type Submit = EmbeddedSubmit;
    type Broker = EmbeddedBroker;

    fn submit(&self) -> EmbeddedSubmit {
        EmbeddedSubmit::new(self.engine())
    }

    fn broker(&self) -> EmbeddedBroker {
        EmbeddedBroker::new(self.engine())
    }

    async fn fresh_pool(&self, queues: u16) -> PoolName {
        assert_eq!(queues, 4);
        self.unused()
    }
}

impl ledger::LedgerHarness for Harness {
    type Ledger = EmbeddedLedger;
    // A file is never away; that it is full is tested below.
    const CAN_BE_AWAY: bool = false;

    async fn fresh(&self) -> (EmbeddedLedger, PoolName) {
        (EmbeddedLedger::new(self.engine()), self.unused())
    }

    async fn reopen(&self, ledger: EmbeddedLedger) -> EmbeddedLedger {
        self.engine().close().await;
        drop(ledger);
        let engine = open(options(self.folder.path().join("skein.db"), 4)).await;
        *self.engine.lock().unwrap() = engine;
        EmbeddedLedger::new(self.engine())
    }

    async fn set_away(&self, _ledger: &EmbeddedLedger, _away: bool) {
        unreachable!("CAN_BE_AWAY is false");
    }
}

#[tokio::test]
async fn keeps_the_promises_of_a_broker() {
    assert_eq!(broker::all(&Harness::new().await).await, Ok(()));
}

#[tokio::test]
async fn keeps_the_promises_of_submit() {
    assert_eq!(submit::all(&Harness::new().await).await, Ok(()));
}

#[tokio::test]
async fn keeps_the_promises_of_a_ledger() {
    assert_eq!(ledger::all(&Harness::new().await).await, Ok(()));
}

fn drafts(count: u32, payload_bytes: usize) -> Vec<skein_core::Notification> {
    let payload = format!("{{\"a\":\"{}\"}}", "x".repeat(payload_bytes));
    let now = NotificationId::now().at();
    (0..count)
        .map(|n| Draft::new(format!("{n:08x}"), "t").payload_json(payload.clone()).build(now).unwrap())
        .collect()
}

fn accepted(sample: &ledger::Sample) -> Fact {
    Fact::Final(Box::new(Final { user: None, ..sample.accepted() }))
}

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let first = open(options(&path, 2)).await;
    let second = Embedded::open(options(&path, 2), TokenCipher::new([3; 32])).await;
    assert!(matches!(&second, Err(OpenError::InUse { path: named }) if *named == path), "{second:?}");
    first.close().await;
    open(options(&path, 2)).await;
}

/// P2: with another number of queues a token's messages would be in two.
#[tokio::test]
async fn queues_change_only_while_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let engine = open(options(&path, 2)).await;
    let submitted = engine.submit().submit(&pool(0), drafts(1, 10)).await;
    assert!(submitted[0].is_ok());
    engine.close().await;
    let refused = Embedded::open(options(&path, 3), TokenCipher::new([3; 32])).await;
    assert!(matches!(&refused, Err(OpenError::QueuesChanged { was: 2, wanted: 3, .. })), "{refused:?}");
    let engine = open(options(&path, 2)).await;
    settle_all(&engine, 2).await;
    engine.close().await;
    open(options(&path, 3)).await.close().await;
}

/// Takes and settles what is in the queues of pool 0; gives how many.
async fn settle_all(engine: &Embedded, queues: u16) -> usize {
    let mut all = 0;
    for number in 0..queues {
        let name = QueueName { pool: pool(0), number };
        let queue = Arc::clone(engine.engine.queue(&name).unwrap());
        let mut inbox = engine.broker().attach(&name, 100).await.unwrap();
        let waiting = "SELECT count(*) FROM message WHERE place >= ? AND place < ?";
        let mut count: i64 = sqlx::query_scalar(waiting)
            .bind(queue.places.start)
            .bind(queue.places.end)
            .fetch_one(&engine.engine.readers)
            .await
            .unwrap();
        while count > 0 {
            let taken = inbox.take(64).await.unwrap();
            assert!(taken.iter().map(|d| d.tag).is_sorted());
            count -= i64::try_from(taken.len()).unwrap();
            all += taken.len();
            inbox.settle(&mut taken.iter().map(|d| d.tag).collect()).await.unwrap();
        }
        inbox.leave().await;
    }
    all
}

/// P1, P8: what was stored before a restart is redelivered in order; later messages are not marked, and all come once.
#[tokio::test]
async fn p1_restart_redelivers_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let name = QueueName { pool: pool(0), number: 0 };
    let engine = open(options(&path, 1)).await;
    for body in 0..10 {
        publish(&engine.engine, &name, &[body], false).await;
    }
    engine.close().await;
    let engine = open(options(&path, 1)).await;
    for body in 10..600_u16 {
        publish(&engine.engine, &name, &[(body % 256) as u8], false).await;
    }
    let mut inbox = engine.broker().attach(&name, 1000).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 610 {
        for delivery in inbox.take(50).await.unwrap() {
            assert_eq!(delivery.redelivered, seen.len() < 10, "{}", seen.len());
            seen.push(delivery.body[0]);
        }
        if seen.len() == 600 {
            // Caught up: these go through memory.
            for body in 600..610_u16 {
                publish(&engine.engine, &name, &[(body % 256) as u8], false).await;
            }
        }
    }
    let all: Vec<u8> = (0..610_u16).map(|body| (body % 256) as u8).collect();
    assert_eq!(seen, all);
}

/// P8: at the bound of the queue submissions get back-pressure; settling makes room again.
#[tokio::test]
async fn p8_full_queue_is_back_pressure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let bounded = EmbeddedOptions { queue_bytes_max: 20_000, ..options(&path, 1) };
    let engine = open(bounded.clone()).await;
    let full = SubmitError::BackPressure("the queue is full");
    assert!(engine.submit().submit(&pool(0), drafts(10, 1000)).await.iter().all(Result::is_ok));
    assert_eq!(engine.submit().submit(&pool(0), drafts(10, 1000)).await, vec![Err(full.clone()); 10]);
    engine.close().await;
    let engine = open(bounded).await;
    assert_eq!(engine.submit().submit(&pool(0), drafts(10, 1000)).await, vec![Err(full); 10]);
    assert_eq!(settle_all(&engine, 1).await, 10);
    assert_eq!(engine.engine.desk.queue_bytes.load(Ordering::Relaxed), 0);
    assert!(engine.submit().submit(&pool(0), drafts(10, 1000)).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn p8_low_disk_is_back_pressure_and_verdicts_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let low = EmbeddedOptions { disk_free_min: u64::MAX, ..options(folder.path().join("skein.db"), 1) };
    let engine = open(low).await;
    let outcome = engine.submit().submit(&pool(0), drafts(1, 10)).await;
    assert_eq!(outcome, [Err(SubmitError::BackPressure("the disk is nearly full"))]);
    let recorded = engine.ledger().record(&[accepted(&ledger::Sample::new(&pool(0)))]).await.unwrap();
    assert_eq!(recorded, skein_core::seam::Recorded::default());
}

/// P1: a full file refuses and loses nothing; settling what waits makes room, and everything goes on.
#[tokio::test]
async fn p1_full_file_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let small = EmbeddedOptions { file_bytes_max: Some(1 << 20), ..options(&path, 1) };
    let engine = open(small.clone()).await;
    let mut confirmed = 0;
    let refusal = loop {
        let outcomes = engine.submit().submit(&pool(0), drafts(20, 3000)).await;
        match outcomes.iter().find_map(|outcome| outcome.clone().err()) {
            Some(refusal) => break refusal,
            None => confirmed += outcomes.len(),
        }
    };
    assert_eq!(refusal, SubmitError::BackPressure("the disk is full"));
    assert!(confirmed > 100, "{confirmed}");
    let facts: Vec<Fact> = (0..2000).map(|_| accepted(&ledger::Sample::new(&pool(0)))).collect();
    let full = engine.ledger().record(&facts).await;
    assert!(matches!(&full, Err(LedgerError::Away(why)) if why.contains("full")), "{full:?}");
    engine.close().await;
    let engine = open(small).await;
    assert_eq!(settle_all(&engine, 1).await, confirmed);
    assert_eq!(engine.ledger().record(&facts).await.unwrap().late, Vec::<usize>::new());
    assert!(engine.submit().submit(&pool(0), drafts(20, 3000)).await.iter().all(Result::is_ok));
    let sound: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&engine.engine.readers).await.unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test]
async fn tokens_are_kept_sealed_and_days_are_dropped() {
    let harness = Harness::new().await;
    let ledger = EmbeddedLedger::new(harness.engine());
    let sample = ledger::Sample::new(&pool(0));
    ledger.register(&[sample.registration(sample.at)]).await.unwrap();
    assert_eq!(ledger.reveal(sample.fingerprint()).await.unwrap(), Some(sample.token.clone()));
    let old = ledger::Sample {
        key: skein_core::NotificationKey {
            id: NotificationId::new(Timestamp::from_secs(86_400 * 10_000), [1; 10]),
            generation: 0,
        },
        ..sample.clone()
    };
    ledger.record(&[accepted(&sample), accepted(&old)]).await.unwrap();
    assert_eq!(ledger.drop_before(sample.at).await.unwrap(), 1);
    assert_eq!(ledger.trace(old.key.id).await.unwrap().events.len(), 0);
    assert_eq!(ledger.trace(sample.key.id).await.unwrap().events.len(), 1);
}

/// P1: a row that the file refuses is named, its neighbours in the batch and in the commit are stored.
#[tokio::test]
async fn p1_guilty_row_stands_alone() {
    let harness = Harness::new().await;
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(harness.folder.path().join("skein.db"));
    let mut other = sqlx::ConnectOptions::connect(&file).await.unwrap();
    sqlx::raw_sql(
        "CREATE TRIGGER guilty BEFORE INSERT ON final WHEN NEW.cause = 'guilty' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let ledger = EmbeddedLedger::new(harness.engine());
    let samples: Vec<_> = (0..9).map(|_| ledger::Sample::new(&pool(0))).collect();
    let mut facts: Vec<Fact> = samples.iter().map(accepted).collect();
    for guilty in [2, 3, 7] {
        facts[guilty] = Fact::Final(Box::new(Final { cause: "guilty".into(), ..samples[guilty].accepted() }));
    }
    facts[5] = Fact::Final(Box::new(Final { cause: "\0".into(), ..samples[5].accepted() }));
    facts.push(facts[8].clone());
    let neighbour = [accepted(&ledger::Sample::new(&pool(0)))];
    let (recorded, beside) = tokio::join!(ledger.record(&facts), ledger.record(&neighbour));
    let recorded = recorded.unwrap();
    let mut refused: Vec<usize> = recorded.refused.iter().map(|r| r.index).collect();
    refused.sort_unstable();
    assert_eq!((refused, recorded.late), (vec![2, 3, 5, 7], vec![9]));
    assert_eq!(beside.unwrap().refused, []);
    let stored = ledger.tally(&pool(0), Timestamp::from_millis(0)).await.unwrap().total();
    assert_eq!(stored, 6);
}
