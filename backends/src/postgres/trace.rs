//! Everything known about one id.

use std::time::Duration;

use skein_core::fact::NoteKind;
use skein_core::seam::{LedgerError, Trace, TraceEvent};
use skein_core::{FinalVerdict, Fingerprint, NotificationId, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::columns::Instant;
use super::fault::away;

/// How far the first id of a batch may lie from another of its ids (a day on either side of its submission).
const BATCH_SPAN: Duration = Duration::from_secs(2 * 86_400);

const FINALS: &str = "
SELECT at, verdict AS what, generation, pool, cause, status, attempts AS attempt, duration_us, possible_copy, token,
    user_print, app, ref, submitted_at, queue, sender
FROM final WHERE id = $1";
const NOTES: &str = "
SELECT at, kind AS what, generation, pool, cause, status, attempt, possible_copy, until, sender FROM note WHERE id = $1";
const SUBMITTED: &str = "
SELECT at, pool FROM submitted
WHERE first_id BETWEEN $2 AND $1 AND last_id >= $1 AND $1 = ANY(ids)";

pub(super) async fn trace(pool: &PgPool, id: NotificationId) -> Result<Trace, LedgerError> {
    events(pool, id).await.map_err(away)
}

async fn events(pool: &PgPool, id: NotificationId) -> Result<Trace, sqlx::Error> {
    let mut events = Vec::new();
    let earliest = NotificationId::new(id.at().minus(BATCH_SPAN), [0; 10]);
    let submitted =
        sqlx::query(SUBMITTED).bind(id.as_uuid()).bind(earliest.as_uuid()).fetch_all(pool).await?;
    for row in &submitted {
        events.push(event(row, "submitted")?);
    }
    for row in &sqlx::query(NOTES).bind(id.as_uuid()).fetch_all(pool).await? {
        let kind = NoteKind::from_code(row.try_get("what")?).map_or("note", NoteKind::label);
        events.push(TraceEvent { until: time(row, "until")?, ..told(row, kind)? });
    }
    for row in &sqlx::query(FINALS).bind(id.as_uuid()).fetch_all(pool).await? {
        let verdict = FinalVerdict::from_code(row.try_get("what")?).map_or("final", FinalVerdict::label);
        events.push(final_event(row, verdict)?);
    }
    events.sort_by_key(|event| event.at);
    Ok(Trace { events })
}

fn time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<Instant>, _>(column)?.map(|at| at.0))
}

fn print(row: &PgRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    Ok(row.try_get::<Option<[u8; 16]>, _>(column)?.map(|bytes| Fingerprint(bytes).to_string()))
}

fn number(row: &PgRow, column: &str) -> Result<u16, sqlx::Error> {
    Ok(u16::try_from(row.try_get::<i32, _>(column)?).unwrap_or(u16::MAX))
}

/// What every row holds.
fn event(row: &PgRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        at: row.try_get::<Instant, _>("at")?.0,
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
fn told(row: &PgRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        generation: number(row, "generation")?,
        cause: row.try_get("cause")?,
        status: u16::try_from(row.try_get::<i16, _>("status")?).unwrap_or_default(),
        attempt: number(row, "attempt")?,
        possible_copy: row.try_get("possible_copy")?,
        sender: row.try_get("sender")?,
        ..event(row, what)?
    })
}

fn final_event(row: &PgRow, what: &'static str) -> Result<TraceEvent, sqlx::Error> {
    Ok(TraceEvent {
        duration_us: u32::try_from(row.try_get::<i32, _>("duration_us")?).unwrap_or_default(),
        token: print(row, "token")?,
        user: print(row, "user_print")?,
        app: row.try_get("app")?,
        reference: row.try_get("ref")?,
        submitted_at: time(row, "submitted_at")?,
        queue: Some(number(row, "queue")?),
        ..told(row, what)?
    })
}
