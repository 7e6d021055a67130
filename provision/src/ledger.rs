//! PostgreSQL: the schema, a login for each role, and exactly the rights of `grants`. Compared over the system's catalogue.

use std::collections::BTreeSet;

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_core::Timestamp;
use skein_core::seam::LedgerError;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::credentials::Credentials;
use crate::role::{Cluster, Role};
use crate::step::Service::PostgreSql;
use crate::step::{Kind, Step};
use crate::{CredentialsError, ProvisionError};

pub(crate) mod grants;
mod scram;

use grants::{GROUPS, OWNERS_FUNCTIONS, RETIRED, Right};

/// Every right in a schema, of whom; `public` for everybody.
const RIGHTS: &str = "
SELECT kind, object, coalesce(r.rolname, 'public')::text, privilege_type::text FROM (
    SELECT 'schema' AS kind, nspname::text AS object, x.grantee, x.privilege_type
    FROM pg_namespace, LATERAL aclexplode(coalesce(nspacl, acldefault('n', nspowner))) x WHERE nspname = $1
    UNION ALL
    SELECT 'table', c.relname::text, x.grantee, x.privilege_type
    FROM pg_class c, LATERAL aclexplode(c.relacl) x
    WHERE c.relnamespace = to_regnamespace($2) AND c.relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT 'column', c.relname || '.' || a.attname, x.grantee, x.privilege_type
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, LATERAL aclexplode(a.attacl) x
    WHERE c.relnamespace = to_regnamespace($2) AND NOT a.attisdropped
    UNION ALL
    SELECT 'function', p.proname::text, x.grantee, x.privilege_type
    FROM pg_proc p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
    WHERE p.pronamespace = to_regnamespace($2)
) all_rights LEFT JOIN pg_roles r ON r.oid = grantee
WHERE grantee = 0 OR r.rolname = ANY($3)";

/// The database, reached as its administrator.
pub struct LedgerAdmin {
    options: PostgresOptions,
    now: Timestamp,
}

/// How a step is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerDeed {
    /// The schema, at this version.
    Schema,
    /// A login, with a password that is made now if it has none.
    Login(Role),
    /// One statement, without a secret.
    Say(String),
}

impl LedgerAdmin {
    /// `options` logs in as who owns the schema and may make roles.
    pub fn new(options: PostgresOptions, now: Timestamp) -> Self {
        Self { options, now }
    }

    /// Compares what is there with what must be. Changes nothing. Rights in a schema that is not there yet are seen by the next
    /// look.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn look(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
    ) -> Result<Vec<(Step, LedgerDeed)>, ProvisionError> {
        let mut connection = self.options.connect().await.map_err(ledger_error)?;
        let mut steps = Vec::new();
        let ledger = self.ledger()?;
        let current = ledger.is_current().await.map_err(ledger_error)?;
        ledger.close().await;
        if !current {
            let what = format!("schema {}, its tables and functions", cluster.schema);
            let other = is_made(&mut connection, cluster).await?;
            let kind = if other { Kind::Change } else { Kind::Make };
            steps.push((step(kind, what, "at this version"), LedgerDeed::Schema));
        }
        self.roles(&mut connection, cluster, credentials, &mut steps).await?;
        let wanted = grants::wanted(&cluster.schema);
        let found = found(&mut connection, cluster).await?;
        let schema = quoted(&cluster.schema);
        for right in wanted.difference(&found) {
            let said = format!("GRANT {}", said(right, &schema, "TO", cluster));
            steps.push((step(Kind::Make, words(right), ""), LedgerDeed::Say(said)));
        }
        for right in found.difference(&wanted) {
            let said = format!("REVOKE {}", said(right, &schema, "FROM", cluster));
            steps.push((step(Kind::Take, words(right), ""), LedgerDeed::Say(said)));
        }
        for name in self.unbounded(&mut connection, cluster).await? {
            let said = format!(
                "ALTER FUNCTION {schema}.{}(int4) SECURITY DEFINER SET search_path = {schema}, pg_temp",
                quoted(&name)
            );
            let what = format!("function {name} with its owner's rights, in its own schema");
            steps.push((step(Kind::Change, what, ""), LedgerDeed::Say(said)));
        }
        drop(connection.close().await);
        Ok(steps)
    }

    /// Does one step. Idempotent.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn apply(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
        deed: &LedgerDeed,
    ) -> Result<(), ProvisionError> {
        let said = match deed {
            LedgerDeed::Schema => {
                let ledger = self.ledger()?;
                let made = ledger.migrate(self.now).await.map_err(ledger_error);
                ledger.close().await;
                return made;
            }
            LedgerDeed::Login(role) => {
                let user = role.user(&cluster.prefix);
                let password = credentials.find_or_make(PostgreSql, &user).map_err(refused)?;
                let mut salt = [0; scram::SALT_BYTES];
                aws_lc_rs::rand::fill(&mut salt)
                    .map_err(|_| ProvisionError::refused(PostgreSql, "no random bytes"))?;
                let verifier = scram::verifier(&password, &salt, scram::ITERATIONS);
                login_statement(&user, &verifier)
            }
            LedgerDeed::Say(said) => said.clone(),
        };
        let mut connection = self.options.connect().await.map_err(ledger_error)?;
        // Built of quoted names alone.
        let done = sqlx::raw_sql(AssertSqlSafe(said)).execute(&mut connection).await;
        drop(connection.close().await);
        done.map(drop).map_err(sql_error)
    }

    fn ledger(&self) -> Result<PostgresLedger, ProvisionError> {
        let options = PostgresOptions { connections: 1, ..self.options.clone() };
        PostgresLedger::new(options).map_err(ledger_error)
    }

    async fn roles(
        &self,
        connection: &mut PgConnection,
        cluster: &Cluster,
        credentials: &Credentials,
        steps: &mut Vec<(Step, LedgerDeed)>,
    ) -> Result<(), ProvisionError> {
        for group in GROUPS {
            let name = group_name(cluster, group);
            if attributes(connection, &name).await?.is_none() {
                let said = format!("CREATE ROLE {} NOLOGIN", quoted(&name));
                steps.push((step(Kind::Make, format!("role {name}"), "holds rights"), LedgerDeed::Say(said)));
            }
        }
        for name in RETIRED.map(|retired| format!("{}-{retired}", cluster.prefix)) {
            if attributes(connection, &name).await?.is_some_and(|found| found.may_log_in) {
                let said = format!("ALTER ROLE {} NOLOGIN", quoted(&name));
                let what = format!("login {name}");
                steps.push((step(Kind::Take, what, "no process uses it"), LedgerDeed::Say(said)));
            }
        }
        for role in cluster.roles_at(PostgreSql) {
            let Some(group) = grants::group_of(&role) else { continue };
            let (user, group) = (role.user(&cluster.prefix), group_name(cluster, group));
            let password = credentials.find(PostgreSql, &user).map_err(refused)?;
            let found = attributes(connection, &user).await?;
            let (kind, why) = match (&found, &password) {
                (None, _) => (Kind::Make, "may log in, and nothing else"),
                (Some(_), None) => (Kind::Change, "a new password: the folder has none"),
                (Some(found), _) if !found.plain => (Kind::Change, "may log in, and nothing else"),
                (Some(found), Some(password)) if !self.is_password(found, &user, password).await => {
                    (Kind::Change, "the password of the folder")
                }
                _ => (Kind::Trouble, ""),
            };
            if kind != Kind::Trouble {
                steps.push((step(kind, format!("login {user}"), why), LedgerDeed::Login(role)));
            }
            let groups = found.map(|found| found.groups).unwrap_or_default();
            for other in groups.iter().filter(|other| **other != group) {
                let said = format!("REVOKE {} FROM {}", quoted(other), quoted(&user));
                steps.push((step(Kind::Take, format!("{user} is {other}"), ""), LedgerDeed::Say(said)));
            }
            if !groups.contains(&group) {
                let said = format!("GRANT {} TO {}", quoted(&group), quoted(&user));
                steps.push((step(Kind::Make, format!("{user} is {group}"), ""), LedgerDeed::Say(said)));
            }
        }
        Ok(())
    }

    /// Whether a login has this password: by what is stored, or by trying it where only a superuser may see that.
    async fn is_password(&self, found: &Attributes, user: &str, password: &str) -> bool {
        if let Some(stored) = &found.stored {
            return scram::is_verifier_of(stored, password);
        }
        let (username, password) = (Some(user.to_owned()), Some(password.to_owned()));
        let options = PostgresOptions { username, password, ..self.options.clone() };
        let Ok(connection) = options.connect().await else { return false };
        drop(connection.close().await);
        true
    }

    /// The functions that run with their caller's rights, or wherever the caller says.
    async fn unbounded(
        &self,
        connection: &mut PgConnection,
        cluster: &Cluster,
    ) -> Result<Vec<String>, ProvisionError> {
        let names: Vec<String> = OWNERS_FUNCTIONS.iter().map(|name| (*name).to_owned()).collect();
        let bounded: Vec<String> = sqlx::query_scalar(
            "SELECT proname::text FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND proname = ANY($2)
             AND prosecdef AND array_to_string(proconfig, ';') LIKE 'search_path=%pg_temp'",
        )
        .bind(quoted(&cluster.schema))
        .bind(&names)
        .fetch_all(connection)
        .await
        .map_err(sql_error)?;
        Ok(names.into_iter().filter(|name| !bounded.contains(name)).collect())
    }
}

/// Whether there is a schema of any version.
async fn is_made(connection: &mut PgConnection, cluster: &Cluster) -> Result<bool, ProvisionError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{}._sqlx_migrations", quoted(&cluster.schema)))
        .fetch_one(connection)
        .await
        .map_err(sql_error)
}

/// A login as it is.
struct Attributes {
    may_log_in: bool,
    /// Whether it may log in and nothing else.
    plain: bool,
    /// The stored form of its password; none where it cannot be read.
    stored: Option<String>,
    groups: Vec<String>,
}

async fn attributes(connection: &mut PgConnection, name: &str) -> Result<Option<Attributes>, ProvisionError> {
    let row = sqlx::query(
        "SELECT rolcanlogin, rolcanlogin AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls),
            has_table_privilege('pg_authid', 'SELECT'),
            ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
         FROM pg_roles r WHERE rolname = $1",
    )
    .bind(name)
    .fetch_optional(&mut *connection)
    .await
    .map_err(sql_error)?;
    let Some(row) = row else { return Ok(None) };
    let stored = if row.get(2) {
        let stored: Option<String> =
            sqlx::query_scalar("SELECT rolpassword FROM pg_authid WHERE rolname = $1")
                .bind(name)
                .fetch_one(&mut *connection)
                .await
                .map_err(sql_error)?;
        Some(stored.unwrap_or_default())
    } else {
        None
    };
    Ok(Some(Attributes { may_log_in: row.get(0), plain: row.get(1), stored, groups: row.get(3) }))
}

async fn found(connection: &mut PgConnection, cluster: &Cluster) -> Result<BTreeSet<Right>, ProvisionError> {
    let logins = cluster.roles_at(PostgreSql);
    let logins = logins.iter().map(|role| role.user(&cluster.prefix));
    let groups = GROUPS.iter().chain(&RETIRED).map(|group| group_name(cluster, group));
    let names: Vec<String> = groups.chain(logins).collect();
    let rows = sqlx::query(RIGHTS)
        .bind(&cluster.schema)
        .bind(quoted(&cluster.schema))
        .bind(&names)
        .fetch_all(connection)
        .await
        .map_err(sql_error)?;
    let prefix = group_name(cluster, "");
    let right = |row: sqlx::postgres::PgRow| {
        let name: String = row.get(2);
        let group = name.strip_prefix(&prefix).unwrap_or(&name).to_owned();
        Right { group, kind: row.get(0), object: row.get(1), privilege: row.get(3) }
    };
    Ok(rows.into_iter().map(right).collect())
}

fn said(right: &Right, schema: &str, way: &str, cluster: &Cluster) -> String {
    let Right { group, kind, object, privilege } = right;
    let whom = match group.as_str() {
        "public" => "PUBLIC".to_owned(),
        of if GROUPS.contains(&of) || RETIRED.contains(&of) => quoted(&group_name(cluster, of)),
        login => quoted(login),
    };
    match kind.as_str() {
        "schema" => format!("{privilege} ON SCHEMA {schema} {way} {whom}"),
        "function" => format!("{privilege} ON FUNCTION {schema}.{} {way} {whom}", quoted(object)),
        "column" => {
            let (table, column) = object.split_once('.').unwrap_or((object, ""));
            format!("{privilege} ({}) ON {schema}.{} {way} {whom}", quoted(column), quoted(table))
        }
        _ => format!("{privilege} ON {schema}.{} {way} {whom}", quoted(object)),
    }
}

fn words(right: &Right) -> String {
    let Right { group, kind, object, privilege } = right;
    format!("{group}: {privilege} on {kind} {object}")
}

/// The name is of letters, digits, dots, hyphens and underscores: see [`crate::Cluster`].
fn login_statement(user: &str, verifier: &str) -> String {
    let name = quoted(user);
    let literal = user.replace('\'', "''");
    // To name an attribute is a superuser's right, even to take away what is not there: only what is too much is named.
    let what = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS";
    let too_much = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls";
    format!(
        "DO $$ BEGIN
           IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{literal}') THEN CREATE ROLE {name}; END IF;
           IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{literal}' AND ({too_much})) THEN ALTER ROLE {name} WITH {what}; END IF;
         END $$;
         ALTER ROLE {name} WITH LOGIN INHERIT PASSWORD '{verifier}'"
    )
}

/// Not a login's name: a login is a member of the role that holds its rights.
pub(crate) fn group_name(cluster: &Cluster, group: &str) -> String {
    format!("{}-rights-{group}", cluster.prefix)
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn step(kind: Kind, what: impl Into<String>, detail: impl Into<String>) -> Step {
    Step { service: PostgreSql, kind, what: what.into(), detail: detail.into() }
}

fn refused(error: CredentialsError) -> ProvisionError {
    ProvisionError::refused(PostgreSql, error)
}

pub(crate) fn ledger_error(error: LedgerError) -> ProvisionError {
    match error {
        LedgerError::Away(why) => ProvisionError::away(PostgreSql, why),
        other => ProvisionError::refused(PostgreSql, other),
    }
}

fn sql_error(error: sqlx::Error) -> ProvisionError {
    match error {
        sqlx::Error::Database(said) => ProvisionError::refused(PostgreSql, said.message()),
        other => ProvisionError::away(PostgreSql, other),
    }
}
