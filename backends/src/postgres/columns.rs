//! Facts as columns: what an `UNNEST` insert takes. One vector a column, borrowed values, no allocation a row.

use skein_core::fact::{Final, Note};
use skein_core::{Fingerprint, Timestamp};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::query::Query;
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

use super::statements::{INSERT_FINALS, INSERT_NEW_FINALS, INSERT_NOTES};

/// `timestamptz` counts from 2000-01-01.
const POSTGRES_EPOCH_MILLIS: i64 = 946_684_800_000;
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// An instant as `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(pub(super) Timestamp);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.oid() == Some(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Instant {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = (self.0.as_millis() - POSTGRES_EPOCH_MILLIS).checked_mul(1000).ok_or("out of range")?;
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Instant {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(Timestamp::from_millis(micros.div_euclid(1000) + POSTGRES_EPOCH_MILLIS)))
    }
}

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A number of 16 bits in a column that holds 15: saturating, and no value that occurs is that large.
pub(super) fn small(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

pub(super) fn bytes(print: &Fingerprint) -> &[u8] {
    &print.0
}

/// A column of finals.
fn column<'a, T>(finals: &[&'a Final], value: impl Fn(&'a Final) -> T) -> Vec<T> {
    finals.iter().map(|f| value(f)).collect()
}

/// The insert of finals of which some may be there, with its values.
pub(super) fn insert_finals<'a>(finals: &[&'a Final]) -> Statement<'a> {
    bind_finals(INSERT_FINALS, finals).bind(i64::try_from(finals.len()).unwrap_or(i64::MAX))
}

/// The insert of finals that are all new, with its values.
pub(super) fn insert_new_finals<'a>(finals: &[&'a Final]) -> Statement<'a> {
    bind_finals(INSERT_NEW_FINALS, finals)
}

fn bind_finals<'a>(statement: &'static str, finals: &[&'a Final]) -> Statement<'a> {
    sqlx::query(statement)
        .bind(column(finals, |f| f.key.id.as_uuid()))
        .bind(column(finals, |f| i32::from(f.key.generation)))
        .bind(column(finals, |f| Instant(f.at)))
        .bind(column(finals, |f| f.submitted_at.map(Instant)))
        .bind(column(finals, |f| f.gone_at.map(Instant)))
        .bind(column(finals, |f| i32::try_from(f.duration_us).unwrap_or(i32::MAX)))
        .bind(column(finals, |f| i32::from(f.payload_bytes)))
        .bind(column(finals, |f| i32::from(f.queue)))
        .bind(column(finals, |f| i32::from(f.attempts)))
        .bind(column(finals, |f| small(f.status)))
        .bind(column(finals, |f| f.verdict.code()))
        .bind(column(finals, |f| small(f.slot.number())))
        .bind(column(finals, |f| f.possible_copy))
        .bind(column(finals, |f| f.repeat))
        .bind(column(finals, |f| bytes(&f.token)))
        .bind(column(finals, |f| f.user.as_ref().map(bytes)))
        .bind(column(finals, |f| f.collapse.as_ref().map(bytes)))
        .bind(column(finals, |f| f.pool.as_str()))
        .bind(column(finals, |f| &*f.cause))
        .bind(column(finals, |f| f.app.as_deref()))
        .bind(column(finals, |f| f.reference.as_deref()))
        .bind(column(finals, |f| &*f.sender))
}

/// The insert of notes with its values.
pub(super) fn insert_notes<'a>(notes: &[&'a Note]) -> Statement<'a> {
    fn column<'a, T>(notes: &[&'a Note], value: impl Fn(&'a Note) -> T) -> Vec<T> {
        notes.iter().map(|n| value(n)).collect()
    }
    sqlx::query(INSERT_NOTES)
        .bind(column(notes, |n| n.key.id.as_uuid()))
        .bind(column(notes, |n| i32::from(n.key.generation)))
        .bind(column(notes, |n| Instant(n.at)))
        .bind(column(notes, |n| n.until.map(Instant)))
        .bind(column(notes, |n| i32::from(n.attempt)))
        .bind(column(notes, |n| small(n.status)))
        .bind(column(notes, |n| n.kind.code()))
        .bind(column(notes, |n| n.possible_copy))
        .bind(column(notes, |n| n.pool.as_str()))
        .bind(column(notes, |n| &*n.cause))
        .bind(column(notes, |n| &*n.sender))
}

/// What tells a note from another, as the table's key does.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NoteIdentity {
    pub(super) id: Uuid,
    pub(super) generation: i32,
    pub(super) at: i64,
    pub(super) attempt: i32,
    pub(super) kind: i16,
    pub(super) sender: String,
    pub(super) cause: String,
}

impl NoteIdentity {
    pub(super) fn of(n: &Note) -> Self {
        Self {
            id: *n.key.id.as_uuid(),
            generation: i32::from(n.key.generation),
            at: n.at.as_millis(),
            attempt: i32::from(n.attempt),
            kind: n.kind.code(),
            sender: n.sender.to_string(),
            cause: n.cause.to_string(),
        }
    }
}
