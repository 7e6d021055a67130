//! What a ledger promises about device tokens: gone or not, and their badges.

use super::facts::{Sample, fact};
use super::{LedgerHarness, look_up, record, record_new};
use crate::contract::{Outcome, require, same, works};
use crate::fact::Final;
use crate::notification::Badge;
use crate::seam::{DeviceState, Ledger};
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::verdict::FinalVerdict;

async fn device<L: Ledger>(ledger: &L, of: &Sample) -> Result<DeviceState, String> {
    Ok(look_up(ledger, of.key, of.fingerprint()).await?.device)
}

async fn register<L: Ledger>(ledger: &L, of: &Sample, at: Timestamp) -> Outcome {
    works("register", ledger.register(&[of.registration(at)]).await)
}

/// P3: a badge changes by its delta exactly once, in the order of the facts, and only by finals that stand.
pub async fn badge_delta_counts_once<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let first = Sample::new(&pool);
    let with = |of: &Sample, badge| fact(Final { badge: Some(badge), ..of.accepted() });
    let batch = [
        with(&first, Badge::Add(1)),
        with(&first.next(), Badge::Set(5)),
        with(&first.next(), Badge::Add(2)),
        fact(first.next().accepted()),
    ];
    record_new(&ledger, &batch).await?;
    same("badge", device(&ledger, &first).await?.badge, 7)?;
    record(&ledger, &batch).await?;
    same("badge after the same batch again", device(&ledger, &first).await?.badge, 7)?;
    let late = Final { badge: Some(Badge::Add(50)), ..first.end(FinalVerdict::Superseded) };
    record(&ledger, &[fact(late)]).await?;
    same("badge after a late final", device(&ledger, &first).await?.badge, 7)?;
    // A superseded one was meant to count as well.
    let superseded = Final { badge: Some(Badge::Add(3)), ..first.next().end(FinalVerdict::Superseded) };
    record_new(&ledger, &[fact(superseded)]).await?;
    same("badge after a superseded one", device(&ledger, &first).await?.badge, 10)?;
    record_new(&ledger, &[with(&first.next(), Badge::Set(u32::MAX)), with(&first.next(), Badge::Add(2))])
        .await?;
    same("badge at its end", device(&ledger, &first).await?.badge, u32::MAX)?;
    same("another device's badge", device(&ledger, &Sample::new(&pool)).await?.badge, 0)
}

/// P4, the 410 rule: a registration before APNs found the token gone does not keep it; one at that time or after does. Only
/// a final that stands invalidates.
pub async fn gone_rule_on_both_sides<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    for (registered_after, stays) in [(None, false), (Some(49), false), (Some(50), true), (Some(51), true)] {
        let sample = Sample::new(&pool);
        if let Some(after) = registered_after {
            register(&ledger, &sample, sample.after(after)).await?;
        }
        let found = sample.after(50);
        let recorded = record_new(&ledger, &[fact(sample.token_gone(Some(found)))]).await?;
        let what = || format!("registered {registered_after:?} ms, found gone 50 ms after the start");
        let gone_at = device(&ledger, &sample).await?.gone_at;
        require(gone_at == (!stays).then_some(found), || format!("{}: gone at {gone_at:?}", what()))?;
        require(recorded.gone.is_empty() == stays, || format!("{}: {:?}", what(), recorded.gone))?;
    }
    let done = Sample::new(&pool);
    record_new(&ledger, &[fact(done.accepted())]).await?;
    let late = record(&ledger, &[fact(done.token_gone(Some(done.at)))]).await?;
    same("gone by a late final", (late.gone, late.late), (vec![], vec![0]))?;
    same("gone by a late final", device(&ledger, &done).await?.gone_at, None)
}

/// P4: where APNs gave no time, the last write stands in for it ([`Final::gone_since`]).
pub async fn gone_rule_without_a_time<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    // Judged 100 ms after the start, 50 ms after it was written.
    for (registered_after, stays) in [(0, false), (49, false), (50, true), (75, true), (500, true)] {
        let sample = Sample::new(&pool);
        register(&ledger, &sample, sample.after(registered_after)).await?;
        let recorded = record_new(&ledger, &[fact(sample.token_gone(None))]).await?;
        let gone_at = device(&ledger, &sample).await?.gone_at;
        require(gone_at.is_none() == stays && recorded.gone.is_empty() == stays, || {
            format!("registered {registered_after} ms, written 50 ms after the start: gone at {gone_at:?}")
        })?;
    }
    Ok(())
}

/// P4: a token that registers after it was found gone is valid again, until it is found gone again; an older registration
/// that becomes known late restores nothing.
pub async fn registering_anew_restores<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let sample = Sample::new(&pool);
    let slots = [Slot::of(&sample.token)];
    record_new(&ledger, &[fact(sample.token_gone(Some(sample.after(50))))]).await?;
    register(&ledger, &sample, sample.after(20)).await?;
    let state = device(&ledger, &sample).await?;
    same("gone after an older registration", state.gone_at, Some(sample.after(50)))?;
    register(&ledger, &sample, sample.after(60)).await?;
    let state = device(&ledger, &sample).await?;
    same("after a new registration", (state.gone_at, state.registered_at), (None, Some(sample.after(60))))?;
    same("gone", works("gone", ledger.gone(&pool, &slots).await)?, Vec::new())?;
    register(&ledger, &sample, sample.after(30)).await?;
    let registered_at = device(&ledger, &sample).await?.registered_at;
    same("the last registration", registered_at, Some(sample.after(60)))?;
    let again = record_new(&ledger, &[fact(sample.next().token_gone(Some(sample.after(90))))]).await?;
    same("gone again", again.gone, vec![0])?;
    let ledger = harness.reopen(ledger).await;
    same("gone again at", device(&ledger, &sample).await?.gone_at, Some(sample.after(90)))?;
    same("gone", works("gone", ledger.gone(&pool, &slots).await)?, vec![sample.fingerprint().short()])
}

/// The tokens known gone are those of the pool and slots asked for, each once.
pub async fn gone_is_by_pool_and_slot<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (_, other_pool) = harness.fresh().await;
    let mut gone: Vec<Sample> = (0..40).map(|_| Sample::new(&pool)).collect();
    let elsewhere = Sample::new(&other_pool);
    let facts: Vec<_> =
        gone.iter().chain([&elsewhere]).map(|s| fact(s.token_gone(Some(s.after(50))))).collect();
    same("gone", record_new(&ledger, &facts).await?.gone.len(), facts.len())?;
    let (valid, known) = (Sample::new(&pool), Sample::new(&pool));
    record_new(&ledger, &[fact(valid.accepted())]).await?;
    register(&ledger, &known, known.at).await?;

    let lower: Vec<Slot> = Slot::all().take(512).collect();
    gone.retain(|s| lower.contains(&Slot::of(&s.token)));
    let mut promised: Vec<u64> = gone.iter().map(|s| s.fingerprint().short()).collect();
    let mut seen = works("gone", ledger.gone(&pool, &lower).await)?;
    seen.sort_unstable();
    promised.sort_unstable();
    same("gone in half of the slots", seen, promised)?;
    let all: Vec<Slot> = Slot::all().collect();
    same("gone in all slots", works("gone", ledger.gone(&pool, &all).await)?.len(), 40)
}
