//! A database for one round, and how many verdicts stand in it.

use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use skein_apns_sim::checker::Ids;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::arguments::Services;

/// A PostgreSQL database of its own, dropped with it.
pub(crate) struct Database {
    server: String,
    name: String,
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl Database {
    /// Creates it.
    pub(crate) fn create(services: &Services, name: &str) -> Result<Self> {
        let server = services.database_url.clone().context(
            "set --database-url or DATABASE_URL, as `cargo run -p skein-tests --bin services` prints it",
        )?;
        let this = Self { server, name: name.to_owned() };
        this.execute(&format!("CREATE DATABASE {name}")).context("cannot make a database")?;
        Ok(this)
    }

    /// The server's address with login.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many notifications have a final verdict.
    pub(crate) fn finals(&self) -> Result<u64> {
        let url = self.url()?;
        block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            let count: i64 = sqlx::query_scalar(FINALS).fetch_one(&mut connection).await?;
            Ok(u64::try_from(count)?)
        })
    }

    /// The ids that it calls possible copies.
    pub(crate) fn possible_copies(&self) -> Result<Ids> {
        let url = self.url()?;
        block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            let ids: Vec<Vec<u8>> = sqlx::query_scalar(COPIES).fetch_all(&mut connection).await?;
            Ok(ids.into_iter().filter_map(|id| id.try_into().ok().map(u128::from_be_bytes)).collect())
        })
    }

    fn url(&self) -> Result<String> {
        let (before, _) = self.server.rsplit_once('/').context("the database's address names no database")?;
        Ok(format!("{before}/{}", self.name))
    }

    fn execute(&self, statement: &str) -> Result<()> {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        block_on(async {
            let mut connection = PgConnection::connect(&self.server).await?;
            connection.execute(statement).await?;
            Ok(())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be gone already.
        let _ = self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

const FINALS: &str = "SELECT count(DISTINCT (id, generation)) FROM skein.final";
const COPIES: &str = "SELECT uuid_send(id) FROM skein.final WHERE possible_copy \
                      UNION SELECT uuid_send(id) FROM skein.note WHERE possible_copy";
const FINALS_OF_FILE: &str = "SELECT count(*) FROM final";

/// How many notifications have a final verdict in the embedded engine's file, once its process has ended.
pub(crate) fn finals_of_file(path: &Path) -> Result<u64> {
    let options = SqliteConnectOptions::from_str("sqlite:")?.filename(path);
    block_on(async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let count: i64 = sqlx::query_scalar(FINALS_OF_FILE).fetch_one(&mut connection).await?;
        Ok(u64::try_from(count)?)
    })
}
