//! The promises of [`Submit`].

use std::sync::Arc;

use super::{Outcome, require, same, suite, works};
use crate::notification::{Draft, Notification};
use crate::pool::{PoolName, QueueName};
use crate::seam::{Broker, Confirmation, Inbox, Submit, SubmitError};
use crate::slot::SlotMap;
use crate::{NotificationId, wire};

/// What the suite needs of an implementation's test.
pub trait SubmitHarness {
    /// The implementation.
    type Submit: Submit;
    /// The broker that it submits to, to see what arrived.
    type Broker: Broker;

    /// The way in.
    fn submit(&self) -> Self::Submit;

    /// The broker.
    fn broker(&self) -> Self::Broker;

    /// A pool that no promise used before, with this number of empty queues, evenly bound.
    fn fresh_pool(&self, queues: u16) -> impl Future<Output = PoolName>;
}

/// How many queues a pool has here.
const QUEUES: u16 = 4;
/// The prefetch: all that a promise submits fits into it.
const PREFETCH: u16 = 2000;

suite!(SubmitHarness:
    outcomes_are_in_the_order_given,
    confirmed_arrives_once_and_whole,
    order_of_a_token_is_kept,
    shared_payload_goes_out_once_a_queue,
    more_than_a_batch_is_taken,
    nothing_is_nothing,
    unknown_pool_is_refused,
    again_arrives_marked,
);

fn draft(token: u32) -> Draft {
    Draft::new(format!("{token:08x}"), "com.example.im").payload_json("{\"aps\":{\"alert\":\"hi\"}}")
}

fn build(draft: Draft) -> Result<Notification, String> {
    works("draft", draft.build(NotificationId::now().at()))
}

fn shared(tokens: std::ops::Range<u32>) -> Result<Vec<Notification>, String> {
    let devices = tokens.map(|token| (format!("{token:08x}"), Some(format!("u-{token}"))));
    works("drafts", draft(0).build_for(devices, NotificationId::now().at()))
}

/// Submits, and expects a confirmation for each.
async fn submit<H: SubmitHarness>(harness: &H, pool: &PoolName, list: &[Notification]) -> Outcome {
    let confirmed: Vec<_> = list.iter().map(|n| Ok(Confirmation { id: n.id })).collect();
    same("outcomes", harness.submit().submit(pool, list.to_vec()).await, confirmed)
}

/// What arrived: in how many messages, and what each owner reads out of its own queue.
struct Arrived {
    messages: usize,
    items: Vec<Vec<Notification>>,
}

/// Takes from each queue until `count` notifications have arrived, then one probe more, which shows that nothing is behind
/// them.
async fn arrived<H: SubmitHarness>(harness: &H, pool: &PoolName, count: usize) -> Result<Arrived, String> {
    let slots = SlotMap::even(QUEUES);
    let probes = (0..u32::MAX).map(|token| build(draft(token)));
    let mut probe_of: Vec<Option<Notification>> = vec![None; usize::from(QUEUES)];
    for probe in probes {
        let probe = probe?;
        probe_of[usize::from(slots.queue(probe.slot()))].get_or_insert(probe);
        if probe_of.iter().all(Option::is_some) {
            break;
        }
    }
    let probes: Vec<Notification> = probe_of.into_iter().flatten().collect();
    for probe in &probes {
        submit(harness, pool, std::slice::from_ref(probe)).await?;
    }
    let mut arrived = Arrived { messages: 0, items: Vec::new() };
    for (number, probe) in (0..QUEUES).zip(&probes) {
        let queue = QueueName { pool: pool.clone(), number };
        let mut inbox = works("attach", harness.broker().attach(&queue, PREFETCH).await)?;
        let mut items: Vec<Notification> = Vec::new();
        while items.last().is_none_or(|last| last.id != probe.id) {
            for delivery in works("take", inbox.take(100).await)? {
                let owns = |slot| slots.queue(slot) == number;
                let decoded = wire::decode(&delivery.kind, &delivery.body, NotificationId::now().at(), owns);
                let decoded = works("decode", decoded)?;
                same("items that can't be read", decoded.bad.len(), 0)?;
                items.extend(decoded.items);
                arrived.messages += 1;
            }
        }
        items.pop();
        arrived.messages -= 1;
        arrived.items.push(items);
    }
    same("notifications that arrived", arrived.items.iter().map(Vec::len).sum(), count)?;
    Ok(arrived)
}

/// Each gets its own outcome, in the order given, whatever goes out together.
pub async fn outcomes_are_in_the_order_given<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let mut list = shared(0..10)?;
    for (place, token) in [(3, 100), (7, 101), (0, 102)] {
        list.insert(place, build(draft(token))?);
    }
    submit(harness, &pool, &list).await
}

/// P1: what is confirmed arrives at the owner of its slot, once, with everything it says.
pub async fn confirmed_arrives_once_and_whole<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let mut list = shared(0..40)?;
    for token in 100..120 {
        let rich = draft(token).user("u").app("im").reference("r").collapse_id("c").generation(2);
        list.push(build(rich.badge(crate::Badge::Add(1)))?);
    }
    submit(harness, &pool, &list).await?;
    let mut seen: Vec<Notification> =
        arrived(harness, &pool, list.len()).await?.items.into_iter().flatten().collect();
    seen.sort_by_key(|n| n.id);
    list.sort_by_key(|n| n.id);
    for (seen, sent) in seen.iter().zip(&list) {
        same("key", seen.key(), sent.key())?;
        let whole = seen.token == sent.token && seen.user == sent.user && seen.badge == sent.badge;
        require(whole && seen.content == sent.content, || format!("{seen:?} instead of {sent:?}"))?;
    }
    Ok(())
}

/// P2: the notifications of one device token keep their order, within a call and from call to call.
pub async fn order_of_a_token_is_kept<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        let mut list = Vec::new();
        for _ in 0..4 {
            list.extend(shared(0..8)?);
            list.push(build(draft(3))?);
            list.push(build(draft(5))?);
        }
        submit(harness, &pool, &list).await?;
        sent.extend(list);
    }
    let seen = arrived(harness, &pool, sent.len()).await?;
    for items in &seen.items {
        for first in items {
            let of = |list: &[Notification]| -> Vec<NotificationId> {
                list.iter().filter(|n| n.token == first.token).map(|n| n.id).collect()
            };
            same("order of a device token", of(items), of(&sent))?;
        }
    }
    Ok(())
}

/// A payload shared by many devices reaches each queue once, not once a device.
pub async fn shared_payload_goes_out_once_a_queue<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let list = shared(0..60)?;
    require(list.iter().all(|n| Arc::ptr_eq(&n.content, &list[0].content)), || "content is copied".into())?;
    submit(harness, &pool, &list).await?;
    let messages = arrived(harness, &pool, list.len()).await?.messages;
    require(messages <= usize::from(QUEUES), || format!("{messages} messages for {QUEUES} queues"))
}

/// P8: more than fits into one message is split, not refused.
pub async fn more_than_a_batch_is_taken<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let list = shared(0..(wire::BATCH_ITEMS_MAX as u32 + 500))?;
    submit(harness, &pool, &list).await?;
    arrived(harness, &pool, list.len()).await.map(drop)
}

/// Nothing submitted, no outcome.
pub async fn nothing_is_nothing<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    submit(harness, &pool, &[]).await
}

/// A pool that is not there is named, for each.
pub async fn unknown_pool_is_refused<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = works("pool name", PoolName::parse("nobody-has-this"))?;
    let outcomes = harness.submit().submit(&pool, shared(0..3)?).await;
    same("outcomes", outcomes, vec![Err(SubmitError::UnknownPool(pool.to_string())); 3])
}

/// P3: what may have been accepted before arrives marked, alone and in a batch; what is new does not.
pub async fn again_arrives_marked<H: SubmitHarness>(harness: &H) -> Outcome {
    let pool = harness.fresh_pool(QUEUES).await;
    let slots = SlotMap::even(QUEUES);
    let same_queue = |n: &Notification| slots.queue(n.slot()) == 0;
    let list: Vec<Notification> = shared(0..64)?.into_iter().filter(same_queue).take(3).collect();
    submit(harness, &pool, &list[..1]).await?;
    for outcome in harness.submit().submit_again(&pool, list.clone()).await {
        works("submit again", outcome)?;
    }
    let queue = QueueName { pool, number: 0 };
    let mut inbox = works("attach", harness.broker().attach(&queue, PREFETCH).await)?;
    let (mut marks, mut items) = (Vec::new(), 0);
    while items < 4 {
        for delivery in works("take", inbox.take(100).await)? {
            let decoded = wire::decode(&delivery.kind, &delivery.body, NotificationId::now().at(), |_| true);
            items += works("decode", decoded)?.items.len();
            marks.push(delivery.repeat);
        }
    }
    same("the first is new", marks.first(), Some(&false))?;
    require(marks.len() > 1 && marks[1..].iter().all(|mark| *mark), || format!("marks: {marks:?}"))
}
