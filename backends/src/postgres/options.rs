//! How a PostgreSQL ledger is reached: address, login, TLS, and the bounds of every wait.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use skein_core::seam::LedgerError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, PgConnection, PgPool};

use super::cuts::Cuts;
use super::fault::away;
use super::refusal::Refusal;

/// How long a released connection may take for a sign of life.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// How TLS checks the server: its certificate against the roots, and its name.
pub const TLS_VERIFIES: PgSslMode = PgSslMode::VerifyFull;

/// Where the ledger is and how it is reached. `Debug` shows neither address nor password.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://[user@]host[:port]/database`.
    pub url: String,
    /// The user, if the address names none.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The schema that the tables are in; made by the migration if it is missing.
    pub schema: String,
    /// Whether TLS is demanded, with the server's certificate and name checked. If not, the connection is in clear.
    pub tls: bool,
    /// Roots that sign the server's certificate, PEM; without it the public roots.
    pub ca_file: Option<PathBuf>,
    /// Client certificate chain and its key, PEM files.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The most connections of this process.
    pub connections: u32,
    /// The longest wait for a connection; then the ledger counts as away.
    pub connect_timeout: Duration,
    /// The longest a statement may run; then the ledger counts as away.
    pub statement_timeout: Duration,
}

impl PostgresOptions {
    /// Options with the usual bounds: TLS demanded, schema `skein`, 4 connections, 5 s to connect, 10 s a statement.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            schema: "skein".into(),
            tls: true,
            ca_file: None,
            client_certificate: None,
            connections: 4,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
        }
    }

    fn connect_options(&self) -> Result<PgConnectOptions, LedgerError> {
        let plain = !self.schema.is_empty()
            && self.schema.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain {
            return Err(LedgerError::Refused(
                "the name of the schema has other characters than a-z, 0-9 and _; choose another".into(),
            ));
        }
        let mut options = PgConnectOptions::from_str(&self.url)
            .map_err(|_| {
                LedgerError::Refused(
                    "the address of the database cannot be read; use postgres://host:port/database".into(),
                )
            })?
            .application_name("skein")
            .ssl_mode(if self.tls { TLS_VERIFIES } else { PgSslMode::Disable })
            .options([
                ("search_path", self.schema.clone()),
                ("statement_timeout", self.statement_timeout.as_millis().to_string()),
                ("lock_timeout", self.statement_timeout.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", self.statement_timeout.as_millis().to_string()),
                // Compiling a plan costs more than any of these statements.
                ("jit", "off".into()),
            ]);
        if let Some(user) = &self.username {
            options = options.username(user);
        }
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        if let Some(ca) = &self.ca_file {
            options = options.ssl_root_cert(ca);
        }
        if let Some((chain, key)) = &self.client_certificate {
            options = options.ssl_client_cert(chain).ssl_client_key(key);
        }
        Ok(options.disable_statement_logging())
    }

    /// One connection, for an administrator's work.
    ///
    /// # Errors
    /// [`LedgerError`]: `Away` after the connect timeout, `Refused` where the login or TLS is.
    pub async fn connect(&self) -> Result<PgConnection, LedgerError> {
        let options = self.connect_options()?;
        let limit = self.connect_timeout;
        let connected = match tokio::time::timeout(limit, PgConnection::connect_with(&options)).await {
            Ok(connected) => connected.map_err(away),
            Err(_) => Err(LedgerError::Away(format!("the database does not answer in {limit:?}"))),
        };
        self.refusal()?.explain(connected).await
    }

    /// Who is asked when TLS may be the reason of an error.
    pub(super) fn refusal(&self) -> Result<Refusal, LedgerError> {
        let options = self.connect_options()?;
        Ok(Refusal::new(self, (options.get_host(), options.get_port())))
    }

    pub(super) fn into_pool(self, cuts: Arc<Cuts>) -> Result<PgPool, LedgerError> {
        let options = self.connect_options()?;
        let released = Arc::clone(&cuts);
        Ok(PgPoolOptions::new()
            .max_connections(self.connections.max(1))
            .acquire_timeout(self.connect_timeout)
            // No round trip before each statement: the first that fails says that the others of its age are dead as well.
            .test_before_acquire(false)
            .before_acquire(move |_, age| {
                let is_younger = cuts.is_older_than(age.age);
                Box::pin(async move { Ok(is_younger) })
            })
            // The driver asks a released connection for a sign of life without a limit. A silent one, whose statement was given
            // up, would keep its place until the kernel gives it up, a quarter of an hour later.
            .after_release(move |connection, _| {
                let cuts = Arc::clone(&released);
                Box::pin(async move {
                    let alive = tokio::time::timeout(RELEASE_LIMIT, connection.ping()).await;
                    alive.unwrap_or_else(|_| {
                        cuts.found_away();
                        Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
                    })?;
                    Ok(true)
                })
            })
            .connect_lazy_with(options))
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_debug_shows_no_password() {
        let mut options = PostgresOptions::new("postgres://u:hunter2@db/skein");
        options.password = Some("hunter3".into());
        assert!(!format!("{options:?}").contains("hunter"));
        assert!(options.connect_options().is_ok());
        options.url = "hunter4".into();
        assert!(!options.connect_options().unwrap_err().to_string().contains("hunter"));
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for bad in ["", "a b", "a,b", "A", "x\""] {
            let options =
                PostgresOptions { schema: bad.into(), ..PostgresOptions::new("postgres://db/skein") };
            assert!(matches!(options.connect_options(), Err(LedgerError::Refused(_))), "{bad:?}");
        }
    }
}
