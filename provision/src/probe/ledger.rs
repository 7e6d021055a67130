//! The probe of the database's logins: each statement in a transaction that is rolled back.

use skein_backends::postgres::PostgresOptions;
use sqlx::{AssertSqlSafe, Connection as _};
use zeroize::Zeroizing;

use super::{Finding, Must, Said, finding};
use crate::ProvisionError;
use crate::credentials::Credentials;
use crate::ledger::grants::group_of;
use crate::ledger::{ledger_error, quoted};
use crate::role::{Cluster, Role};
use crate::step::Service::{self, PostgreSql};

/// What a missing right is called.
const NO_RIGHT: &str = "42501";

/// What nobody but the owner may.
const NOBODY: [&str; 16] = [
    "UPDATE final SET verdict = 1 WHERE false",
    "DELETE FROM final WHERE false",
    "DELETE FROM note WHERE false",
    "DELETE FROM submitted WHERE false",
    "TRUNCATE final",
    "DROP TABLE final_default",
    "ALTER TABLE device ADD COLUMN probe int4",
    "CREATE TABLE probe (a int4)",
    "CREATE INDEX ON device (pool)",
    "DELETE FROM device WHERE false",
    "SELECT key FROM idempotency_key LIMIT 0",
    "UPDATE _sqlx_migrations SET success = false WHERE false",
    "ALTER FUNCTION make_day(int4) SECURITY INVOKER",
    "SELECT rolpassword FROM pg_authid LIMIT 0",
    "CREATE ROLE \"zz-probe\"",
    "COPY final_default TO PROGRAM 'true'",
];

/// Lets each login try. `options` reaches the database; its login is replaced.
///
/// # Errors
/// As [`super::probe_broker`].
pub async fn probe_ledger(
    cluster: &Cluster,
    credentials: &Credentials,
    options: &PostgresOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    let mut findings = Vec::new();
    for role in cluster.roles_at(PostgreSql) {
        let user = role.user(&cluster.prefix);
        let password = password(credentials, PostgreSql, &user)?;
        let options = PostgresOptions {
            username: Some(user.clone()),
            password: Some(password.to_string()),
            ..options.clone()
        };
        findings.extend(probe_ledger_as(&role, &user, cluster, &options).await?);
    }
    Ok(findings)
}

/// Lets one role try, by the login of `options`; `user` is its name in what is found.
///
/// # Errors
/// As [`super::probe_broker`].
pub async fn probe_ledger_as(
    role: &Role,
    user: &str,
    cluster: &Cluster,
    options: &PostgresOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    let mut findings = Vec::new();
    let mut connection = options.connect().await.map_err(ledger_error)?;
    let forbidden = NOBODY.iter().map(|said| (Must::Refuse, (*said).to_owned()));
    for (must, statement) in forbidden.chain(of_group(role, cluster)) {
        let mut transaction = connection.begin().await.map_err(|e| ProvisionError::away(PostgreSql, e))?;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut *transaction).await;
        let said = match done {
            Ok(_) => Said::Done,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_RIGHT) => {
                Said::Refused(error.message().to_owned())
            }
            Err(error) => Said::Other(error.to_string()),
        };
        transaction.rollback().await.map_err(|e| ProvisionError::away(PostgreSql, e))?;
        findings.push(finding(PostgreSql, user, statement, must, said));
    }
    drop(connection.close().await);
    Ok(findings)
}

fn of_group(role: &Role, cluster: &Cluster) -> Vec<(Must, String)> {
    use Must::{Allow, Refuse};
    let become_other = |role: &Role| format!("SET ROLE {}", quoted(&role.user(&cluster.prefix)));
    let mut all: Vec<(Must, &str)> = match group_of(role) {
        Some("sender") => vec![
            (Allow, "SELECT verdict FROM final LIMIT 0"),
            (Allow, "INSERT INTO final SELECT * FROM final WHERE false"),
            (Allow, "INSERT INTO note SELECT * FROM note WHERE false"),
            (Allow, "UPDATE device SET badge = 0 WHERE false"),
            (Allow, "SELECT drop_days_before(-100000)"),
            (Refuse, "SELECT drop_days_before((current_date - date '1970-01-01') + 1)"),
            (Refuse, "UPDATE device SET token_sealed = NULL WHERE false"),
            (Refuse, "UPDATE device SET registered_at = NULL WHERE false"),
            (Refuse, "SELECT user_print FROM device LIMIT 0"),
            (Refuse, "SELECT token_sealed FROM device LIMIT 0"),
        ],
        Some("gateway") => vec![
            (Allow, "SELECT verdict FROM final LIMIT 0"),
            (Allow, "UPDATE device SET registered_at = now() WHERE false"),
            (Refuse, "INSERT INTO final SELECT * FROM final WHERE false"),
            (Refuse, "UPDATE device SET found_gone_at = NULL WHERE false"),
            (Refuse, "SELECT badge FROM device LIMIT 0"),
            (Refuse, "SELECT make_day(0)"),
            (Refuse, "SELECT drop_days_before(-100000)"),
        ],
        _ => vec![
            (Allow, "SELECT ref, token FROM final LIMIT 0"),
            (Allow, "SELECT badge FROM device LIMIT 0"),
            (Refuse, "SELECT token_sealed FROM device LIMIT 0"),
            (Refuse, "INSERT INTO final SELECT * FROM final WHERE false"),
            (Refuse, "INSERT INTO note SELECT * FROM note WHERE false"),
            (Refuse, "UPDATE device SET badge = 0 WHERE false"),
            (Refuse, "SELECT make_day(0)"),
            (Refuse, "SELECT drop_days_before(-100000)"),
        ],
    };
    all.push((Allow, "SELECT version FROM _sqlx_migrations LIMIT 0"));
    let others = cluster.roles_at(PostgreSql).into_iter().filter(|other| other != role);
    let others = others.map(|other| (Refuse, become_other(&other)));
    all.into_iter().map(|(must, said)| (must, said.to_owned())).chain(others).collect()
}

pub(super) fn password(
    credentials: &Credentials,
    service: Service,
    user: &str,
) -> Result<Zeroizing<String>, ProvisionError> {
    let missing = || {
        let path = credentials.path(service, user);
        let why = format!("{} is missing; run `skein cluster init` with this folder", path.display());
        ProvisionError::refused(service, why)
    };
    let found = credentials.find(service, user).map_err(|error| ProvisionError::refused(service, error))?;
    found.ok_or_else(missing)
}
