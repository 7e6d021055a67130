//! A synchronous standby: what receives and flushes the server's log, as PostgreSQL's own `pg_receivewal --synchronous` does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use skein_tests::process::{Child, Program};
use skein_tests::services::PostgreSql;
use skein_tests::until;

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "standby";

/// One that runs, or was lost.
pub struct Standby {
    program: PathBuf,
    folder: PathBuf,
    running: Option<Child>,
}

impl Standby {
    /// Starts it, and lets every commit wait for it.
    pub async fn start(server: &PostgreSql, folder: &Path) -> Self {
        let folder = folder.join("log");
        std::fs::create_dir(&folder).unwrap();
        let mut this = Self { program: program(), folder, running: None };
        this.connect(server).await;
        this.demanded(server, NAME).await;
        this
    }

    /// Which standby commits wait for; none, if empty.
    pub async fn demanded(&self, server: &PostgreSql, names: &str) {
        set(server, &format!("synchronous_standby_names = '{names}'")).await;
        let wanted = if names.is_empty() { "async" } else { "sync" };
        self.seen(server, wanted).await;
    }

    /// Starts it again.
    pub async fn connect(&mut self, server: &PostgreSql) {
        let (host, port) = (server.server().ip(), server.server().port());
        let mut program = Program::new(&self.program);
        let way = format!("host={host} port={port} user=postgres application_name={NAME}");
        program.command().args(["--synchronous", "--no-loop", "-d", &way, "-D"]).arg(&self.folder);
        self.running = Some(program.start().unwrap());
        self.seen(server, "").await;
    }

    /// Ends it, and waits until the server has seen it.
    pub async fn lose(&mut self, server: &PostgreSql) {
        self.running = None;
        until("the standby's end", LIMIT, async || states(server).await.is_empty().then_some(()))
            .await
            .unwrap();
    }

    async fn seen(&self, server: &PostgreSql, state: &str) {
        let there = async || {
            let states = states(server).await;
            states.iter().any(|found| state.is_empty() || found == state).then_some(())
        };
        until("the standby", LIMIT, there).await.unwrap();
    }
}

/// The states of the standbys.
async fn states(server: &PostgreSql) -> Vec<String> {
    let sql = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
    let rows = server.query("postgres", sql).await.unwrap();
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Changes a setting of the server, and waits until it is in force.
pub async fn set(server: &PostgreSql, setting: &str) {
    let (name, value) = setting.split_once(" = ").unwrap();
    server.query("postgres", &format!("ALTER SYSTEM SET {setting}")).await.unwrap();
    server.query("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let value = value.trim_matches('\'');
    let in_force = async || {
        let rows = server.query("postgres", &format!("SHOW {name}")).await.unwrap();
        (rows[0][0].as_deref() == Some(value)).then_some(())
    };
    until("the setting", LIMIT, in_force).await.unwrap();
}

/// The newest that is installed.
fn program() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin/pg_receivewal")).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.pop().unwrap_or_else(|| "pg_receivewal".into())
}
