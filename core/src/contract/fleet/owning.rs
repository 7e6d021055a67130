//! What a sender relies on.

use super::*;
use crate::contract::{require, same};
use crate::seam::{Standing, Tenure};

pub async fn who_joins_is_seen_until_it_leaves<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let sender = join(harness, &store, member("s1", 1)?).await;
    let view = until(&store, |view| !view.members.is_empty()).await?;
    same("members", view.members, vec![member("s1", 1)?])?;
    sender.leave().await;
    until(&store, |view| view.members.is_empty()).await?;
    drop(sender);
    let sender = join(harness, &store, member("s2", 1)?).await;
    until(&store, |view| !view.members.is_empty()).await?;
    drop(sender);
    until(&store, |view| view.members.is_empty()).await.map(drop)
}

pub async fn what_a_member_says_is_seen<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let sender = join(harness, &store, member("s1", 1)?).await;
    let load = crate::fleet::Load { per_second: 7, in_flight: 1, held: 2, ..Default::default() };
    sender.describe(Member { draining: true, load, ..member("other", 9)? });
    let view = until(&store, |view| view.members.iter().any(|m| m.draining && m.load == load)).await?;
    same("its name", view.members[0].owner(), member("s1", 1)?.owner())
}

/// And for good: who was replaced owns nothing any more and cannot claim.
pub async fn a_later_life_takes_the_place<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let earlier = join(harness, &store, member("s1", 1)?).await;
    until(&store, |view| !view.members.is_empty()).await?;
    change(&store, &lead, 0, assign(&member("s1", 1)?.owner())).await?;
    sees(&earlier, 0, |owned| owned.is_some()).await?;
    let _later = join(harness, &store, member("s1", 2)?).await;
    let replaced = Standing::Replaced(member("s1", 2)?.incarnation);
    works("standing", earlier.standing().wait_for(|standing| *standing == replaced).await)?;
    sees(&earlier, 0, |owned| owned.is_none()).await?;
    let view = until(&store, |view| view.members.iter().any(|m| m.incarnation == replaced_by(2))).await?;
    same("members", view.members.len(), 1)?;
    overtaken("claim", earlier.reclaim(&queue(0)?, 1, true).await)
}

fn replaced_by(life: u128) -> Incarnation {
    Incarnation(Uuid::from_u128(life))
}

pub async fn an_assigned_queue_reaches_its_owner<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let (a, b) = (member("a", 1)?.owner(), member("b", 1)?.owner());
    let first = join(harness, &store, member("a", 1)?).await;
    let second = join(harness, &store, member("b", 1)?).await;
    change(&store, &lead, 2, assign(&a)).await?;
    let owned = sees(&first, 2, |owned| owned.is_some()).await?;
    let told = owned.map(|o| (o.epoch, o.prefetch, o.predecessor_gone, o.paused, o.tenure));
    same("what it is told", told, Some((1, 100, false, false, Tenure::Hold)))?;
    change(&store, &lead, 2, assign(&b)).await?;
    sees(&second, 2, |owned| owned.is_some_and(|owned| owned.epoch == 2)).await?;
    sees(&first, 2, |owned| owned.is_none()).await.map(drop)
}

pub async fn an_owner_that_is_asked_leaves<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let (a, b) = (member("a", 1)?.owner(), member("b", 1)?.owner());
    let sender = join(harness, &store, member("a", 1)?).await;
    change(&store, &lead, 0, assign(&a)).await?;
    change(&store, &lead, 0, Change::Ask { successor: b.member.clone(), cause: Cause::Drain }).await?;
    let leave = Tenure::Leave(b.member);
    sees(&sender, 0, |owned| owned.is_some_and(|o| o.tenure == leave && o.epoch == 1)).await?;
    works("release", sender.release(&queue(0)?, 1, true).await)?;
    sees(&sender, 0, |owned| owned.is_none()).await?;
    let released = stored(&store, 0).await?.assignment;
    require(released.owner.is_none() && released.epoch == 1, || format!("{released:?}"))
}

/// P2: in one write, so that nobody is in between and nobody waits; said again, it is the same.
pub async fn what_is_left_for_a_member_is_that_ones<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let (a, b) = (member("a", 1)?.owner(), member("b", 7)?.owner());
    let first = join(harness, &store, member("a", 1)?).await;
    let other = harness.another(&store).await;
    let second = join(harness, &other, member("b", 7)?).await;
    for number in [0, 1] {
        change(&store, &lead, number, assign(&a)).await?;
        sees(&first, number, |owned| owned.is_some()).await?;
        works("settled", first.settled(&queue(number)?, 1).await)?;
        change(&store, &lead, number, Change::Ask { successor: b.member.clone(), cause: Cause::Drain })
            .await?;
        let comes = [queue(number)?];
        let mut told = second.assignment();
        works("what comes", told.wait_for(|told| told.coming == comes).await.map(drop))?;
        sees(&first, number, |owned| owned.is_some_and(|o| o.tenure != Tenure::Hold)).await?;
        let clean = number == 0;
        works("release", first.release(&queue(number)?, 1, clean).await)?;
        works("release again", first.release(&queue(number)?, 1, clean).await)?;
        let owned = sees(&second, number, |owned| owned.is_some()).await?;
        let owned = owned.map(|o| (o.epoch, o.predecessor_gone, o.left_clean, o.tenure));
        same("what it is told", owned, Some((2, clean, clean, Tenure::Hold)))?;
        sees(&first, number, |owned| owned.is_none()).await?;
        works("nothing comes any more", told.wait_for(|told| told.coming.is_empty()).await.map(drop))?;
    }
    let kept = stored(&store, 0).await?.assignment;
    same("the owner", (kept.owner, kept.successor, kept.cause), (Some(b), None, Cause::Drain))
}

/// Nor is what an operator holds anybody else's.
pub async fn what_is_left_for_who_leaves_too_is_nobodys<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let a = member("a", 1)?.owner();
    let first = join(harness, &store, member("a", 1)?).await;
    let other = harness.another(&store).await;
    let _drains = join(harness, &other, Member { draining: true, ..member("b", 1)? }).await;
    let another = harness.another(&store).await;
    let _stays = join(harness, &another, member("c", 1)?).await;
    until(&store, |view| view.members.len() == 3).await?;
    for (number, successor, paused) in [(0, "b", false), (1, "c", true)] {
        change(&store, &lead, number, assign(&a)).await?;
        let successor = member(successor, 1)?.id;
        change(&store, &lead, number, Change::Ask { successor: successor.clone(), cause: Cause::Drain })
            .await?;
        if paused {
            change(&store, &lead, number, Change::Pause).await?;
        }
        sees(&first, number, |owned| owned.is_some_and(|o| o.tenure != Tenure::Hold)).await?;
        works("release", first.release(&queue(number)?, 1, true).await)?;
        let left = stored(&store, number).await?.assignment;
        same("the owner", (left.owner, left.successor, left.epoch), (None, Some(successor), 1))?;
    }
    Ok(())
}

pub async fn an_earlier_lifes_queue_is_inherited<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    change(&store, &lead, 1, assign(&member("s1", 1)?.owner())).await?;
    let later = join(harness, &store, member("s1", 2)?).await;
    sees(&later, 1, |owned| owned.is_some_and(|o| matches!(o.tenure, Tenure::Inherited(_)) && o.epoch == 1))
        .await?;
    let claimed = works("claim", later.reclaim(&queue(1)?, 1, true).await)?;
    same("what it gets", (claimed.epoch, &claimed.tenure), (2, &Tenure::Hold))?;
    let told = later.assignment().borrow().queues.clone();
    same("what it is told, when it is answered", told, vec![claimed])
}

/// P2: two lives of a member claim at once.
pub async fn one_of_two_claims_is_granted<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let first = join(harness, &store, member("s1", 1)?).await;
    change(&store, &lead, 0, assign(&member("s1", 1)?.owner())).await?;
    sees(&first, 0, |owned| owned.is_some()).await?;
    // The first does not see that it is replaced: it is away until it claims.
    let other = harness.another(&store).await;
    let second = join(harness, &other, member("s1", 2)?).await;
    sees(&second, 0, |owned| owned.is_some()).await?;
    let name = queue(0)?;
    let (one, two) = tokio::join!(first.reclaim(&name, 1, true), second.reclaim(&name, 1, true));
    let granted = usize::from(one.is_ok()) + usize::from(two.is_ok());
    same("granted", granted, 1)?;
    same("epoch", stored(&store, 0).await?.assignment.epoch, 2)
}

pub async fn a_claim_may_be_said_again<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let sender = join(harness, &store, member("s1", 1)?).await;
    change(&store, &lead, 0, assign(&member("s1", 1)?.owner())).await?;
    let name = queue(0)?;
    let once = works("claim", sender.reclaim(&name, 1, true).await)?;
    let twice = works("claim again", sender.reclaim(&name, 1, true).await)?;
    same("the second answer", twice, once)?;
    works("release", sender.release(&name, 2, true).await)?;
    works("release again", sender.release(&name, 2, true).await)
}

/// P2: neither a stranger, nor an earlier life, nor a word of an epoch that is over.
pub async fn only_the_owner_in_its_epoch_speaks<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let owner = join(harness, &store, member("a", 1)?).await;
    let stranger = join(harness, &store, member("b", 1)?).await;
    let name = queue(0)?;
    change(&store, &lead, 0, assign(&member("a", 1)?.owner())).await?;
    let claimed = works("claim", owner.reclaim(&name, 1, true).await)?;
    let before = stored(&store, 0).await?;
    overtaken("a stranger's release", stranger.release(&name, claimed.epoch, true).await)?;
    overtaken("a stranger's claim", stranger.reclaim(&name, claimed.epoch, true).await)?;
    overtaken("a stranger's settling", stranger.settled(&name, claimed.epoch).await)?;
    overtaken("a release in an old epoch", owner.release(&name, 1, true).await)?;
    overtaken("a settling in an old epoch", owner.settled(&name, 1).await)?;
    same("what is stored", stored(&store, 0).await?, before)
}

pub async fn a_clean_note_spares_the_grace<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let (a, b) = (member("a", 1)?.owner(), member("b", 1)?.owner());
    let sender = join(harness, &store, member("a", 1)?).await;
    for (number, clean) in [(0, true), (1, false)] {
        let name = queue(number)?;
        change(&store, &lead, number, assign(&a)).await?;
        works("settle", sender.settled(&name, 1).await)?;
        works("release", sender.release(&name, 1, clean).await)?;
        let next = change(&store, &lead, number, assign(&b)).await?.assignment;
        same("predecessor gone", (next.epoch, next.predecessor_gone), (2, clean))?;
    }
    Ok(())
}

pub async fn who_settled_vouches_for_its_predecessor<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let sender = join(harness, &store, member("a", 1)?).await;
    let name = queue(0)?;
    change(&store, &lead, 0, assign(&member("a", 1)?.owner())).await?;
    let unsettled = works("claim", sender.reclaim(&name, 1, true).await)?;
    same("before it settled", (unsettled.epoch, unsettled.predecessor_gone), (2, false))?;
    works("settle", sender.settled(&name, 2).await)?;
    works("settle again", sender.settled(&name, 2).await)?;
    let settled = works("claim", sender.reclaim(&name, 2, true).await)?;
    same("after it settled", (settled.epoch, settled.predecessor_gone), (3, true))
}

/// P7: static mode, and the way back.
pub async fn the_last_assignment_stands_while_away<H: FleetHarness>(harness: &H) -> Outcome {
    let store = seeded(harness).await?;
    let lead = works("lead", store.lead().await)?;
    let sender = join(harness, &store, member("a", 1)?).await;
    let a = member("a", 1)?.owner();
    change(&store, &lead, 0, assign(&a)).await?;
    let owned = sees(&sender, 0, |owned| owned.is_some()).await?;
    harness.set_away(&sender, true).await;
    let away = |standing: &Standing| matches!(standing, Standing::Away { .. });
    works("standing", sender.standing().wait_for(away).await)?;
    match sender.reclaim(&queue(0)?, 1, true).await {
        Err(CoordinatorError::Away(_)) => {}
        other => return Err(format!("a claim while away: {other:?}")),
    }
    same("what it owns", sender.assignment().borrow().queues.first().cloned(), owned)?;
    change(&store, &lead, 1, assign(&a)).await?;
    harness.set_away(&sender, false).await;
    works("standing", sender.standing().wait_for(|standing| *standing == Standing::Joined).await)?;
    sees(&sender, 1, |owned| owned.is_some()).await.map(drop)
}
