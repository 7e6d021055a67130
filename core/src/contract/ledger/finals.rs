//! What a ledger promises about final verdicts and batches.

use super::facts::{Sample, fact, note};
use super::{LedgerHarness, is_unknown, look_up, record, record_new};
use crate::contract::{Outcome, require, same, works};
use crate::fact::{Fact, Final, NoteKind};
use crate::seam::{Ledger, LookUp};
use crate::time::Timestamp;
use crate::verdict::FinalVerdict;

/// P1: a recorded final verdict is there after the process that recorded it died.
pub async fn final_is_durable_and_found<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let samples: Vec<Sample> = FinalVerdict::ALL.iter().map(|_| Sample::new(&pool)).collect();
    let facts: Vec<Fact> = samples.iter().zip(FinalVerdict::ALL).map(|(s, v)| s.ends(v)).collect();
    record_new(&ledger, &facts).await?;
    let ledger = harness.reopen(ledger).await;
    for (sample, verdict) in samples.iter().zip(FinalVerdict::ALL) {
        let known = look_up(&ledger, sample.key, sample.fingerprint()).await?;
        same("verdict", known.verdict, Some(verdict))?;
    }
    Ok(())
}

/// P1: of two final verdicts of a generation the first stands; the second is reported late and kept as a note.
pub async fn first_final_wins<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (apart, together) = (Sample::new(&pool), Sample::new(&pool));
    let late = |s: &Sample| Final { at: s.after(200), sender: "sender-2".into(), ..s.accepted() };
    record_new(&ledger, &[apart.ends(FinalVerdict::Failed)]).await?;
    same("late", record(&ledger, &[fact(late(&apart))]).await?.late, vec![0])?;
    let pair = [together.ends(FinalVerdict::Failed), fact(late(&together))];
    same("late within one batch", record(&ledger, &pair).await?.late, vec![1])?;
    for sample in [&apart, &together] {
        let known = look_up(&ledger, sample.key, sample.fingerprint()).await?;
        same("verdict", known.verdict, Some(FinalVerdict::Failed))?;
        let events = works("trace", ledger.trace(sample.key.id).await)?.events;
        same("events", events.iter().map(|e| e.what).collect(), vec!["failed", "late_final"])?;
        same("sender of the late one", events[1].sender.as_deref(), Some("sender-2"))?;
        require(events[1].cause.starts_with("accepted"), || format!("late cause {:?}", events[1].cause))?;
    }
    let tally = works("tally", ledger.tally(&pool, apart.at).await)?;
    same("generations that ended", (tally.total(), tally.of(FinalVerdict::Failed)), (2, 2))
}

/// P1: of two owners that record different ends at the same time, exactly one is told that its end is late.
pub async fn at_once_only_one_stands<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let samples: Vec<Sample> = (0..20).map(|_| Sample::new(&pool)).collect();
    let ours: Vec<Fact> = samples.iter().map(|s| fact(s.accepted())).collect();
    let mut theirs: Vec<Fact> = samples.iter().map(|s| s.ends(FinalVerdict::Failed)).collect();
    // The other way round: two transactions that lock rows in opposite orders must not block each other for good.
    theirs.reverse();
    let (ours, theirs) = tokio::join!(ledger.record(&ours), ledger.record(&theirs));
    let (ours, mut theirs) = (works("record", ours)?.late, works("record", theirs)?.late);
    theirs.iter_mut().for_each(|index| *index = samples.len() - 1 - *index);
    for (index, sample) in samples.iter().enumerate() {
        let late = (ours.contains(&index), theirs.contains(&index));
        let known = look_up(&ledger, sample.key, sample.fingerprint()).await?.verdict;
        let standing = match late {
            (false, true) => FinalVerdict::Accepted,
            (true, false) => FinalVerdict::Failed,
            _ => return Err(format!("late are {late:?} of two ends of one generation")),
        };
        same("verdict", known, Some(standing))?;
    }
    Ok(())
}

/// P1: a batch whose outcome was not learnt is recorded again, as a whole or in part, and changes nothing.
pub async fn same_batch_twice_changes_nothing<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (one, two) = (Sample::new(&pool), Sample::new(&pool));
    let late = Final { at: two.after(300), sender: "sender-2".into(), ..two.accepted() };
    let batch = [
        one.submitted(&[two.key.id], 0),
        note(one.note(NoteKind::Retry, 10)),
        fact(Final { badge: Some(crate::Badge::Add(1)), ..one.accepted() }),
        two.ends(FinalVerdict::Failed),
        fact(late),
    ];
    let report = async |ledger: &H::Ledger| {
        let token = look_up(ledger, one.key, one.fingerprint()).await?;
        let tally = works("tally", ledger.tally(&pool, one.at).await)?;
        let traces = (ledger.trace(one.key.id).await, ledger.trace(two.key.id).await);
        Ok::<_, String>((token, tally, works("trace", traces.0)?, works("trace", traces.1)?))
    };
    same("late", record(&ledger, &batch).await?.late, vec![4])?;
    let before = report(&ledger).await?;
    let again = record(&ledger, &batch).await?;
    same("late finals", again.late.iter().filter(|i| **i >= 2).count(), 3)?;
    same("refused", again.refused, Vec::new())?;
    record(&ledger, &batch[1..3]).await?;
    same("the record", report(&ledger).await?, before)
}

/// A resend is a generation of its own: its end is not the first one's.
pub async fn generations_are_apart<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let first = Sample::new(&pool);
    let mut resend = first.clone();
    resend.key.generation = 1;
    record_new(&ledger, &[first.ends(FinalVerdict::Failed)]).await?;
    is_unknown(&ledger, resend.key, resend.fingerprint()).await?;
    record_new(&ledger, &[fact(Final { at: first.after(500), ..resend.accepted() })]).await?;
    for (sample, verdict) in [(&first, FinalVerdict::Failed), (&resend, FinalVerdict::Accepted)] {
        let known = look_up(&ledger, sample.key, sample.fingerprint()).await?;
        same("verdict", known.verdict, Some(verdict))?;
    }
    let events = works("trace", ledger.trace(first.key.id).await)?.events;
    same("generations", events.iter().map(|e| e.generation).collect(), vec![0, 1])
}

/// P1: a row that can't be stored is named, and its neighbours are stored. A text with a NUL is such a row, unless the
/// implementation can store it.
pub async fn batch_with_a_refused_row<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let samples: Vec<Sample> = (0..6).map(|_| Sample::new(&pool)).collect();
    let mut facts: Vec<Fact> = samples.iter().map(|s| fact(s.accepted())).collect();
    facts[1] = fact(Final { reference: Some("a\0b".into()), ..samples[1].accepted() });
    facts[4] = fact(Final { app: Some("\0".into()), ..samples[4].accepted() });
    facts.push(note(crate::fact::Note { cause: "a\0".into(), ..samples[0].note(NoteKind::Retry, 5) }));
    facts.push(note(samples[5].note(NoteKind::Retry, 5)));
    let recorded = record(&ledger, &facts).await?;
    let refused: Vec<usize> = recorded.refused.iter().map(|r| r.index).collect();
    require(refused.iter().all(|i| [1, 4, 6].contains(i)), || format!("refused are {refused:?}"))?;
    require(recorded.refused.iter().all(|r| !r.why.contains('\0')), || "the reason holds the value".into())?;
    for (index, sample) in samples.iter().enumerate() {
        let stored = look_up(&ledger, sample.key, sample.fingerprint()).await?.verdict.is_some();
        same("stored", stored, !refused.contains(&index))?;
    }
    let events = works("trace", ledger.trace(samples[5].key.id).await)?.events.len();
    same("events of a neighbour", events, 2)
}

/// A batch as large as a sender's window is recorded whole.
pub async fn large_batch_is_recorded_whole<H: LedgerHarness>(harness: &H) -> Outcome {
    const MANY: usize = 5000;
    let (ledger, pool) = harness.fresh().await;
    let samples: Vec<Sample> = (0..MANY).map(|_| Sample::new(&pool)).collect();
    let facts: Vec<Fact> = samples.iter().map(|s| fact(s.accepted())).collect();
    record_new(&ledger, &facts).await?;
    let asked: Vec<LookUp> = samples.iter().map(|s| LookUp { key: s.key, token: s.fingerprint() }).collect();
    let known = works("look-up", ledger.look_up(&asked).await)?;
    let found = known.iter().filter(|k| k.verdict == Some(FinalVerdict::Accepted)).count();
    same("found", (known.len(), found), (MANY, MANY))?;
    same("late", record(&ledger, &facts).await?.late.len(), MANY)
}

/// One answer for each that was asked, in the order asked: unknown ones and repeated ones too.
pub async fn look_ups_answer_in_order<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    let (known, unknown) = (Sample::new(&pool), Sample::new(&pool));
    let badge = Some(crate::Badge::Set(9));
    record_new(&ledger, &[fact(Final { badge, ..known.accepted() })]).await?;
    let ask = |key: &Sample, token: &Sample| LookUp { key: key.key, token: token.fingerprint() };
    let asked = [
        ask(&unknown, &unknown),
        ask(&known, &known),
        ask(&known, &unknown),
        ask(&unknown, &known),
        ask(&known, &known),
    ];
    let answers = works("look-up", ledger.look_up(&asked).await)?;
    let (yes, no) = (Some(FinalVerdict::Accepted), None);
    let seen = answers.iter().map(|a| (a.verdict, a.device.badge)).collect();
    same("answers", seen, vec![(no, 0), (yes, 9), (yes, 0), (no, 9), (yes, 9)])
}

/// P1: away, it says so and records nothing at all; back, it records.
pub async fn away_records_nothing<H: LedgerHarness>(harness: &H) -> Outcome {
    if !H::CAN_BE_AWAY {
        return Ok(());
    }
    let (ledger, pool) = harness.fresh().await;
    let (one, two) = (Sample::new(&pool), Sample::new(&pool));
    let batch = [
        fact(Final { badge: Some(crate::Badge::Add(1)), ..one.accepted() }),
        fact(two.token_gone(Some(two.at))),
    ];
    harness.set_away(&ledger, true).await;
    let failed = [
        ledger.record(&batch).await.is_err(),
        ledger.look_up(&[LookUp { key: one.key, token: one.fingerprint() }]).await.is_err(),
        ledger.ping().await.is_err(),
    ];
    harness.set_away(&ledger, false).await;
    same("record, look-up and ping fail", failed, [true; 3])?;
    works("ping", ledger.ping().await)?;
    for sample in [&one, &two] {
        let known = look_up(&ledger, sample.key, sample.fingerprint()).await?;
        same("known of what failed", known, crate::seam::Known::default())?;
    }
    same("gone", record_new(&ledger, &batch).await?.gone, vec![1])?;
    same("badge", look_up(&ledger, one.key, one.fingerprint()).await?.device.badge, 1)
}

/// P2, P3, P4: while facts wait elsewhere it records, and answers nothing of what a sender asks before it writes: not what is final, not
/// which tokens are gone, not what was repeated. Once all are here, it answers.
pub async fn behind_it_records_and_answers_nothing<H: LedgerHarness>(harness: &H) -> Outcome {
    if !H::CAN_BE_BEHIND {
        return Ok(());
    }
    let (ledger, pool) = harness.fresh().await;
    let (gone, repeated) = (Sample::new(&pool), Sample::new(&pool));
    record_new(&ledger, &[fact(gone.token_gone(Some(gone.at)))]).await?;
    let asked = [LookUp { key: gone.key, token: gone.fingerprint() }];
    let slots = [crate::Slot::of(&gone.token)];
    let since = Timestamp::from_millis(0);
    harness.set_behind(&ledger, true).await;
    let answers = [
        ("look-up", ledger.look_up(&asked).await.err()),
        ("gone", ledger.gone(&pool, &slots).await.err()),
        ("repeats", ledger.repeats(&pool, since).await.err()),
    ];
    record_new(&ledger, &[fact(Final { repeat: true, ..repeated.accepted() })]).await?;
    harness.set_behind(&ledger, false).await;
    for (what, error) in answers {
        let away = matches!(error, Some(crate::seam::LedgerError::Away(_)));
        require(away, || format!("{what} while facts wait elsewhere: {error:?}"))?;
    }
    same(
        "verdict",
        look_up(&ledger, repeated.key, repeated.fingerprint()).await?.verdict,
        Some(FinalVerdict::Accepted),
    )?;
    same("gone", works("gone", ledger.gone(&pool, &slots).await)?, vec![gone.fingerprint().short()])?;
    same("repeats", works("repeats", ledger.repeats(&pool, since).await)?, vec![repeated.key])
}

/// Nothing asked, nothing answered; nothing told, nothing recorded; an id that nobody knows has no history.
pub async fn nothing_is_nothing<H: LedgerHarness>(harness: &H) -> Outcome {
    let (ledger, pool) = harness.fresh().await;
    same("recorded", record(&ledger, &[]).await?, crate::seam::Recorded::default())?;
    same("known", works("look-up", ledger.look_up(&[]).await)?, Vec::new())?;
    works("register", ledger.register(&[]).await)?;
    same("gone", works("gone", ledger.gone(&pool, &[]).await)?, Vec::new())?;
    let since = Timestamp::from_millis(0);
    same("repeats", works("repeats", ledger.repeats(&pool, since).await)?, Vec::new())?;
    same("tally", works("tally", ledger.tally(&pool, since).await)?, crate::seam::Tally::default())?;
    let nobody = Sample::new(&pool);
    let known = look_up(&ledger, nobody.key, nobody.fingerprint()).await?;
    same("known of nobody", known, crate::seam::Known::default())?;
    same("events", works("trace", ledger.trace(nobody.key.id).await)?.events, Vec::new())
}
