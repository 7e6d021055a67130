//! How fast the embedded engine is: submit, take, record and settle at once, with every commit synced.
//!
//! `cargo run --release -p skein-backends --example embedded_rate -- [notifications] [folder]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use skein_backends::sqlite::{Embedded, EmbeddedBroker, EmbeddedLedger, EmbeddedOptions};
use skein_backends::token_cipher::TokenCipher;
use skein_core::fact::{Fact, Final};
use skein_core::notification::Draft;
use skein_core::seam::{Broker, Inbox, Ledger, Submit};
use skein_core::{FinalVerdict, FingerprintKey, Notification, NotificationId, PoolName, QueueName, wire};

const QUEUES: u16 = 8;
const PREFETCH: u16 = 500;
/// Notifications of one call to submit, and calls under way.
const SUBMITTED_AT_ONCE: usize = 200;
const SUBMITTERS: usize = 4;
const DEVICES: usize = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("skein-rate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let pool = PoolName::parse("enterprise").expect("a pool name");
    let path = folder.join("skein.db");
    let options = EmbeddedOptions::new(&path, vec![(pool.clone(), QUEUES)]);
    let engine = Embedded::open(options, TokenCipher::new([1; 32])).await.expect("opens");

    let (start, cpu) = (Instant::now(), cpu());
    let submitting = submit_all(&engine, &pool, count);
    let owners = (0..QUEUES)
        .map(|number| own(engine.broker(), engine.ledger(), QueueName { pool: pool.clone(), number }, start));
    let local = tokio::task::LocalSet::new();
    let owners: Vec<_> = owners.map(|owner| local.spawn_local(owner)).collect();
    let ledger = engine.ledger();
    let (seconds, busy) = local
        .run_until(async {
            submitting.await;
            let since = skein_core::Timestamp::from_millis(0);
            while ledger.tally(&pool, since).await.expect("tally").total() < count as u64 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (start.elapsed().as_secs_f64(), self::cpu() - cpu)
        })
        .await;
    owners.iter().for_each(tokio::task::JoinHandle::abort);
    let sizes: u64 = std::fs::read_dir(&folder)
        .expect("the folder")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    eprintln!(
        "{count} notifications in {seconds:.2} s: {:.0}/s, {:.1} us CPU each in all threads (encoding and decoding too), \
         {} bytes of files each",
        count as f64 / seconds,
        busy.as_secs_f64() * 1e6 / count as f64,
        sizes / count as u64
    );
    engine.close().await;
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}

async fn submit_all(engine: &Embedded, pool: &PoolName, count: usize) {
    let now = NotificationId::now().at();
    let payload = "{\"aps\":{\"alert\":{\"title\":\"Somebody\",\"body\":\"says something of ordinary length, as people do\"},\
                   \"badge\":7,\"sound\":\"default\",\"thread-id\":\"c-1234\"}}";
    let make = |n: usize| -> Notification {
        let token = format!("{:064x}", (n % DEVICES) as u128 * 0x9e37_79b9_7f4a_7c15);
        let draft = Draft::new(token, "com.example.im").payload_json(payload).user("u-1234").app("im");
        draft.reference("m-123456").build(now).expect("valid")
    };
    let submitters = (0..SUBMITTERS).map(|first| {
        let submit = engine.submit();
        async move {
            for start in (first * SUBMITTED_AT_ONCE..count).step_by(SUBMITTERS * SUBMITTED_AT_ONCE) {
                let batch: Vec<Notification> =
                    (start..count.min(start + SUBMITTED_AT_ONCE)).map(make).collect();
                let outcomes = submit.submit(pool, batch).await;
                assert!(outcomes.iter().all(Result::is_ok), "{:?}", outcomes.iter().find(|o| o.is_err()));
            }
        }
    });
    futures_util::future::join_all(submitters).await;
}

/// Owns a queue: each delivery is recorded as accepted, then settled.
async fn own(broker: EmbeddedBroker, ledger: EmbeddedLedger, queue: QueueName, start: Instant) {
    let key = FingerprintKey::new([5; 32]);
    let mut inbox = broker.attach(&queue, PREFETCH).await.expect("attaches");
    while let Ok(deliveries) = inbox.take(usize::from(PREFETCH)).await {
        let now = NotificationId::now().at();
        let facts: Vec<Fact> = deliveries
            .iter()
            .flat_map(|d| wire::decode(&d.kind, &d.body, now, |_| true).expect("readable").items)
            .map(|n| Fact::Final(Box::new(accepted(&n, &key, &queue, start))))
            .collect();
        let recorded = ledger.record(&facts).await.expect("recorded");
        assert!(recorded.late.is_empty());
        inbox.settle(&mut deliveries.iter().map(|d| d.tag).collect()).await.expect("settled");
    }
}

fn accepted(n: &Notification, key: &FingerprintKey, queue: &QueueName, start: Instant) -> Final {
    Final {
        key: n.key(),
        pool: queue.pool.clone(),
        verdict: FinalVerdict::Accepted,
        cause: "".into(),
        status: 200,
        token: key.token(&n.token),
        user: n.user.as_deref().map(|user| key.text(user)),
        app: n.content.app.clone(),
        reference: n.content.reference.clone(),
        collapse: None,
        submitted_at: n.content.submitted_at,
        at: n.id.at().plus(start.elapsed()),
        queue: queue.number,
        attempts: 1,
        duration_us: 1000,
        payload_bytes: 150,
        possible_copy: false,
        repeat: false,
        badge: None,
        gone_at: None,
        slot: n.slot(),
        sender: "sender-1".into(),
    }
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
