//! What a monitor and the command line rely on.

use super::*;
use crate::contract::{require, same};
use crate::fleet::{Because, Decided, Decision, Keep, Policy, Quarantine, Wanted};
use crate::seam::DECISIONS_MAX;

pub async fn making_twice_changes_nothing<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    change(&store, &lead, 3, assign(&member("a", 1)?.owner())).await?;
    let before = works("read", store.read().await)?;
    works("init", store.init().await)?;
    works("seed", store.seed(&pool()?, QUEUES, 200).await)?;
    same("the queues", works("read", store.read().await)?.queues, before.queues)
}

/// P2: it fences. Through moves, claims and releases.
pub async fn the_epoch_only_grows<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let sender = join(harness, &store, member("a", 1)?).await;
    let (a, b) = (member("a", 1)?.owner(), member("b", 1)?.owner());
    let name = queue(0)?;
    let mut epochs = vec![stored(&store, 0).await?.assignment.epoch];
    epochs.push(change(&store, &lead, 0, assign(&b)).await?.assignment.epoch);
    epochs.push(change(&store, &lead, 0, assign(&a)).await?.assignment.epoch);
    epochs.push(works("claim", sender.reclaim(&name, 2, true).await)?.epoch);
    works("release", sender.release(&name, 3, true).await)?;
    epochs.push(change(&store, &lead, 0, assign(&a)).await?.assignment.epoch);
    same("epochs", epochs, vec![0, 1, 2, 3, 4])
}

/// Two plans on one reading: the second meets another state. What is not stale is done all the same.
pub async fn a_stale_plan_changes_nothing<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let (a, b) = (member("a", 1)?.owner(), member("b", 1)?.owner());
    let (zero, one) = (stored(&store, 0).await?, stored(&store, 1).await?);
    change(&store, &lead, 0, assign(&a)).await?;
    let plan = [zero, one].map(|on| Planned { on, change: assign(&b) });
    let applied = works("apply", lead.apply(&plan).await)?;
    same("stale", applied.stale, vec![queue(0)?])?;
    same("changed", applied.changed.len(), 1)?;
    let owners = [stored(&store, 0).await?, stored(&store, 1).await?].map(|s| s.assignment.owner);
    same("owners", owners, [Some(a), Some(b)])
}

pub async fn one_monitor_leads<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let other = harness.another(&store).await;
    let first = works("lead", store.lead().await)?;
    require(first.is_certain(), || "the leader is not certain".to_owned())?;
    let mut second = Box::pin(other.lead());
    // Long enough for whoever would let it in at once: a write of the first one's, seen by the second.
    change(&store, &first, 0, assign(&member("a", 1)?.owner())).await?;
    until(&other, |view| view.queues.iter().any(|stored| stored.assignment.epoch == 1)).await?;
    require(crate::contract::poll_once(&mut second).await.is_none(), || "two lead".to_owned())?;
    drop(first);
    let second = works("lead after the first", second.await)?;
    require(second.is_certain(), || "the second leader is not certain".to_owned())?;
    change(&other, &second, 0, assign(&member("b", 1)?.owner())).await.map(drop)
}

pub async fn a_deposed_leader_changes_nothing<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let id = works("wish", store.wish("ops", Wanted::Rebalance).await)?;
    let on = stored(&store, 0).await?;
    harness.depose(&store).await;
    let plan = [Planned { on: on.clone(), change: assign(&member("a", 1)?.owner()) }];
    overtaken("its changes", lead.apply(&plan).await)?;
    overtaken("its deletions", lead.fulfilled(&[id]).await)?;
    same("the queue", stored(&store, 0).await?, on)?;
    same("the wishes", works("read", store.read().await)?.wishes.len(), 1)?;
    lead.lost().await;
    require(!lead.is_certain(), || "the deposed leader is certain".to_owned())
}

pub async fn wishes_wait_in_order_until_fulfilled<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let a = member("a", 1)?.id;
    let wanted = [Wanted::Drain { member: a.clone() }, Wanted::Pause { queue: queue(0)? }, Wanted::Rebalance];
    let mut ids = Vec::new();
    for wanted in &wanted {
        ids.push(works("wish", store.wish("ops", wanted.clone()).await)?);
    }
    require(ids.is_sorted_by(|a, b| a < b), || format!("{ids:?}"))?;
    let view = works("read", store.read().await)?;
    same("ids", view.wishes.iter().map(|wish| wish.id).collect(), ids.clone())?;
    same("wishes", view.wishes.into_iter().map(|wish| wish.wanted).collect(), wanted.to_vec())?;
    works("fulfilled", lead.fulfilled(&ids[..2]).await)?;
    works("fulfilled again", lead.fulfilled(&ids[..2]).await)?;
    let left = works("read", store.read().await)?.wishes;
    same("what is left", left.into_iter().map(|wish| wish.id).collect(), vec![ids[2]])
}

pub async fn quarantines_and_policy_are_kept<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    same("the first policy", works("read", store.read().await)?.policy, Policy::default())?;
    let member = member("a", 1)?.id;
    let why = "bad disk".to_owned();
    let kept_out =
        Quarantine { member: member.clone(), by: "ops".to_owned(), why, since: Timestamp::default() };
    works("quarantine", store.quarantine(kept_out.clone()).await)?;
    works("quarantine again", store.quarantine(kept_out.clone()).await)?;
    let policy = Policy { half_gone_percent: 40, ..Policy::default() };
    works("policy", store.set_policy(&policy).await)?;
    let view = works("read", harness.another(&store).await.read().await)?;
    same("quarantines", view.quarantines, vec![kept_out])?;
    same("policy", view.policy, policy)?;
    works("lift", store.lift(&member, "ops").await)?;
    works("lift again", store.lift(&member, "ops").await)?;
    same("quarantines", works("read", store.read().await)?.quarantines, vec![])
}

/// Also when what was decided is long done, and for whoever looks.
pub async fn decisions_are_kept_with_their_reasons<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    same("the first decisions", works("decisions", store.decisions().await)?, vec![])?;
    let lead = works("lead", store.lead().await)?;
    let because = |reason: &str| Because { by: "ops".to_owned(), reason: reason.to_owned() };
    let (member, pause) = (member("a", 1)?.id, Wanted::Pause { queue: queue(0)? });
    let id = works("wish", store.wish(because("INC-7"), pause.clone()).await)?;
    let stands = works("read", store.read().await)?.wishes;
    let whose = stands.into_iter().map(|wish| (wish.by, wish.reason)).collect();
    same("whose wish it is", whose, vec![("ops".to_owned(), "INC-7".to_owned())])?;
    works("fulfilled", lead.fulfilled(&[id]).await)?;
    let (by, why) = ("ops".to_owned(), "bad disk".to_owned());
    let kept_out = Quarantine { member: member.clone(), by, why, since: Timestamp::default() };
    works("quarantine", store.quarantine(kept_out).await)?;
    works("lift", store.lift(&member, because("a new disk")).await)?;
    works("lift what is lifted", store.lift(&member, because("once more")).await)?;
    let kept = works("decisions", harness.another(&store).await.decisions().await)?;
    let kept = kept.into_iter().map(|kept| (kept.by, kept.reason, kept.decided)).collect();
    let expected = [
        ("a new disk", Decided::Keep(Keep::Lift { member: member.clone() })),
        ("bad disk", Decided::Keep(Keep::Quarantine { member })),
        ("INC-7", Decided::Wish(pause)),
    ];
    let expected = expected.map(|(reason, decided)| ("ops".to_owned(), reason.to_owned(), decided));
    same("decisions", kept, expected.to_vec())
}

pub async fn the_oldest_decisions_go_first<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let member = member("a", 1)?.id;
    for number in 0..DECISIONS_MAX + 3 {
        let (member, by, why) = (member.clone(), "ops".to_owned(), number.to_string());
        let again = Quarantine { member, by, why, since: Timestamp::default() };
        works("quarantine", store.quarantine(again).await)?;
    }
    let kept = works("decisions", store.decisions().await)?;
    same("how many are kept", kept.len(), DECISIONS_MAX)?;
    let reason = |kept: Option<&Decision>| kept.map(|kept| kept.reason.clone());
    same("the latest", reason(kept.first()), Some((DECISIONS_MAX + 2).to_string()))?;
    same("the oldest", reason(kept.last()), Some("3".to_owned()))
}

/// Whatever a monitor must look at wakes it: members, an owner's words, wishes.
pub async fn changes_are_told<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let monitor = harness.another(&store).await;
    works("read", monitor.read().await)?;
    let sender = join(harness, &store, member("a", 1)?).await;
    told(&monitor, |view| view.members.len() == 1).await?;
    change(&store, &lead, 0, assign(&member("a", 1)?.owner())).await?;
    told(&monitor, |view| view.queues.iter().any(|stored| stored.assignment.owner.is_some())).await?;
    sees(&sender, 0, |owned| owned.is_some()).await?;
    works("release", sender.release(&queue(0)?, 1, true).await)?;
    told(&monitor, |view| view.queues.iter().all(|stored| stored.assignment.owner.is_none())).await?;
    works("wish", store.wish("ops", Wanted::Rebalance).await)?;
    told(&monitor, |view| view.wishes.len() == 1).await?;
    drop(sender);
    told(&monitor, |view| view.members.is_empty()).await.map(drop)
}

/// As [`until`], without a look in between: only what wakes it counts.
async fn told<S: FleetStore>(store: &S, wanted: impl Fn(&FleetView) -> bool) -> Result<FleetView, String> {
    loop {
        store.changed().await;
        let view = works("read", store.read().await)?;
        if wanted(&view) {
            return Ok(view);
        }
    }
}
