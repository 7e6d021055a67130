//! Facts as rows of the file, and what they change at devices.

use std::collections::HashSet;

use skein_core::NotificationKey;
use skein_core::fact::{Fact, Final, Note, Registration, SubmittedBatch};
use skein_core::notification::Badge;
use skein_core::seam::{Recorded, Refused};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::bulk::{Bulk, Statement};
use super::fault::Fault;
use crate::device_changes::{self, BadgeChange};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Many at once; [`Fault::NotAllNew`] if one was there already.
    AllAreNew,
    /// One by one, so that it is known which were there.
    RowByRow,
}

/// The statements.
pub(super) struct FactRows {
    finals: Bulk,
    notes: Bulk,
    batches: Bulk,
    set_badges: Bulk,
    add_badges: Bulk,
    registrations: Bulk,
}

/// A fact with the number of its batch and its index there.
struct Told<'a, T> {
    batch: usize,
    index: usize,
    fact: &'a T,
}

const FINAL_COLUMNS: &str = "id, generation, at, submitted_at, gone_at, duration_us, payload_bytes, queue, attempts, \
    status, verdict, slot, possible_copy, repeat, token, user_print, collapse, pool, cause, app, ref, sender";

impl FactRows {
    pub(super) fn new() -> Self {
        let badge = |how: &str| {
            let tail = format!("ON CONFLICT (token) DO UPDATE SET badge = {how}");
            Bulk::new("INSERT INTO device (token, slot, pool, badge)", 4, &tail)
        };
        Self {
            finals: Bulk::new(&format!("INSERT INTO final ({FINAL_COLUMNS})"), 22, "ON CONFLICT DO NOTHING"),
            notes: Bulk::new(
                "INSERT INTO note (id, generation, at, until, attempt, status, kind, possible_copy, pool, cause, sender)",
                11,
                "ON CONFLICT DO NOTHING",
            ),
            batches: Bulk::new(
                "INSERT INTO submitted (first_id, last_id, at, pool, ids)",
                5,
                "ON CONFLICT DO NOTHING",
            ),
            set_badges: badge("excluded.badge"),
            add_badges: badge("min(device.badge + excluded.badge, 4294967295)"),
            registrations: Bulk::new(
                "INSERT INTO device (token, slot, pool, user_print, app, registered_at, token_sealed)",
                7,
                "ON CONFLICT (token) DO UPDATE SET pool = excluded.pool, user_print = excluded.user_print, \
                 app = excluded.app, registered_at = excluded.registered_at, token_sealed = excluded.token_sealed \
                 WHERE device.registered_at IS NULL OR device.registered_at <= excluded.registered_at",
            ),
        }
    }

    /// Appends batches of facts, within the transaction that is open. One answer a batch.
    pub(super) async fn append(
        &self,
        connection: &mut SqliteConnection,
        batches: &[&[Fact]],
        care: Care,
    ) -> Result<Vec<Recorded>, Fault> {
        let mut answers = vec![Recorded::default(); batches.len()];
        let (mut finals, mut notes, mut submitted) = (Vec::new(), Vec::new(), Vec::new());
        for (batch, facts) in batches.iter().enumerate() {
            for (index, fact) in facts.iter().enumerate() {
                if holds_nul(fact) {
                    answers[batch].refused.push(Refused { index, why: "a text holds a NUL".into() });
                    continue;
                }
                match fact {
                    Fact::Final(f) => finals.push(Told { batch, index, fact: &**f }),
                    Fact::Note(n) => notes.push(Told { batch, index, fact: &**n }),
                    Fact::Submitted(b) if !b.ids.is_empty() => {
                        submitted.push(Told { batch, index, fact: &**b });
                    }
                    Fact::Submitted(_) => {}
                }
            }
        }
        let (first, late) = write(&self.finals, connection, finals, care, bind_final).await?;
        for told in &late {
            answers[told.batch].late.push(told.index);
            if !is_same(connection, told.fact).await? {
                let note = told.fact.late_note();
                self.notes.write(connection, &[note], bind_note).await?;
            }
        }
        let (_, late_notes) = write(&self.notes, connection, notes, care, bind_note).await?;
        let (_, late_batches) = write(&self.batches, connection, submitted, care, bind_batch).await?;
        for (batch, index) in late_notes
            .iter()
            .map(|t| (t.batch, t.index))
            .chain(late_batches.iter().map(|t| (t.batch, t.index)))
        {
            answers[batch].late.push(index);
        }
        self.change_badges(connection, &first).await?;
        find_gone(connection, &first, &mut answers).await?;
        for answer in &mut answers {
            answer.late.sort_unstable();
            answer.gone.sort_unstable();
        }
        Ok(answers)
    }

    async fn change_badges(
        &self,
        connection: &mut SqliteConnection,
        first: &[Told<'_, Final>],
    ) -> Result<(), Fault> {
        let changes = device_changes::badges(first.iter().map(|told| told.fact));
        let (sets, adds): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change.badge, Badge::Set(_)));
        let bind = |q: Statement, c: &BadgeChange<'_>| {
            q.bind(&c.of.token.0[..])
                .bind(i64::from(c.of.slot.number()))
                .bind(c.of.pool.as_str())
                .bind(i64::from(c.badge.applied_to(0)))
        };
        self.set_badges.write(connection, &sets, bind).await?;
        self.add_badges.write(connection, &adds, bind).await?;
        Ok(())
    }

    /// Stores registrations with their sealed tokens.
    pub(super) async fn register(
        &self,
        connection: &mut SqliteConnection,
        rows: &[(Registration, Vec<u8>)],
    ) -> Result<(), Fault> {
        let bind = |q: Statement, (r, sealed): &(Registration, Vec<u8>)| {
            q.bind(&r.fingerprint.0[..])
                .bind(i64::from(skein_core::Slot::of(&r.token).number()))
                .bind(r.pool.as_str())
                .bind(r.user.as_ref().map(|user| &user.0[..]))
                .bind(r.app.as_deref())
                .bind(r.at.as_millis())
                .bind(&**sealed)
        };
        self.registrations.write(connection, rows, bind).await?;
        Ok(())
    }
}

/// A NUL is in no text of the ledger, whichever database keeps it.
fn holds_nul(fact: &Fact) -> bool {
    let has = |text: &str| text.as_bytes().contains(&0);
    match fact {
        Fact::Final(f) => {
            has(&f.cause)
                || has(&f.sender)
                || f.app.as_deref().is_some_and(has)
                || f.reference.as_deref().is_some_and(has)
        }
        Fact::Note(n) => has(&n.cause) || has(&n.sender),
        Fact::Submitted(_) => false,
    }
}

type Split<'a, T> = (Vec<Told<'a, T>>, Vec<Told<'a, T>>);

/// Writes rows; gives those that are new and those that were there.
async fn write<'a, T>(
    bulk: &Bulk,
    connection: &mut SqliteConnection,
    rows: Vec<Told<'a, T>>,
    care: Care,
    bind: impl Fn(Statement, &T) -> Statement,
) -> Result<Split<'a, T>, Fault> {
    let bind = |q: Statement, told: &Told<'a, T>| bind(q, told.fact);
    match care {
        Care::AllAreNew => {
            let written = bulk.write(connection, &rows, bind).await?;
            if written == rows.len() { Ok((rows, Vec::new())) } else { Err(Fault::NotAllNew) }
        }
        Care::RowByRow => {
            let mut new = bulk.write_each(connection, &rows, bind).await?.into_iter();
            Ok(rows.into_iter().partition(|_| new.next().unwrap_or(false)))
        }
    }
}

fn bind_final(q: Statement, f: &Final) -> Statement {
    q.bind(&f.key.id.as_bytes()[..])
        .bind(i64::from(f.key.generation))
        .bind(f.at.as_millis())
        .bind(f.submitted_at.map(|at| at.as_millis()))
        .bind(f.gone_at.map(|at| at.as_millis()))
        .bind(i64::from(f.duration_us))
        .bind(i64::from(f.payload_bytes))
        .bind(i64::from(f.queue))
        .bind(i64::from(f.attempts))
        .bind(i64::from(f.status))
        .bind(i64::from(f.verdict.code()))
        .bind(i64::from(f.slot.number()))
        .bind(f.possible_copy)
        .bind(f.repeat)
        .bind(&f.token.0[..])
        .bind(f.user.as_ref().map(|user| &user.0[..]))
        .bind(f.collapse.as_ref().map(|collapse| &collapse.0[..]))
        .bind(f.pool.as_str())
        .bind(&*f.cause)
        .bind(f.app.as_deref())
        .bind(f.reference.as_deref())
        .bind(std::sync::Arc::clone(&f.sender))
}

fn bind_note(q: Statement, n: &Note) -> Statement {
    q.bind(&n.key.id.as_bytes()[..])
        .bind(i64::from(n.key.generation))
        .bind(n.at.as_millis())
        .bind(n.until.map(|at| at.as_millis()))
        .bind(i64::from(n.attempt))
        .bind(i64::from(n.status))
        .bind(i64::from(n.kind.code()))
        .bind(n.possible_copy)
        .bind(n.pool.as_str())
        .bind(&*n.cause)
        .bind(std::sync::Arc::clone(&n.sender))
}

fn bind_batch(q: Statement, b: &SubmittedBatch) -> Statement {
    let ends = b.ids.iter().min().zip(b.ids.iter().max());
    q.bind(ends.map(|(first, _)| first.as_bytes().to_vec()))
        .bind(ends.map(|(_, last)| last.as_bytes().to_vec()))
        .bind(b.at.as_millis())
        .bind(b.pool.as_str())
        .bind(b.ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>())
}

/// Whether the final that stands for the key is this very fact.
async fn is_same(connection: &mut SqliteConnection, f: &Final) -> Result<bool, Fault> {
    let NotificationKey { id, generation } = f.key;
    let standing = sqlx::query(
        "SELECT verdict, cause, status, at, attempts, sender, duration_us, possible_copy FROM final
         WHERE id = ? AND generation = ?",
    )
    .bind(&id.as_bytes()[..])
    .bind(i64::from(generation))
    .fetch_optional(connection)
    .await?;
    let same = |row: &SqliteRow| {
        Ok::<_, sqlx::Error>(
            row.try_get::<i64, _>(0)? == i64::from(f.verdict.code())
                && row.try_get::<String, _>(1)? == f.cause
                && row.try_get::<i64, _>(2)? == i64::from(f.status)
                && row.try_get::<i64, _>(3)? == f.at.as_millis()
                && row.try_get::<i64, _>(4)? == i64::from(f.attempts)
                && row.try_get::<String, _>(5)? == *f.sender
                && row.try_get::<i64, _>(6)? == i64::from(f.duration_us)
                && row.try_get::<bool, _>(7)? == f.possible_copy,
        )
    };
    Ok(standing.as_ref().map(same).transpose()?.unwrap_or(false))
}

/// Tokens found gone; each once. Answers a row if it is gone now and was not, or not as late.
const FIND_GONE: &str = "
INSERT INTO device (token, slot, pool, found_gone_at, gone_cause) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (token) DO UPDATE
    SET found_gone_at = excluded.found_gone_at, gone_cause = excluded.gone_cause, pool = excluded.pool
    WHERE device.found_gone_at IS NULL OR device.found_gone_at < excluded.found_gone_at
RETURNING registered_at IS NULL OR registered_at < found_gone_at";

async fn find_gone(
    connection: &mut SqliteConnection,
    first: &[Told<'_, Final>],
    answers: &mut [Recorded],
) -> Result<(), Fault> {
    let mut gone: HashSet<*const Final> = HashSet::new();
    for change in device_changes::gone(first.iter().map(|told| told.fact)) {
        let is_gone: Option<bool> = sqlx::query_scalar(FIND_GONE)
            .bind(&change.token.0[..])
            .bind(i64::from(change.slot.number()))
            .bind(change.of.pool.as_str())
            .bind(change.since.as_millis())
            .bind(&*change.of.cause)
            .fetch_optional(&mut *connection)
            .await?;
        if is_gone == Some(true) {
            gone.insert(change.of);
        }
    }
    for told in first.iter().filter(|told| gone.contains(&std::ptr::from_ref(told.fact))) {
        answers[told.batch].gone.push(told.index);
    }
    Ok(())
}
