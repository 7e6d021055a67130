//! The schema's versions, and the partitions of days: made ahead, and when ids of another day come.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use skein_core::Timestamp;
use skein_core::fact::Fact;
use skein_core::seam::LedgerError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, PgPool, SqlSafeStr};

use super::PostgresLedger;
use super::fault::away;

/// How many days after today have partitions.
pub const AHEAD: i32 = 3;
/// How far from the verdicts' own day an id may lie to get a partition of its own; further ones go to the default partition.
const DAYS_AROUND: i32 = 60;
/// The most days a batch may make; the others go to the default partition.
const DAYS_A_BATCH: usize = 8;

/// Every version of the schema, in order. A published one never changes.
const VERSIONS: [(i64, &str, &str); 2] = [
    (1, "ledger", include_str!("../../migrations/postgres/0001_ledger.sql")),
    (2, "retention", include_str!("../../migrations/postgres/0002_retention.sql")),
];

/// Brings the schema up to this version, under an advisory lock.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), LedgerError> {
    let mut connection = pool.acquire().await.map_err(away)?;
    // Also for a user who may make nothing: what `skein cluster init` has made is enough.
    if is_current(&mut connection).await {
        return Ok(());
    }
    // Two processes that make the same schema at once: IF NOT EXISTS does not cover that, the lock does.
    let lock = "SELECT pg_advisory_lock(hashtext('skein schema'))";
    sqlx::query(lock).execute(&mut *connection).await.map_err(away)?;
    let made = sqlx::query(
        "DO $$ BEGIN EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', current_setting('search_path')); END $$",
    )
    .execute(&mut *connection)
    .await;
    let done = match made {
        Ok(_) => versions().run(&mut *connection).await.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => away(error),
            other => LedgerError::Refused(format!("{other}; the schema was made by another version")),
        }),
        Err(error) => Err(away(error)),
    };
    // Its end frees the lock, whatever happened to it.
    drop(connection.close().await);
    done
}

/// Whether the versions that this program knows are there. Later ones only add, so that an older program goes on with what a newer
/// one has made: that is how a version is rolled back. What cannot be read is not there.
pub(super) async fn is_current(connection: &mut PgConnection) -> bool {
    let found: Result<Vec<(i64, Vec<u8>)>, _> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(&mut *connection)
            .await;
    let wanted = versions();
    let wanted = wanted.iter().map(|version| (version.version, version.checksum.to_vec()));
    found.is_ok_and(|found| {
        found.len() >= VERSIONS.len() && found.into_iter().zip(wanted).all(|(f, w)| f == w)
    })
}

fn versions() -> Migrator {
    let of = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(VERSIONS.iter().map(of).collect())
}

/// The tables with partitions.
const TABLES: [(&str, &str); 3] = [
    ("final", "SELECT count(*) FROM (SELECT FROM final_default LIMIT 1000) found"),
    ("note", "SELECT count(*) FROM (SELECT FROM note_default LIMIT 1000) found"),
    ("submitted", "SELECT count(*) FROM (SELECT FROM submitted_default LIMIT 1000) found"),
];

impl PostgresLedger {
    /// How many rows of each table stand in its default partition, at most 1,000: there is no partition for their day, so that no
    /// retention drops them. `None` where that can't be seen.
    pub async fn default_rows(&self) -> [(&'static str, Option<u64>); 3] {
        let mut found = TABLES.map(|(table, _)| (table, None));
        for ((_, rows), (table, query)) in found.iter_mut().zip(TABLES) {
            let asked: Result<i64, sqlx::Error> = sqlx::query_scalar(query).fetch_one(&self.pool).await;
            match asked {
                Ok(count) => *rows = Some(count.unsigned_abs()),
                Err(error) => tracing::debug!(table, %error, "its default partition can't be looked at"),
            }
        }
        found
    }

    /// Makes the partitions of days that are not known to exist.
    pub(super) async fn ensure_days(&self, days: RangeInclusive<i32>) -> Result<(), LedgerError> {
        for day in days {
            if self.known_days().contains(&day) {
                continue;
            }
            sqlx::query("SELECT make_day($1)").bind(day).execute(&self.pool).await.map_err(away)?;
            self.known_days().insert(day);
        }
        Ok(())
    }

    /// Makes the partitions of the ids of a batch, and of the day after today, where they are missing. What the database
    /// refuses is no harm: the rows go to the default partition, and the next process that may make the day moves them.
    ///
    /// # Errors
    /// [`LedgerError::Away`].
    pub(super) async fn provide_days_of(&self, facts: &[Fact]) -> Result<(), LedgerError> {
        for day in self.missing_days(facts) {
            match self.ensure_days(day..=day).await {
                Err(LedgerError::Refused(why)) => {
                    tracing::warn!(day, why, "no partition for a day; its rows go to the default partition");
                    self.known_days().insert(day);
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn missing_days(&self, facts: &[Fact]) -> BTreeSet<i32> {
        let mut missing = BTreeSet::new();
        let known = self.known_days();
        let mut last = None;
        for (id_at, at) in facts.iter().flat_map(days_of) {
            let (day, near) = (id_at.day(), at.day());
            if last == Some(day) {
                continue;
            }
            last = Some(day);
            let ahead = if day == near { day + 1 } else { day };
            let wanted = (day..=ahead).filter(|d| (*d - near).abs() <= DAYS_AROUND && !known.contains(d));
            missing.extend(wanted);
            if missing.len() >= DAYS_A_BATCH {
                break;
            }
        }
        missing
    }
}

/// The time that decides the partition of each row of a fact, and the time of the fact.
fn days_of(fact: &Fact) -> Option<(Timestamp, Timestamp)> {
    match fact {
        Fact::Final(f) => Some((f.key.id.at(), f.at)),
        Fact::Note(n) => Some((n.key.id.at(), n.at)),
        Fact::Submitted(batch) => batch.ids.iter().min().map(|id| (id.at(), batch.at)),
    }
}
