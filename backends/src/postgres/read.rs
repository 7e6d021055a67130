//! Reading what stands: look-ups, repeats, tallies.

use skein_core::seam::{DeviceState, Known, LedgerError, LookUp, Tally};
use skein_core::verdict::is_gone;
use skein_core::{FinalVerdict, NotificationId, NotificationKey, PoolName, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::columns::{Instant, bytes};
use super::fault::away;

/// `$4` and `$5` bound the ids, so that only the partitions of their days are opened.
const LOOK_UP: &str = "
SELECT f.verdict, d.found_gone_at, d.registered_at, d.badge
FROM unnest($1::uuid[], $2::int4[], $3::bytea[]) WITH ORDINALITY AS a(id, generation, token, n)
LEFT JOIN final f ON f.id = a.id AND f.generation = a.generation AND f.id BETWEEN $4 AND $5
LEFT JOIN device d ON d.token = a.token
ORDER BY a.n";

pub(super) async fn look_up(pool: &PgPool, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&Uuid> = asked.iter().map(|a| a.key.id.as_uuid()).collect();
    let rows = sqlx::query(LOOK_UP)
        .bind(&ids)
        .bind(asked.iter().map(|a| i32::from(a.key.generation)).collect::<Vec<_>>())
        .bind(asked.iter().map(|a| bytes(&a.token)).collect::<Vec<_>>())
        .bind(ids.iter().min())
        .bind(ids.iter().max())
        .fetch_all(pool)
        .await
        .map_err(away)?;
    rows.iter().map(|row| known(row).map_err(away)).collect()
}

fn known(row: &PgRow) -> Result<Known, sqlx::Error> {
    let time = |column| row.try_get::<Option<Instant>, _>(column).map(|at| at.map(|at| at.0));
    let (found_gone_at, registered_at) = (time(1)?, time(2)?);
    Ok(Known {
        verdict: row.try_get::<Option<i16>, _>(0)?.and_then(FinalVerdict::from_code),
        device: DeviceState {
            gone_at: found_gone_at.filter(|at| is_gone(Some(*at), *at, registered_at)),
            registered_at,
            badge: row.try_get::<Option<i64>, _>(3)?.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        },
    })
}

const REPEATS: &str = "SELECT id, generation FROM final WHERE repeat AND pool = $1 AND at >= $2 ORDER BY at";

pub(super) async fn repeats(
    pool: &PgPool,
    of: &PoolName,
    since: Timestamp,
) -> Result<Vec<NotificationKey>, LedgerError> {
    let rows =
        sqlx::query(REPEATS).bind(of.as_str()).bind(Instant(since)).fetch_all(pool).await.map_err(away)?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in &rows {
        let generation: i32 = row.try_get(1).map_err(away)?;
        if let Ok(id) = NotificationId::from_uuid(row.try_get(0).map_err(away)?) {
            keys.push(NotificationKey { id, generation: u16::try_from(generation).unwrap_or(u16::MAX) });
        }
    }
    Ok(keys)
}

const COUNT_VERDICTS: &str =
    "SELECT verdict, count(*) FROM final WHERE pool = $1 AND at >= $2 GROUP BY verdict";
/// A generation counts once, whether its final, a note or both say so.
const COUNT_COPIES: &str = "
SELECT count(*) FROM (
    SELECT id, generation FROM final WHERE possible_copy AND pool = $1 AND at >= $2
    UNION SELECT id, generation FROM note WHERE possible_copy AND pool = $1 AND at >= $2) AS copies";

/// Counts in one snapshot.
pub(super) async fn tally(pool: &PgPool, of: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
    let mut transaction =
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.map_err(away)?;
    let rows = sqlx::query(COUNT_VERDICTS)
        .bind(of.as_str())
        .bind(Instant(since))
        .fetch_all(&mut *transaction)
        .await
        .map_err(away)?;
    let copies: i64 = sqlx::query_scalar(COUNT_COPIES)
        .bind(of.as_str())
        .bind(Instant(since))
        .fetch_one(&mut *transaction)
        .await
        .map_err(away)?;
    transaction.commit().await.map_err(away)?;
    let mut tally = Tally { possible_copies: copies.unsigned_abs(), ..Tally::default() };
    for row in &rows {
        let count: i64 = row.try_get(1).map_err(away)?;
        if let Some(verdict) = FinalVerdict::from_code(row.try_get(0).map_err(away)?) {
            tally.add(verdict, count.unsigned_abs());
        }
    }
    Ok(tally)
}
