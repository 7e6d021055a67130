//! Everything the file knows about one id.

use std::time::Duration;

use skein_core::fact::NoteKind;
use skein_core::seam::{Trace, TraceEvent};
use skein_core::{FinalVerdict, NotificationId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::read::{fingerprint, verdict};

/// How far the first id of a batch may lie from another of its ids (a day on either side of its submission).
const BATCH_SPAN: Duration = Duration::from_secs(2 * 86_400);
const ID_BYTES: usize = 16;

const FINALS: &str = "
SELECT at, verdict AS what, generation, pool, cause, status, attempts AS attempt, duration_us, possible_copy, token,
    user_print, app, ref, submitted_at, queue, sender
FROM final WHERE id = ?";
const NOTES: &str = "
SELECT at, kind AS what, generation, pool, cause, status, attempt, possible_copy, until, sender FROM note WHERE id = ?";
const SUBMITTED: &str =
    "SELECT at, pool, ids FROM submitted WHERE first_id >= ?2 AND first_id <= ?1 AND last_id >= ?1";

pub(super) async fn trace(pool: &SqlitePool, id: NotificationId) -> Result<Trace, sqlx::Error> {
    let mut events = Vec::new();
    let key = id.as_bytes().to_vec();
    let earliest = NotificationId::new(id.at().minus(BATCH_SPAN), [0; 10]).as_bytes().to_vec();
    for row in &sqlx::query(SUBMITTED).bind(key.clone()).bind(earliest).fetch_all(pool).await? {
        let ids: Vec<u8> = row.try_get("ids")?;
        if ids.chunks_exact(ID_BYTES).any(|one| one == id.as_bytes()) {
            events.push(event(row, "submitted")?);
        }
    }
    for row in &sqlx::query(NOTES).bind(key.clone()).fetch_all(pool).await? {
        let kind = i16::try_from(row.try_get::<i64, _>("what")?).ok().and_then(NoteKind::from_code);
        events.push(TraceEvent {
            until: time(row, "until")?,
            ..told(row, kind.map_or("note", NoteKind::label))?
        });
    }
    for row in &sqlx::query(FINALS).bind(key).fetch_all(pool).await? {
        let verdict = verdict(row.try_get("what")?);
        events.push(final_event(row, verdict.map_or("final", FinalVerdict::label))?);
    }
    events.sort_by_key(|event| event.at);
    Ok(Trace { events })
}

fn time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

fn print(row: &SqliteRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    Ok(bytes.as_deref().and_then(fingerprint).map(|print| print.to_string()))
}

fn number(row: &SqliteRow, column: &str) -> Result<u16, sqlx::Error> {
    Ok(u16::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u16::MAX))
}

/// What every row holds.
fn event(row: &SqliteRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        at: time(row, "at")?.unwrap_or_default(),
        what,
        generation: 0,
        pool: row.try_get("pool")?,
        cause: String::new(),
        status: 0,
        attempt: 0,
        duration_us: 0,
        possible_copy: false,
        token: None,
        user: None,
        app: None,
        reference: None,
        submitted_at: None,
        queue: None,
        sender: None,
        until: None,
    })
}

/// What notes and finals hold.
fn told(row: &SqliteRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        generation: number(row, "generation")?,
        cause: row.try_get("cause")?,
        status: number(row, "status")?,
        attempt: number(row, "attempt")?,
        possible_copy: row.try_get("possible_copy")?,
        sender: row.try_get("sender")?,
        ..event(row, what)?
    })
}

fn final_event(row: &SqliteRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        duration_us: u32::try_from(row.try_get::<i64, _>("duration_us")?).unwrap_or_default(),
        token: print(row, "token")?,
        user: print(row, "user_print")?,
        app: row.try_get("app")?,
        reference: row.try_get("ref")?,
        submitted_at: time(row, "submitted_at")?,
        queue: Some(number(row, "queue")?),
        ..told(row, what)?
    })
}
