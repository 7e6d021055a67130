//! PostgreSQL: its version, clock and durability, what it holds, and rights.

use skein_core::seam::LedgerError;
use skein_provision::{ProvisionError, Service, probe_ledger, probe_ledger_as};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::clocks::{self, Watch};
use crate::deployment::{Administrator, Deployment};
use crate::report::{Check, Finding, State};
use crate::{rights, steps};

/// The first version that the schema is made for, as `server_version_num` has it.
const VERSION_MIN: i32 = 150_000;
const VERSION_PARTS: i32 = 10_000;

const SERVER: &str = "postgresql.server";
const VERSION: &str = "postgresql.version";
const DURABILITY: &str = "postgresql.durability";
const HOLDS: &str = "postgresql.holds";
const RIGHTS: &str = "postgresql.rights";

pub(crate) async fn examine(deployment: &Deployment, broken: &[Service], watch: &Watch) -> Vec<Check> {
    if deployment.role().is_some_and(|role| !role.services().contains(&Service::PostgreSql)) {
        return Vec::new();
    }
    let facts = match deployment.database.connect().await {
        Ok(mut connection) => {
            let facts = Facts::of(&mut connection, watch).await;
            drop(connection.close().await);
            facts
                .map_err(|error| Finding::error(format!("PostgreSQL: {error}"), "look into PostgreSQL's log"))
        }
        Err(error) => Err(unreachable(&error)),
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(finding) => {
            let mut checks = vec![Check::new(SERVER, vec![finding])];
            let rest = [VERSION, DURABILITY, HOLDS, RIGHTS];
            checks.extend(rest.map(|name| Check::skipped(name, "PostgreSQL does not take this login")));
            return checks;
        }
    };
    let mut checks = vec![
        Check::new(SERVER, Vec::new()),
        Check::new(VERSION, facts.version().into_iter().collect()),
        Check::new(DURABILITY, facts.durability()),
    ];
    match deployment.administrator() {
        Some(administrator) => checks.extend(administered(deployment, administrator, broken).await),
        None => checks.extend(as_role(deployment).await),
    }
    checks
}

fn unreachable(error: &LedgerError) -> Finding {
    let remedy = match error {
        LedgerError::Away(_) => {
            "start it (systemctl start postgresql), or correct ledger.url and what stands between"
        }
        _ => "correct ledger.username, its password and ledger.tls; PostgreSQL's pg_hba.conf must let it in",
    };
    Finding::error(format!("PostgreSQL: {error}"), remedy)
}

/// What the server says of itself.
struct Facts {
    version: i32,
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: String,
    standby_names: String,
    /// Standbys that commits wait for; `None` where this user may not see them.
    standbys: Option<i64>,
    /// Logins whose own setting lets commits go before they are durable.
    careless: Vec<String>,
    in_recovery: bool,
}

impl Facts {
    async fn of(connection: &mut PgConnection, watch: &Watch) -> Result<Self, sqlx::Error> {
        let asked_ms = clocks::now_ms();
        let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";
        let theirs_ms: i64 = sqlx::query_scalar(clock).fetch_one(&mut *connection).await?;
        watch.heard("PostgreSQL", theirs_ms, asked_ms);
        let row = sqlx::query(
            "SELECT current_setting('server_version_num')::int4, current_setting('fsync')::bool,
                current_setting('full_page_writes')::bool, current_setting('synchronous_commit'),
                current_setting('synchronous_standby_names'), pg_is_in_recovery(),
                CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
                    THEN (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) END",
        )
        .fetch_one(&mut *connection)
        .await?;
        let careless = sqlx::query_scalar(
            "SELECT coalesce(r.rolname, 'everybody')::text FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
             WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                AND EXISTS (SELECT FROM unnest(s.setconfig) c WHERE c IN ('synchronous_commit=off', 'synchronous_commit=local'))",
        )
        .fetch_all(connection)
        .await?;
        Ok(Self {
            version: row.get(0),
            fsync: row.get(1),
            full_page_writes: row.get(2),
            synchronous_commit: row.get(3),
            standby_names: row.get(4),
            in_recovery: row.get(5),
            standbys: row.get(6),
            careless,
        })
    }

    fn version(&self) -> Option<Finding> {
        let [found, least] = [self.version, VERSION_MIN].map(|version| version / VERSION_PARTS);
        let what = format!("PostgreSQL is {found}, and {least} is the least");
        (self.version < VERSION_MIN).then(|| Finding::error(what, "upgrade it with pg_upgrade"))
    }

    fn durability(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let set = |setting: &str| {
            let said = format!("ALTER SYSTEM SET {setting}");
            format!("psql -c \"{said}\" -c 'SELECT pg_reload_conf()'")
        };
        if self.in_recovery {
            let what = "ledger.url leads to a standby, which takes no writes";
            found.push(Finding::error(
                what,
                "name the primary in ledger.url, or promote this one: SELECT pg_promote()",
            ));
        }
        if !self.fsync || !self.full_page_writes {
            let off = if self.fsync { "full_page_writes" } else { "fsync" };
            let what = format!(
                "PostgreSQL has {off} off: a loss of power loses verdicts that were told to be durable"
            );
            found.push(Finding::error(what, set(&format!("{off} = on"))));
        }
        if matches!(self.synchronous_commit.as_str(), "off" | "local") {
            let what = format!(
                "PostgreSQL's synchronous_commit is {}: verdicts are told to be durable before they are",
                self.synchronous_commit
            );
            found.push(Finding::error(what, set("synchronous_commit = on")));
        }
        for whose in &self.careless {
            let what = format!(
                "synchronous_commit is off for {whose}: verdicts are told to be durable before they are"
            );
            found.push(Finding::error(
                what,
                format!("psql -c 'ALTER ROLE \"{whose}\" RESET synchronous_commit'"),
            ));
        }
        if self.in_recovery {
            return found;
        }
        if self.standby_names.is_empty() {
            let what = "PostgreSQL has no synchronous standby: the loss of its disk loses verdicts that were told to be durable";
            found.push(Finding::warning(what, set("synchronous_standby_names = 'FIRST 1 (STANDBY)'")));
        } else if self.standbys == Some(0) {
            let what = format!(
                "no synchronous standby of '{}' is connected: every commit waits",
                self.standby_names
            );
            let remedy = "start the standby; is it gone for good, empty synchronous_standby_names and reload";
            found.push(Finding::error(what, remedy));
        }
        found
    }
}

async fn administered(
    deployment: &Deployment,
    administrator: &Administrator,
    broken: &[Service],
) -> Vec<Check> {
    let Administrator { credentials, ledger, init, .. } = administrator;
    if broken.contains(&Service::PostgreSql) {
        return [HOLDS, RIGHTS]
            .map(|name| Check::skipped(name, "a file of a password cannot be used"))
            .into();
    }
    let cluster = &deployment.cluster;
    let holds = match ledger.look(cluster, credentials).await {
        Ok(found) => Check::new(HOLDS, found.iter().map(|(step, _)| steps::finding(step, init)).collect()),
        Err(error) => Check::new(HOLDS, vec![trouble(&error)]),
    };
    let rights = if holds.state == State::Fine {
        match probe_ledger(cluster, credentials, &deployment.database).await {
            Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, init)),
            Err(error) => Check::new(RIGHTS, vec![trouble(&error)]),
        }
    } else {
        Check::skipped(RIGHTS, "what PostgreSQL holds must be mended first")
    };
    vec![holds, rights]
}

fn trouble(error: &ProvisionError) -> Finding {
    Finding::error(error.to_string(), "log in as who owns the schema and may make roles: ledger.username")
}

async fn as_role(deployment: &Deployment) -> Vec<Check> {
    let (Some(ledger), Some(role)) = (&deployment.ledger, deployment.role()) else { return Vec::new() };
    let holds = match ledger.is_current().await {
        Ok(true) => Check::new(HOLDS, Vec::new()),
        Ok(false) => {
            let what = format!(
                "schema {}: missing, older than this version, or not for this user",
                deployment.cluster.schema
            );
            Check::new(HOLDS, vec![Finding::error(what, deployment.init())])
        }
        Err(error) => Check::new(HOLDS, vec![unreachable(&error)]),
    };
    let user = role.user(&deployment.cluster.prefix);
    let rights = match (&holds.state, &deployment.database) {
        (State::Fine, database) => match probe_ledger_as(role, &user, &deployment.cluster, database).await {
            Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, deployment.init())),
            Err(error) => Check::skipped(RIGHTS, error.to_string()),
        },
        _ => Check::skipped(RIGHTS, "the schema is not there"),
    };
    vec![holds, rights]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            version: 150_004,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            standby_names: "FIRST 1 (b)".to_owned(),
            standbys: Some(1),
            careless: Vec::new(),
            in_recovery: false,
        }
    }

    #[test]
    fn p1_what_can_lose_a_verdict_is_named() {
        assert!(facts().durability().is_empty() && facts().version().is_none());
        let one = |facts: Facts| facts.durability().pop().expect("a finding").what;
        assert!(one(Facts { fsync: false, ..facts() }).contains("fsync off"));
        assert!(one(Facts { full_page_writes: false, ..facts() }).contains("full_page_writes off"));
        assert!(one(Facts { synchronous_commit: "local".to_owned(), ..facts() }).contains("is local"));
        assert!(one(Facts { careless: vec!["s".to_owned()], ..facts() }).contains("off for s"));
        assert!(one(Facts { standby_names: String::new(), ..facts() }).contains("no synchronous standby:"));
        assert!(one(Facts { standbys: Some(0), ..facts() }).contains("every commit waits"));
        assert!(
            one(Facts { in_recovery: true, standbys: Some(0), ..facts() }).contains("leads to a standby")
        );
        assert!(
            Facts { standbys: None, ..facts() }.durability().is_empty(),
            "who may not look does not guess"
        );
    }

    #[test]
    fn an_old_server_is_named() {
        let old = Facts { version: 140_011, ..facts() };
        assert_eq!(old.version().expect("a finding").what, "PostgreSQL is 14, and 15 is the least");
    }
}
