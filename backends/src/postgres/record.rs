//! Recording: one transaction a batch. A batch that the database refuses is split, within one transaction, until the guilty
//! row stands alone.

use std::collections::{HashMap, HashSet};

use skein_core::NotificationKey;
use skein_core::fact::{Fact, Final, Note, SubmittedBatch};
use skein_core::seam::{LedgerError, Recorded, Refused};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::columns::{Instant, NoteIdentity, insert_finals, insert_new_finals, insert_notes, small};
use super::devices::{change_badges, find_gone};
use super::fault::{Fault, away};
use super::statements::{INSERT_SUBMITTED, STANDING};

/// A fact and its index in the batch.
pub(super) type Told<'a, T> = (usize, &'a T);

/// Finals, by whether they are the first of their key.
struct Sorted<'a> {
    first: Vec<Told<'a, Final>>,
    late: Vec<Told<'a, Final>>,
}

/// Whether finals may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// As nearly always: if one is there, [`Fault::NotAllNew`].
    AllAreNew,
    /// Each is asked for.
    SomeAreThere,
}

pub(super) async fn record(pool: &PgPool, facts: &[Fact]) -> Result<Recorded, LedgerError> {
    let every: Vec<usize> = (0..facts.len()).collect();
    let mut transaction = pool.begin().await.map_err(away)?;
    let mut done = apply(&mut transaction, facts, &every, Care::AllAreNew).await;
    if matches!(done, Err(Fault::NotAllNew)) {
        transaction.rollback().await.map_err(away)?;
        transaction = pool.begin().await.map_err(away)?;
        done = apply(&mut transaction, facts, &every, Care::SomeAreThere).await;
    }
    let mut recorded = match done {
        Ok(recorded) => recorded,
        Err(Fault::Ledger(error)) => return Err(error),
        Err(Fault::Data(_) | Fault::NotAllNew) => {
            transaction.rollback().await.map_err(away)?;
            transaction = pool.begin().await.map_err(away)?;
            apply_split(&mut transaction, facts, every).await?
        }
    };
    transaction.commit().await.map_err(away)?;
    recorded.late.sort_unstable();
    recorded.gone.sort_unstable();
    Ok(recorded)
}

/// Applies parts, halving each that is refused; a part of one that is refused is the guilty row.
async fn apply_split(
    connection: &mut PgConnection,
    facts: &[Fact],
    every: Vec<usize>,
) -> Result<Recorded, LedgerError> {
    let mut all = Recorded::default();
    let mut parts = vec![every];
    while let Some(part) = parts.pop() {
        sqlx::query("SAVEPOINT part").execute(&mut *connection).await.map_err(away)?;
        match apply(connection, facts, &part, Care::SomeAreThere).await {
            Ok(mut done) => {
                sqlx::query("RELEASE SAVEPOINT part").execute(&mut *connection).await.map_err(away)?;
                all.late.append(&mut done.late);
                all.gone.append(&mut done.gone);
            }
            Err(Fault::Ledger(error)) => return Err(error),
            Err(Fault::NotAllNew) => return Err(LedgerError::Away("another writer was faster".into())),
            Err(Fault::Data(why)) => {
                sqlx::query("ROLLBACK TO SAVEPOINT part").execute(&mut *connection).await.map_err(away)?;
                if let [index] = part[..] {
                    all.refused.push(Refused { index, why });
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second.to_vec());
                    parts.push(first.to_vec());
                }
            }
        }
    }
    Ok(all)
}

/// Appends the facts of the indices given, and what they change elsewhere.
async fn apply(
    connection: &mut PgConnection,
    facts: &[Fact],
    part: &[usize],
    care: Care,
) -> Result<Recorded, Fault> {
    let (mut finals, mut notes, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for &index in part {
        match &facts[index] {
            Fact::Final(f) => finals.push((index, &**f)),
            Fact::Note(n) => notes.push((index, &**n)),
            Fact::Submitted(b) if !b.ids.is_empty() => batches.push((index, &**b)),
            Fact::Submitted(_) => {}
        }
    }
    let mut recorded = Recorded::default();
    let Sorted { mut first, late } = append_finals(connection, finals, care).await?;
    let late_notes = if late.is_empty() { Vec::new() } else { notes_of(connection, &late).await? };
    recorded.late.extend(late.iter().map(|(index, _)| *index));
    append_notes(connection, &notes, &late_notes, &mut recorded.late).await?;
    append_batches(connection, &batches, &mut recorded.late).await?;
    first.sort_unstable_by_key(|(index, _)| *index);
    change_badges(connection, &first).await?;
    recorded.gone = find_gone(connection, &first).await?;
    Ok(recorded)
}

/// Inserts finals, in the order of their keys: two writers of the same keys then wait for each other instead of deadlocking.
/// Gives those that are the first of their key, and those that are not.
async fn append_finals<'a>(
    connection: &mut PgConnection,
    mut finals: Vec<Told<'a, Final>>,
    care: Care,
) -> Result<Sorted<'a>, Fault> {
    if finals.is_empty() {
        return Ok(Sorted { first: finals, late: Vec::new() });
    }
    finals.sort_unstable_by_key(|(index, f)| (f.key, *index));
    let rows: Vec<&Final> = finals.iter().map(|(_, f)| *f).collect();
    if care == Care::AllAreNew {
        let done = insert_new_finals(&rows).execute(&mut *connection).await?;
        // What a trigger or a rule of somebody's leaves out is told nowhere else.
        if usize::try_from(done.rows_affected()) != Ok(finals.len()) {
            return Err(Fault::NotAllNew);
        }
        return Ok(Sorted { first: finals, late: Vec::new() });
    }
    let answer = insert_finals(&rows).fetch_one(&mut *connection).await?;
    if usize::try_from(answer.try_get::<i64, _>(0)?) == Ok(finals.len()) {
        return Ok(Sorted { first: finals, late: Vec::new() });
    }
    let ids: Option<Vec<Uuid>> = answer.try_get(1)?;
    let generations: Option<Vec<i32>> = answer.try_get(2)?;
    let mut inserted: HashSet<(Uuid, i32)> =
        ids.unwrap_or_default().into_iter().zip(generations.unwrap_or_default()).collect();
    // The first of two with the same key in one batch is the one that was inserted.
    let (first, late) = finals.into_iter().partition(|(_, f)| inserted.remove(&row_key(f.key)));
    Ok(Sorted { first, late })
}

fn row_key(key: NotificationKey) -> (Uuid, i32) {
    (*key.id.as_uuid(), i32::from(key.generation))
}

/// The notes of finals that came second: none where the same fact stands.
async fn notes_of(
    connection: &mut PgConnection,
    late: &[Told<'_, Final>],
) -> Result<Vec<(usize, Note)>, Fault> {
    let ids: Vec<&Uuid> = late.iter().map(|(_, f)| f.key.id.as_uuid()).collect();
    let rows = sqlx::query(STANDING)
        .bind(&ids)
        .bind(late.iter().map(|(_, f)| i32::from(f.key.generation)).collect::<Vec<_>>())
        .bind(ids.iter().min())
        .bind(ids.iter().max())
        .fetch_all(&mut *connection)
        .await?;
    let mut standing = HashMap::with_capacity(rows.len());
    for row in &rows {
        standing.insert((row.try_get::<Uuid, _>(0)?, row.try_get::<i32, _>(1)?), row);
    }
    let mut notes = Vec::new();
    for (index, f) in late {
        let same = match standing.get(&row_key(f.key)) {
            Some(row) => is_same(f, row)?,
            None => false,
        };
        if !same {
            notes.push((*index, f.late_note()));
        }
    }
    Ok(notes)
}

fn is_same(f: &Final, row: &PgRow) -> Result<bool, Fault> {
    Ok(row.try_get::<i16, _>(2)? == f.verdict.code()
        && row.try_get::<&str, _>(3)? == f.cause
        && row.try_get::<i16, _>(4)? == small(f.status)
        && row.try_get::<Instant, _>(5)? == Instant(f.at)
        && row.try_get::<i32, _>(6)? == i32::from(f.attempts)
        && row.try_get::<&str, _>(7)? == &*f.sender
        && row.try_get::<i32, _>(8)? == i32::try_from(f.duration_us).unwrap_or(i32::MAX)
        && row.try_get::<bool, _>(9)? == f.possible_copy)
}

/// Inserts notes, and those of late finals; the indices of notes that were there go to `late`.
async fn append_notes(
    connection: &mut PgConnection,
    notes: &[Told<'_, Note>],
    late_notes: &[(usize, Note)],
    late: &mut Vec<usize>,
) -> Result<(), Fault> {
    if notes.is_empty() && late_notes.is_empty() {
        return Ok(());
    }
    let all: Vec<&Note> = notes.iter().map(|(_, n)| *n).chain(late_notes.iter().map(|(_, n)| n)).collect();
    let rows = insert_notes(&all).fetch_all(&mut *connection).await?;
    if rows.len() == all.len() {
        return Ok(());
    }
    let mut inserted = HashSet::with_capacity(rows.len());
    for row in &rows {
        inserted.insert(NoteIdentity {
            id: row.try_get(0)?,
            generation: row.try_get(1)?,
            at: row.try_get::<Instant, _>(2)?.0.as_millis(),
            attempt: row.try_get(3)?,
            kind: row.try_get(4)?,
            sender: row.try_get(5)?,
            cause: row.try_get(6)?,
        });
    }
    late.extend(
        notes.iter().filter(|(_, n)| !inserted.remove(&NoteIdentity::of(n))).map(|(index, _)| *index),
    );
    Ok(())
}

/// Inserts batches of ids; the indices of those that were there go to `late`.
async fn append_batches(
    connection: &mut PgConnection,
    batches: &[Told<'_, SubmittedBatch>],
    late: &mut Vec<usize>,
) -> Result<(), Fault> {
    if batches.is_empty() {
        return Ok(());
    }
    let ends = |b: &SubmittedBatch| Some((*b.ids.iter().min()?.as_uuid(), *b.ids.iter().max()?.as_uuid()));
    let keys: Vec<(Uuid, Uuid)> = batches.iter().filter_map(|(_, b)| ends(b)).collect();
    let rows = sqlx::query(INSERT_SUBMITTED)
        .bind(keys.iter().map(|(first, _)| *first).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, last)| *last).collect::<Vec<_>>())
        .bind(batches.iter().map(|(_, b)| b.pool.as_str()).collect::<Vec<_>>())
        .bind(batches.iter().map(|(_, b)| Instant(b.at)).collect::<Vec<_>>())
        .bind(batches.iter().flat_map(|(_, b)| b.ids.iter().map(|id| id.as_uuid())).collect::<Vec<_>>())
        .bind(
            (1_i64..)
                .zip(batches)
                .flat_map(|(n, (_, b))| std::iter::repeat_n(n, b.ids.len()))
                .collect::<Vec<_>>(),
        )
        .fetch_all(&mut *connection)
        .await?;
    let mut inserted = HashSet::with_capacity(rows.len());
    for row in &rows {
        inserted.insert((row.try_get::<Uuid, _>(0)?, row.try_get::<Uuid, _>(1)?));
    }
    late.extend(
        batches.iter().zip(&keys).filter(|(_, key)| !inserted.remove(key)).map(|((index, _), _)| *index),
    );
    Ok(())
}
