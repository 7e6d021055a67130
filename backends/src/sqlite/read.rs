//! Reading what stands in the file: look-ups, gone tokens, repeats, tallies. Readers see every commit that was confirmed.

use std::sync::{Arc, LazyLock};

use skein_core::seam::{DeviceState, Known, LookUp, Tally};
use skein_core::verdict::is_gone;
use skein_core::{FinalVerdict, Fingerprint, NotificationId, NotificationKey, PoolName, Slot, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqlitePool};

/// How many are looked up by a statement; the sizes are few so that each is prepared once.
const LOOK_UPS: [usize; 2] = [16, 256];

static LOOK_UP: LazyLock<[Arc<str>; 2]> = LazyLock::new(|| {
    LOOK_UPS.map(|size| {
        let rows = vec!["(?,?,?,?)"; size].join(",");
        format!(
            "SELECT a.column1, f.verdict, d.found_gone_at, d.registered_at, d.badge FROM (VALUES {rows}) AS a
             LEFT JOIN final f ON f.id = a.column2 AND f.generation = a.column3
             LEFT JOIN device d ON d.token = a.column4
             WHERE a.column1 IS NOT NULL ORDER BY a.column1"
        )
        .into()
    })
});

pub(super) async fn look_up(pool: &SqlitePool, asked: &[LookUp]) -> Result<Vec<Known>, sqlx::Error> {
    let mut known = Vec::with_capacity(asked.len());
    for part in asked.chunks(LOOK_UPS[1]) {
        let sql = &LOOK_UP[usize::from(part.len() > LOOK_UPS[0])];
        let query =
            (0_i64..).zip(part).fold(sqlx::query(AssertSqlSafe(Arc::clone(sql))), |query, (n, asked)| {
                query
                    .bind(n)
                    .bind(asked.key.id.as_bytes().to_vec())
                    .bind(i64::from(asked.key.generation))
                    .bind(asked.token.0.to_vec())
            });
        for row in &query.fetch_all(pool).await? {
            known.push(known_of(row)?);
        }
    }
    Ok(known)
}

fn known_of(row: &SqliteRow) -> Result<Known, sqlx::Error> {
    let time =
        |column| row.try_get::<Option<i64>, _>(column).map(|millis| millis.map(Timestamp::from_millis));
    let (found_gone_at, registered_at) = (time(2)?, time(3)?);
    Ok(Known {
        verdict: row.try_get::<Option<i64>, _>(1)?.and_then(verdict),
        device: DeviceState {
            gone_at: found_gone_at.filter(|at| is_gone(Some(*at), *at, registered_at)),
            registered_at,
            badge: row.try_get::<Option<i64>, _>(4)?.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        },
    })
}

pub(super) fn verdict(code: i64) -> Option<FinalVerdict> {
    FinalVerdict::from_code(i16::try_from(code).ok()?)
}

pub(super) fn fingerprint(bytes: &[u8]) -> Option<Fingerprint> {
    Some(Fingerprint(bytes.try_into().ok()?))
}

pub(super) async fn gone(pool: &SqlitePool, of: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, sqlx::Error> {
    let slots: Vec<u16> = slots.iter().map(|slot| slot.number()).collect();
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT token FROM device WHERE pool = ? AND slot IN (SELECT value FROM json_each(?))
         AND found_gone_at IS NOT NULL AND (registered_at IS NULL OR registered_at < found_gone_at)",
    )
    .bind(of.as_str())
    .bind(serde_json::to_string(&slots).unwrap_or_default())
    .fetch_all(pool)
    .await?;
    Ok(rows.iter().filter_map(|token| fingerprint(token)).map(|token| token.short()).collect())
}

pub(super) async fn repeats(
    pool: &SqlitePool,
    of: &PoolName,
    since: Timestamp,
) -> Result<Vec<NotificationKey>, sqlx::Error> {
    let rows: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT id, generation FROM final WHERE repeat <> 0 AND at >= ? AND pool = ?")
            .bind(since.as_millis())
            .bind(of.as_str())
            .fetch_all(pool)
            .await?;
    let key = |(id, generation): (Vec<u8>, i64)| {
        let id = NotificationId::from_uuid(uuid::Uuid::from_slice(&id).ok()?).ok()?;
        Some(NotificationKey { id, generation: u16::try_from(generation).ok()? })
    };
    Ok(rows.into_iter().filter_map(key).collect())
}

/// A generation counts once as a possible copy, whether its final, a note or both say so.
const COUNT_COPIES: &str = "
SELECT count(*) FROM (
    SELECT id, generation FROM final WHERE possible_copy <> 0 AND pool = ?1 AND at >= ?2
    UNION SELECT id, generation FROM note WHERE possible_copy <> 0 AND pool = ?1 AND at >= ?2)";

/// Counts in one snapshot.
pub(super) async fn tally(pool: &SqlitePool, of: &PoolName, since: Timestamp) -> Result<Tally, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let rows: Vec<(i64, i64)> =
        sqlx::query_as("SELECT verdict, count(*) FROM final WHERE pool = ? AND at >= ? GROUP BY verdict")
            .bind(of.as_str())
            .bind(since.as_millis())
            .fetch_all(&mut *transaction)
            .await?;
    let copies: i64 = sqlx::query_scalar(COUNT_COPIES)
        .bind(of.as_str())
        .bind(since.as_millis())
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let mut tally = Tally { possible_copies: copies.unsigned_abs(), ..Tally::default() };
    for (code, count) in rows {
        if let Some(verdict) = verdict(code) {
            tally.add(verdict, count.unsigned_abs());
        }
    }
    Ok(tally)
}
