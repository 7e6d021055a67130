//! Devices: registrations, tokens found gone, badges. The token itself is stored encrypted only.

use std::collections::BTreeMap;

use skein_core::fact::{Final, Registration};
use skein_core::notification::Badge;
use skein_core::seam::LedgerError;
use skein_core::{DeviceToken, Fingerprint, PoolName, Slot};
use sqlx::{PgConnection, PgPool, Row};

use super::columns::{Instant, bytes, small};
use super::fault::{Fault, away};
use super::record::Told;
use super::statements::{ADD_BADGES, FIND_GONE, SET_BADGES};
use crate::device_changes;
use crate::token_cipher::TokenCipher;

/// Applies the badges of finals that are the first of their key, in the order of the batch.
pub(super) async fn change_badges(
    connection: &mut PgConnection,
    first: &[Told<'_, Final>],
) -> Result<(), Fault> {
    let changes = device_changes::badges(first.iter().map(|(_, f)| *f));
    let (sets, adds): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| matches!(change.badge, Badge::Set(_)));
    for (statement, changes) in [(SET_BADGES, sets), (ADD_BADGES, adds)] {
        if changes.is_empty() {
            continue;
        }
        sqlx::query(statement)
            .bind(changes.iter().map(|c| bytes(&c.of.token)).collect::<Vec<_>>())
            .bind(changes.iter().map(|c| small(c.of.slot.number())).collect::<Vec<_>>())
            .bind(changes.iter().map(|c| c.of.pool.as_str()).collect::<Vec<_>>())
            .bind(changes.iter().map(|c| i64::from(c.badge.applied_to(0))).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Invalidates the tokens that finals declare gone, by the 410 rule. Gives the indices of those that did.
pub(super) async fn find_gone(
    connection: &mut PgConnection,
    first: &[Told<'_, Final>],
) -> Result<Vec<usize>, Fault> {
    let changes = device_changes::gone(first.iter().map(|(_, f)| *f));
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(FIND_GONE)
        .bind(changes.iter().map(|c| bytes(&c.token)).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| small(c.slot.number())).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.of.pool.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| Instant(c.since)).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| &*c.of.cause).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut gone = Vec::with_capacity(rows.len());
    for row in &rows {
        let token: &[u8] = row.try_get(0)?;
        let change = changes.iter().find(|c| c.token.0 == token);
        gone.extend(
            first
                .iter()
                .filter(|(_, f)| change.is_some_and(|c| std::ptr::eq(*f, c.of)))
                .map(|(index, _)| *index),
        );
    }
    Ok(gone)
}

const REGISTER: &str = "
INSERT INTO device (token, slot, pool, user_print, app, registered_at, token_sealed)
SELECT * FROM unnest($1::bytea[], $2::int2[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[], $7::bytea[])
ON CONFLICT (token) DO UPDATE SET pool = excluded.pool, user_print = excluded.user_print, app = excluded.app,
    registered_at = greatest(device.registered_at, excluded.registered_at), token_sealed = excluded.token_sealed
WHERE device.registered_at IS NULL OR device.registered_at <= excluded.registered_at";

/// Stores registrations: of several of one token, the latest.
pub(super) async fn register(
    pool: &PgPool,
    cipher: &TokenCipher,
    registrations: &[Registration],
) -> Result<(), LedgerError> {
    let mut latest: BTreeMap<Fingerprint, &Registration> = BTreeMap::new();
    for new in registrations {
        let known = latest.entry(new.fingerprint).or_insert(new);
        if known.at <= new.at {
            *known = new;
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let rows: Vec<&Registration> = latest.into_values().collect();
    let sealed: Result<Vec<_>, _> = rows.iter().map(|r| cipher.seal(&r.token, r.fingerprint)).collect();
    let sealed = sealed.map_err(|error| LedgerError::Away(error.to_string()))?;
    sqlx::query(REGISTER)
        .bind(rows.iter().map(|r| bytes(&r.fingerprint)).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| small(Slot::of(&r.token).number())).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.pool.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.user.as_ref().map(bytes)).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.app.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| Instant(r.at)).collect::<Vec<_>>())
        .bind(sealed)
        .execute(pool)
        .await
        .map_err(away)?;
    Ok(())
}

const GONE: &str = "
SELECT token FROM device WHERE pool = $1 AND slot = ANY($2)
AND found_gone_at IS NOT NULL AND (registered_at IS NULL OR registered_at < found_gone_at)";

pub(super) async fn gone(pool: &PgPool, of: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
    let rows = sqlx::query(GONE)
        .bind(of.as_str())
        .bind(slots.iter().map(|slot| small(slot.number())).collect::<Vec<_>>())
        .fetch_all(pool)
        .await
        .map_err(away)?;
    rows.iter().map(|row| row.try_get(0).map(|token| Fingerprint(token).short()).map_err(away)).collect()
}

pub(super) async fn reveal(
    pool: &PgPool,
    cipher: &TokenCipher,
    token: Fingerprint,
) -> Result<Option<DeviceToken>, LedgerError> {
    let sealed: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT token_sealed FROM device WHERE token = $1")
            .bind(bytes(&token))
            .fetch_optional(pool)
            .await
            .map_err(away)?;
    let open = |sealed: Vec<u8>| cipher.open(&sealed, token);
    sealed.flatten().map(open).transpose().map_err(|error| LedgerError::Refused(error.to_string()))
}
