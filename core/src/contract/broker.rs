//! The promises of [`Broker`] and [`Inbox`].

use bytes::Bytes;

use super::{Outcome, poll_once, require, same, suite, works};
use crate::lease::BootMillis;
use crate::pool::QueueName;
use crate::seam::{Broker, DeadLetter, Delivery, Inbox};
use crate::wire;

/// What the suite needs of an implementation's test.
pub trait BrokerHarness {
    /// The implementation.
    type Broker: Broker;

    /// Whether the broker counts how often a message came back.
    const COUNTS_RETURNS: bool = true;

    /// The broker.
    fn broker(&self) -> Self::Broker;

    /// The clock that leases run by.
    fn boot(&self) -> BootMillis;

    /// An empty queue that no promise used before.
    fn fresh_queue(&self) -> impl Future<Output = QueueName>;

    /// Publishes a body as a `skein.notification.v1`, whatever it holds, and waits until it is stored.
    fn publish(&self, queue: &QueueName, body: &[u8], repeat: bool) -> impl Future<Output = ()>;

    /// Cuts this attachment, the one being served, without any farewell.
    fn cut(&self, queue: &QueueName, inbox: &mut <Self::Broker as Broker>::Inbox)
    -> impl Future<Output = ()>;

    /// The bodies of the dead letters that came from a queue, oldest first.
    fn dead_letters(&self, queue: &QueueName) -> impl Future<Output = Vec<Bytes>>;
}

type InboxOf<H> = <<H as BrokerHarness>::Broker as Broker>::Inbox;

/// The prefetch where it does not matter.
const PREFETCH: u16 = 20;

suite!(BrokerHarness:
    order_is_that_of_publishing,
    message_arrives_as_published,
    take_does_not_wait_for_more,
    take_keeps_to_its_bound,
    take_is_cancellation_safe,
    tags_grow,
    prefetch_bounds_the_unsettled,
    cut_returns_to_the_front_in_order,
    cut_marks_as_redelivered,
    cut_ends_the_attachment,
    cut_is_noticed_without_taking,
    settled_never_comes_back,
    leave_returns_the_untouched,
    drop_returns_everything,
    second_attachment_waits,
    second_cut_keeps_the_order,
    bury_stores,
    lease_ends_with_the_cut,
);

/// A fresh queue that holds the bodies `0..count`.
async fn filled<H: BrokerHarness>(harness: &H, count: u8) -> QueueName {
    let queue = harness.fresh_queue().await;
    publish(harness, &queue, 0..count).await;
    queue
}

async fn publish<H: BrokerHarness>(harness: &H, queue: &QueueName, bodies: impl IntoIterator<Item = u8>) {
    for body in bodies {
        harness.publish(queue, &[body], false).await;
    }
}

async fn attach<H: BrokerHarness>(
    harness: &H,
    queue: &QueueName,
    prefetch: u16,
) -> Result<InboxOf<H>, String> {
    works("attach", harness.broker().attach(queue, prefetch).await)
}

/// Takes until there are `count` deliveries.
async fn take(inbox: &mut impl Inbox, count: usize) -> Result<Vec<Delivery>, String> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(works("take", inbox.take(count - taken.len()).await)?);
    }
    Ok(taken)
}

fn bodies(deliveries: &[Delivery]) -> Vec<u8> {
    deliveries.iter().map(|d| d.body.first().copied().unwrap_or(u8::MAX)).collect()
}

async fn settle(inbox: &mut impl Inbox, deliveries: &[Delivery]) -> Outcome {
    let mut tags = deliveries.iter().map(|d| d.tag).collect();
    works("settle", inbox.settle(&mut tags).await)?;
    same("tags left after settling", tags, Vec::new())
}

/// Attaches, and expects exactly these bodies before a last one, which is published now.
async fn expect_rest<H: BrokerHarness>(harness: &H, queue: &QueueName, rest: &[u8]) -> Outcome {
    const LAST: u8 = 200;
    publish(harness, queue, [LAST]).await;
    let mut inbox = attach(harness, queue, PREFETCH).await?;
    let mut taken = Vec::new();
    while !bodies(&taken).contains(&LAST) {
        taken.extend(works("take", inbox.take(rest.len() + 1).await)?);
    }
    same("what is left in the queue", bodies(&taken), [rest, &[LAST]].concat())?;
    settle(&mut inbox, &taken).await?;
    inbox.leave().await;
    Ok(())
}

/// A queue hands out in the order of publishing.
pub async fn order_is_that_of_publishing<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 50).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let mut seen = Vec::new();
    while seen.len() < 50 {
        let taken = works("take", inbox.take(7).await)?;
        seen.extend(bodies(&taken));
        settle(&mut inbox, &taken).await?;
    }
    same("order", seen, (0..50).collect())
}

/// Type, body and the mark of a repeat arrive as they were published; nothing is marked as redelivered the first time.
pub async fn message_arrives_as_published<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = harness.fresh_queue().await;
    let odd: &[u8] = b"\x00\xff not JSON";
    harness.publish(&queue, odd, true).await;
    harness.publish(&queue, b"", false).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let taken = take(&mut inbox, 2).await?;
    same("bodies", taken.iter().map(|d| &d.body[..]).collect(), vec![odd, b""])?;
    same("marked as repeated", taken.iter().map(|d| d.repeat).collect(), vec![true, false])?;
    same("type", taken.iter().map(|d| &*d.kind).collect(), vec![wire::NOTIFICATION_V1; 2])?;
    require(taken.iter().all(|d| !d.redelivered && d.returns == 0), || {
        "marked as redelivered the first time".to_owned()
    })
}

/// One message is enough for `take` to return.
pub async fn take_does_not_wait_for_more<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 1).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    same("taken", bodies(&works("take", inbox.take(10).await)?), vec![0])
}

/// `take` gives at most what was asked for.
pub async fn take_keeps_to_its_bound<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 9).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let mut count = 0;
    while count < 9 {
        let taken = works("take", inbox.take(2).await)?.len();
        require((1..=2).contains(&taken), || format!("{taken} deliveries for at most 2"))?;
        count += taken;
    }
    Ok(())
}

/// A `take` that is dropped before it returns loses nothing.
pub async fn take_is_cancellation_safe<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = harness.fresh_queue().await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let mut seen = Vec::new();
    for body in 0..10 {
        let mut dropped = Box::pin(inbox.take(10));
        let early = poll_once(&mut dropped).await;
        require(early.is_none(), || format!("{early:?} from an empty queue"))?;
        publish(harness, &queue, [body]).await;
        let polled = poll_once(&mut dropped).await;
        drop(dropped);
        let taken = match polled {
            Some(taken) => works("take", taken)?,
            None => take(&mut inbox, 1).await?,
        };
        settle(&mut inbox, &taken).await?;
        seen.extend(bodies(&taken));
    }
    same("taken", seen, (0..10).collect())
}

/// Tags grow within an attachment.
pub async fn tags_grow<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 10).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let tags: Vec<u64> = take(&mut inbox, 10).await?.iter().map(|d| d.tag).collect();
    require(tags.windows(2).all(|pair| pair[0] < pair[1]), || format!("{tags:?}"))
}

/// P8: no more than the prefetch is out unsettled; each settlement makes room.
pub async fn prefetch_bounds_the_unsettled<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 5).await;
    let mut inbox = attach(harness, &queue, 3).await?;
    let taken = take(&mut inbox, 3).await?;
    publish(harness, &queue, [5]).await;
    let beyond = poll_once(&mut Box::pin(inbox.take(1))).await;
    require(beyond.is_none(), || format!("{beyond:?} beyond a prefetch of 3"))?;
    settle(&mut inbox, &taken[..2]).await?;
    same("after two are settled", bodies(&take(&mut inbox, 2).await?), vec![3, 4])?;
    let beyond = poll_once(&mut Box::pin(inbox.take(1))).await;
    require(beyond.is_none(), || format!("{beyond:?} beyond a prefetch of 3"))
}

/// P2: what a cut attachment had not settled, taken or not, returns to the front in its order.
pub async fn cut_returns_to_the_front_in_order<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 6).await;
    let mut inbox = attach(harness, &queue, 5).await?;
    let taken = take(&mut inbox, 3).await?;
    settle(&mut inbox, &taken[1..2]).await?;
    // Settling and cutting race on a real broker; the next delivery shows that the settlement was read.
    take(&mut inbox, 3).await?;
    harness.cut(&queue, &mut inbox).await;
    publish(harness, &queue, [6, 7]).await;
    drop(inbox);
    expect_rest(harness, &queue, &[0, 2, 3, 4, 5, 6, 7]).await
}

/// P3: what comes back is marked, and counted where the broker counts.
pub async fn cut_marks_as_redelivered<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 2).await;
    let returns = |times| if H::COUNTS_RETURNS { times } else { 0 };
    for times in 0..3 {
        let mut inbox = attach(harness, &queue, PREFETCH).await?;
        let taken = take(&mut inbox, 2).await?;
        for delivery in &taken {
            same("redelivered", delivery.redelivered, times > 0)?;
            same("returns", delivery.returns, returns(times))?;
        }
        harness.cut(&queue, &mut inbox).await;
    }
    Ok(())
}

/// A cut attachment gives nothing more and settles nothing more.
pub async fn cut_ends_the_attachment<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 2).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let mut tags: Vec<u64> = take(&mut inbox, 1).await?.iter().map(|d| d.tag).collect();
    harness.cut(&queue, &mut inbox).await;
    // What had arrived may still be handed out; the end comes behind it.
    while inbox.take(1).await.is_ok() {}
    let settled = inbox.settle(&mut tags).await;
    require(settled.is_err(), || "a cut attachment says that it settled".to_owned())?;
    drop(inbox);
    expect_rest(harness, &queue, &[0, 1]).await
}

/// P2: an owner without room to take more learns of a cut too; waiting for it takes nothing, and can be given up.
pub async fn cut_is_noticed_without_taking<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 3).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    take(&mut inbox, 1).await?;
    let early = poll_once(&mut Box::pin(inbox.cut())).await;
    require(early.is_none(), || format!("{early:?} before any cut"))?;
    same("taken after the wait was given up", bodies(&take(&mut inbox, 1).await?), vec![1])?;
    harness.cut(&queue, &mut inbox).await;
    inbox.cut().await;
    drop(inbox);
    expect_rest(harness, &queue, &[0, 1, 2]).await
}

/// P1, P3: what is settled is gone for good, in any order of settling, and nothing else is.
pub async fn settled_never_comes_back<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 6).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let taken = take(&mut inbox, 6).await?;
    settle(&mut inbox, &[taken[4].clone(), taken[1].clone()]).await?;
    settle(&mut inbox, &[]).await?;
    settle(&mut inbox, &taken[..1]).await?;
    inbox.leave().await;
    expect_rest(harness, &queue, &[2, 3, 5]).await
}

/// Leaving returns what was not settled to the front, in order.
pub async fn leave_returns_the_untouched<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 6).await;
    let mut inbox = attach(harness, &queue, 4).await?;
    let taken = take(&mut inbox, 2).await?;
    settle(&mut inbox, &taken).await?;
    inbox.leave().await;
    expect_rest(harness, &queue, &[2, 3, 4, 5]).await
}

/// Dropping an attachment is a cut: everything returns, in order.
pub async fn drop_returns_everything<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 4).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    take(&mut inbox, 3).await?;
    drop(inbox);
    expect_rest(harness, &queue, &[0, 1, 2, 3]).await
}

/// P2: while one attachment is served, another gets nothing and takes nothing from it; then it gets the rest.
pub async fn second_attachment_waits<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 1).await;
    let mut first = attach(harness, &queue, PREFETCH).await?;
    let mut taken = take(&mut first, 1).await?;
    let mut second = Box::pin(async {
        let mut inbox = attach(harness, &queue, PREFETCH).await?;
        let taken = take(&mut inbox, 2).await?;
        settle(&mut inbox, &taken).await?;
        inbox.leave().await;
        Ok::<_, String>(taken)
    });
    for body in 1..6 {
        publish(harness, &queue, [body]).await;
        taken.extend(tokio::select! {
            biased;
            early = &mut second => return Err(format!("the second got {early:?} while the first was served")),
            taken = take(&mut first, 1) => taken?,
        });
    }
    same("what the first got", bodies(&taken), (0..6).collect())?;
    settle(&mut first, &taken[..4]).await?;
    let (second, ()) = tokio::join!(second, first.leave());
    same("what the second got afterwards", bodies(&second?), vec![4, 5])
}

/// P2: under an equal prefetch, and under a growing one, the order stands after a second cut too.
pub async fn second_cut_keeps_the_order<H: BrokerHarness>(harness: &H) -> Outcome {
    for (first, second) in [(10, 10), (5, 10)] {
        let queue = filled(harness, 12).await;
        let mut inbox = attach(harness, &queue, first).await?;
        take(&mut inbox, 5).await?;
        harness.cut(&queue, &mut inbox).await;
        drop(inbox);
        let mut inbox = attach(harness, &queue, second).await?;
        let taken = take(&mut inbox, 5).await?;
        same("after the first cut", bodies(&taken), (0..5).collect())?;
        settle(&mut inbox, &taken[..2]).await?;
        take(&mut inbox, 7).await?;
        harness.cut(&queue, &mut inbox).await;
        drop(inbox);
        expect_rest(harness, &queue, &(2..12).collect::<Vec<u8>>()).await?;
    }
    Ok(())
}

/// P1: a dead letter is stored, and its delivery stays until it is settled.
pub async fn bury_stores<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 2).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    let taken = take(&mut inbox, 2).await?;
    let letter = DeadLetter {
        queue: queue.clone(),
        kind: taken[0].kind.clone(),
        id: None,
        reason: "not_json",
        detail: "not a JSON object, at line 1 column 1".into(),
        body: taken[0].body.clone(),
    };
    works("bury", inbox.bury(letter).await)?;
    same("dead letters", harness.dead_letters(&queue).await, vec![taken[0].body.clone()])?;
    inbox.leave().await;
    expect_rest(harness, &queue, &[0, 1]).await
}

/// P2: the lease opens while the attachment is served, and is shut once the attachment knows of its end.
pub async fn lease_ends_with_the_cut<H: BrokerHarness>(harness: &H) -> Outcome {
    let queue = filled(harness, 1).await;
    let mut inbox = attach(harness, &queue, PREFETCH).await?;
    take(&mut inbox, 1).await?;
    let lease = inbox.lease();
    while !lease.is_open(harness.boot()) {
        // The round trip that opens it is under way.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    harness.cut(&queue, &mut inbox).await;
    while inbox.take(1).await.is_ok() {}
    require(!lease.is_open(harness.boot()), || "open after the cut".to_owned())?;
    require(!inbox.lease().is_open(harness.boot()), || "open again after the cut".to_owned())
}
