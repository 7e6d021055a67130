//! The producer of one pool: publishes in order a device, waits for each confirmation, and publishes again, marked, what it did
//! not learn the outcome of.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::notification::Draft;
use skein_core::seam::{Clock, Submit, SubmitError};
use skein_core::{Badge, Notification, NotificationId, PoolName};

use crate::random::Random;
use crate::sender::TOPIC;
use crate::stage::Stage;

/// Submits what the script says, for one pool.
pub async fn produce(stage: Rc<Stage>, pool: PoolName, random: Random) {
    let script = &stage.script;
    for _ in 0..script.messages / 2 {
        tokio::time::sleep(random.millis(0, script.gap)).await;
        let many = message(&stage, &pool, &random);
        publish(&stage, &pool, many, &random).await;
    }
}

fn draft(stage: &Stage, pool: &PoolName, random: &Random) -> Draft {
    let pool = stage.pools.iter().position(|known| known == pool);
    let token = format!("{:02x}{:02x}", random.below(stage.script.tokens), pool.unwrap_or(0));
    let at = stage.clock.now();
    let mut draft = Draft::new(token, TOPIC)
        .id(NotificationId::new(at, random.bytes()))
        .payload_json("{\"aps\":{\"alert\":\"x\"}}");
    if random.percent(8) {
        draft = draft.collapse_id("c");
    }
    if random.percent(8) {
        draft = draft.badge(Badge::Add(1));
    }
    if random.percent(4) {
        draft = draft.expiration(skein_core::Expiration::At(at.plus(random.millis(300, 4_000))));
    }
    draft
}

/// One notification, or one payload for several devices.
fn message(stage: &Stage, pool: &PoolName, random: &Random) -> Vec<Notification> {
    let now = stage.clock.now();
    let count = if random.percent(15) { random.within(2, 6) } else { 1 };
    let mut many: Vec<Notification> =
        (0..count).filter_map(|_| draft(stage, pool, random).build(now).ok()).collect();
    let shared = many.first().map(|first| Arc::clone(&first.content));
    if let Some(shared) = shared.filter(|_| count > 1) {
        for one in &mut many {
            one.content = Arc::clone(&shared);
            one.badge = None;
        }
    }
    many
}

async fn publish(stage: &Rc<Stage>, pool: &PoolName, many: Vec<Notification>, random: &Random) {
    let repeats = stage.script.repeats;
    // Its connection is half open: what it published arrives later, after it has published it again.
    let originals_late = many.len() == 1 && random.percent(repeats);
    // It is stored, and the producer does not learn it.
    let unlearnt = random.percent(repeats);
    loop {
        let mut outcomes = if originals_late {
            stage.broker.submit_again(pool, many.clone()).await
        } else {
            stage.broker.submit(pool, many.clone()).await
        };
        match outcomes.pop() {
            Some(Err(SubmitError::Away { .. } | SubmitError::BackPressure(_))) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => break,
        }
    }
    for one in &many {
        stage.witness.accepted(pool, &one.token, one.id);
    }
    if !originals_late && !unlearnt {
        return;
    }
    let (stage, pool, wait) = (Rc::clone(stage), pool.clone(), random.millis(0, 2_500));
    if originals_late {
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            // Nobody waits for its confirmation any more.
            let _ = stage.broker.submit(&pool, many).await;
        });
    } else {
        // It publishes nothing else before it knows.
        tokio::time::sleep(wait.min(Duration::from_millis(500))).await;
        while stage.broker.submit_again(&pool, many.clone()).await.iter().any(Result::is_err) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
