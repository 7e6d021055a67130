//! The small statements of the writer: settled messages deleted, dead letters stored, old rows forgotten.

use skein_core::seam::DeadLetter;
use skein_core::{NotificationId, Timestamp};
use sqlx::sqlite::SqliteConnection;

use super::fault::Fault;
use super::writer::Settled;

/// The most rows of a table that one transaction deletes for their age.
const FORGET_ROWS: i64 = 2000;

/// Deletes settled messages, by one statement whatever their number.
pub(super) async fn delete(connection: &mut SqliteConnection, settled: &[Settled]) -> Result<(), Fault> {
    let places: Vec<i64> = settled.iter().map(|s| s.place).collect();
    let json = serde_json::to_string(&places).map_err(|error| Fault::Away(error.to_string()))?;
    sqlx::query("DELETE FROM message WHERE place IN (SELECT value FROM json_each(?))")
        .bind(json)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn bury(connection: &mut SqliteConnection, letter: DeadLetter) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO dead_letter (at, queue, kind, id, reason, detail, body)
         VALUES (unixepoch('subsec') * 1000, ?, ?, ?, ?, ?, ?)",
    )
    .bind(letter.queue.to_string())
    .bind(letter.kind)
    .bind(letter.id.map(|id| id.as_bytes().to_vec()))
    .bind(letter.reason)
    .bind(letter.detail)
    .bind(letter.body.to_vec())
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes some of the rows whose ids are older; gives how many.
pub(super) async fn forget(connection: &mut SqliteConnection, keep_from: Timestamp) -> Result<u64, Fault> {
    let first = NotificationId::new(keep_from, [0; 10]).as_bytes().to_vec();
    let mut gone = 0;
    for statement in [
        "DELETE FROM final WHERE (id, generation) IN (SELECT id, generation FROM final WHERE id < ? LIMIT ?)",
        "DELETE FROM note WHERE id IN (SELECT id FROM note WHERE id < ? LIMIT ?)",
        "DELETE FROM submitted WHERE rowid IN (SELECT rowid FROM submitted WHERE first_id < ? LIMIT ?)",
    ] {
        let done = sqlx::query(statement).bind(&*first).bind(FORGET_ROWS).execute(&mut *connection).await?;
        gone += done.rows_affected();
    }
    Ok(gone)
}
