//! Seeded faults; a failing seed is printed, and `SKEIN_SEED=n` runs it alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use skein_core::answer::{Answer, InDoubt, NotSent, Reply};
use skein_core::memory::{Reaction, ScriptedTransport};
use skein_core::seam::Submit;
use skein_core::{Notification, NotificationId, QueueName, Reason};

use crate::fleet::*;

/// Writes that APNs may have processed: answered 200, or in doubt.
type Processed = Arc<std::sync::Mutex<Vec<NotificationId>>>;

fn moody_transport(seed: u64, processed: Processed) -> ScriptedTransport {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    ScriptedTransport::new(move |write| {
        let delay = Duration::from_millis(random.below(80));
        let answer = match random.below(20) {
            0 => Answer::InDoubt(InDoubt::ConnectionLost),
            1 => Answer::NotSent(NotSent::StreamRefused),
            2 => Answer::Reply(Reply::refusal(503, Reason::ServiceUnavailable)),
            3 => Answer::Reply(Reply::refusal(429, Reason::TooManyRequests)),
            _ => Answer::Reply(Reply::bare(200)),
        };
        if matches!(&answer, Answer::InDoubt(_)) || matches!(&answer, Answer::Reply(r) if r.status == 200) {
            processed.lock().unwrap().push(write.id);
        }
        Reaction::Answer(delay, answer)
    })
}

async fn one_seed(seed: u64) {
    let processed = Processed::default();
    let mut random = Random(seed | 1);
    let held_max = 5 + random.below(100) as usize;
    let prefetch = 1 + random.below(60) as u16;
    let fleet = start(moody_transport(seed, Arc::clone(&processed)), held_max, prefetch);
    let tokens = 1 + random.below(12) as u8;
    let mut submitted = Vec::new();
    for step in 0..60_u64 {
        let many: Vec<Notification> = (0..1 + random.below(6))
            .map(|k| fleet.notification(random.below(u64::from(tokens)) as u8, step * 10 + k))
            .collect();
        for outcome in fleet.broker.submit(&fleet.pool, many.clone()).await {
            outcome.unwrap();
        }
        submitted.extend(many);
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        match random.below(14) {
            0 => fleet.broker.cut(&QueueName { pool: fleet.pool.clone(), number: random.below(2) as u16 }),
            1 => fleet.ledger.fail_next(random.below(4) as usize),
            2 => fleet.ledger.lose_answers(1),
            3 => fleet.ledger.set_delay(Duration::from_millis(random.below(60))),
            4 => {
                fleet.ledger.set_away(true);
                tokio::time::sleep(Duration::from_millis(random.below(3_000))).await;
                fleet.ledger.set_away(false);
            }
            5 => {
                let some = submitted[random.below(submitted.len() as u64) as usize].clone();
                fleet.broker.repeat(&fleet.pool, &[some]).unwrap();
            }
            _ => {}
        }
    }
    fleet.settled(seed).await;
    fleet.check(seed, &submitted);
    let recorded: HashSet<NotificationId> =
        fleet.ledger.possible_copies(&fleet.pool).into_iter().map(|key| key.id).collect();
    let mut once = HashSet::new();
    for id in processed.lock().unwrap().iter() {
        assert!(
            once.insert(*id) || recorded.contains(id),
            "P3, seed {seed}: {id} was processed twice, unrecorded"
        );
    }
    let (permits, whole) = (&fleet.shard.permits, fleet.shard.options.permits());
    assert_eq!(permits.free(), whole.free(), "P8, seed {seed}: permits leak");
    assert_eq!(permits.free_bytes(), whole.free_bytes(), "P8, seed {seed}: bytes leak");
    assert!(fleet.shard.work.borrow().window.is_empty(), "P8, seed {seed}: the window leaks");
}

#[test]
fn p1_p2_p3_hold_under_seeded_faults() {
    let seeds =
        std::env::var("SKEIN_SEED").ok().and_then(|s| s.parse().ok()).map_or(1..150_u64, |s| s..s + 1);
    for seed in seeds {
        local(one_seed(seed));
    }
}
