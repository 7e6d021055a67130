//! What a ledger promises about what it reports: repeats, counts, history.

use std::time::Duration;

use super::facts::{Sample, fact, note};
use super::{LedgerHarness, record_new};
use crate::contract::{Outcome, same, works};
use crate::fact::{Fact, Final, Note, NoteKind};
use crate::seam::{Ledger, Tally, TraceEvent};
use crate::verdict::FinalVerdict;

/// P3: the keys that became final through a marked copy, since then and in that pool.
pub async fn repeats_are_those_marked<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (_, other_pool) = harness.fresh().await;
    let [old, new, newest, unmarked] = [0; 4].map(|_| Sample::new(&pool));
    let elsewhere = Sample::new(&other_pool);
    let start = old.at;
    let at = |millis| start.plus(Duration::from_millis(millis));
    let marked = |s: &Sample, millis| fact(Final { repeat: true, at: at(millis), ..s.accepted() });
    let facts = [
        marked(&old, 99),
        marked(&new, 100),
        marked(&newest, 500),
        marked(&elsewhere, 500),
        fact(Final { at: at(500), ..unmarked.accepted() }),
    ];
    record_new(&ledger, &facts).await?;
    let mut seen = works("repeats", ledger.repeats(&pool, at(100)).await)?;
    seen.sort_unstable();
    same("repeats", seen, vec![new.key, newest.key])
}

/// The ledger's side of the accounting identity: each generation once under the verdict that stands, by pool and time; a
/// possible copy once a generation, whether its final row or a note says so.
pub async fn tally_is_exact<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (_, other_pool) = harness.fresh().await;
    let start = Sample::new(&pool).at.plus(Duration::from_secs(3));
    let mut facts = Vec::new();
    let mut promised = Tally::default();
    let mut end = |verdict, millis: u64, possible_copy| {
        let sample = Sample::new(&pool);
        let at = start.plus(Duration::from_millis(millis));
        facts.push(fact(Final { at, possible_copy, ..sample.end(verdict) }));
        sample
    };
    for (count, verdict) in (1..).zip(FinalVerdict::ALL) {
        for _ in 0..count {
            end(verdict, 0, false);
        }
        promised.add(verdict, count);
    }
    let copy = end(FinalVerdict::Accepted, 5, true);
    let noted = end(FinalVerdict::Failed, 6, false);
    promised.add(FinalVerdict::Accepted, 1);
    promised.add(FinalVerdict::Failed, 1);
    let before = Sample::new(&pool);
    let elsewhere = Sample::new(&other_pool);
    let in_doubt = |s: &Sample| {
        let at = start.plus(Duration::from_millis(1));
        note(Note { at, possible_copy: true, ..s.note(NoteKind::InDoubt, 0) })
    };
    facts.extend([
        in_doubt(&copy),
        in_doubt(&noted),
        note(Note { at: start, ..noted.note(NoteKind::Retry, 0) }),
        fact(Final { at: start.minus(Duration::from_millis(1)), possible_copy: true, ..before.accepted() }),
        fact(Final { at: start, possible_copy: true, ..elsewhere.accepted() }),
        copy.submitted(&[noted.key.id], 3000),
    ]);
    promised.possible_copies = 2;
    record_new(&ledger, &facts).await?;
    same("tally", works("tally", ledger.tally(&pool, start).await)?, promised)?;
    works("record again", ledger.record(&facts).await)?;
    let late = fact(Final { at: start.plus(Duration::from_secs(1)), ..before.end(FinalVerdict::Failed) });
    works("record a late one", ledger.record(&[late]).await)?;
    same("tally after the same again", works("tally", ledger.tally(&pool, start).await)?, promised)
}

/// P6: everything that was recorded about an id, oldest first, with what support needs to see.
pub async fn trace_is_complete_and_ordered<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (sample, neighbour) = (Sample::new(&pool), Sample::new(&pool));
    let end =
        Final { at: sample.after(300), attempts: 3, possible_copy: true, ..sample.end(FinalVerdict::Failed) };
    let retry = sample.note(NoteKind::Retry, 100);
    let doubt = Note { possible_copy: true, until: None, attempt: 2, ..sample.note(NoteKind::InDoubt, 200) };
    let facts: [Fact; 5] = [
        fact(end.clone()),
        note(doubt.clone()),
        fact(neighbour.accepted()),
        note(retry.clone()),
        neighbour.submitted(&[sample.key.id], 0),
    ];
    record_new(&ledger, &facts).await?;
    let events = works("trace", ledger.trace(sample.key.id).await)?.events;
    let what: Vec<&str> = events.iter().map(|e| e.what).collect();
    same("events", what, vec!["submitted", "retry", "in_doubt", "failed"])?;
    let [submitted, first, second, last] = events.as_slice() else { return Err("not four events".into()) };
    same("submitted at", submitted.at, neighbour.at)?;
    is_of_note(first, &retry)?;
    is_of_note(second, &doubt)?;
    is_of_final(last, &end)?;
    let events = works("trace", ledger.trace(neighbour.key.id).await)?.events;
    same("events of its neighbour", events.iter().map(|e| e.what).collect(), vec!["submitted", "accepted"])
}

fn is_of_note(seen: &TraceEvent, note: &Note) -> Outcome {
    same("generation", seen.generation, note.key.generation)?;
    same("pool", seen.pool.as_str(), note.pool.as_str())?;
    same("time", seen.at, note.at)?;
    same("cause", seen.cause.as_str(), &*note.cause)?;
    same("status", seen.status, note.status)?;
    same("attempt", seen.attempt, note.attempt)?;
    same("until", seen.until, note.until)?;
    same("possible copy", seen.possible_copy, note.possible_copy)?;
    same("sender", seen.sender.as_deref(), Some(&*note.sender))
}

fn is_of_final(seen: &TraceEvent, end: &Final) -> Outcome {
    same("pool", seen.pool.as_str(), end.pool.as_str())?;
    same("time", seen.at, end.at)?;
    same("cause", seen.cause.as_str(), &*end.cause)?;
    same("status", seen.status, end.status)?;
    same("attempts", seen.attempt, end.attempts)?;
    same("duration", seen.duration_us, end.duration_us)?;
    same("possible copy", seen.possible_copy, end.possible_copy)?;
    same("token", seen.token.clone(), Some(end.token.to_string()))?;
    same("user", seen.user.clone(), end.user.map(|user| user.to_string()))?;
    same("app", seen.app.as_deref(), end.app.as_deref())?;
    same("ref", seen.reference.as_deref(), end.reference.as_deref())?;
    same("submitted at", seen.submitted_at, end.submitted_at)?;
    same("queue", seen.queue, Some(end.queue))?;
    same("sender", seen.sender.as_deref(), Some(&*end.sender))
}
