//! Statements that write many rows at once: a few fixed sizes, each prepared once, the last one padded with NULLs.

use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

/// Rows a statement. More than the largest are written by several.
const SIZES: [usize; 4] = [1, 8, 64, 256];

pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// `<head> SELECT * FROM (VALUES (?, …), …) WHERE column1 IS NOT NULL <tail>`; the first column is never NULL.
pub(super) struct Bulk {
    sql: [Arc<str>; SIZES.len()],
}

impl Bulk {
    /// For rows of `columns` values.
    pub(super) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let sql = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(",");
            format!("{head} SELECT * FROM (VALUES {rows}) AS v WHERE column1 IS NOT NULL {tail}").into()
        });
        Self { sql }
    }

    /// The statement for the next rows and how many of `rows` it takes.
    fn next(&self, rows: usize) -> (Statement, usize) {
        let place = SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1);
        (sqlx::query(AssertSqlSafe(Arc::clone(&self.sql[place]))), rows.min(SIZES[place]))
    }

    /// Writes all rows; gives how many were written.
    pub(super) async fn write<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(Statement, &T) -> Statement,
    ) -> Result<usize, sqlx::Error> {
        let mut written = 0;
        while !rows.is_empty() {
            let (statement, taken) = self.next(rows.len());
            let (now, later) = rows.split_at(taken);
            let done = now.iter().fold(statement, &bind).execute(&mut *connection).await?;
            written += usize::try_from(done.rows_affected()).unwrap_or(usize::MAX);
            rows = later;
        }
        Ok(written)
    }

    /// Writes row by row; says of each whether it was written.
    pub(super) async fn write_each<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(Statement, &T) -> Statement,
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut written = Vec::with_capacity(rows.len());
        for row in rows {
            written.push(self.write(connection, std::slice::from_ref(row), &bind).await? == 1);
        }
        Ok(written)
    }
}
