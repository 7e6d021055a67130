//! A PostgreSQL cluster of our own. It refuses to run as root, so root starts it as user `postgres` (or `nobody`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tokio::sync::OnceCell;

use super::{Folder, postgres_wire, postgres_wire::Row, programs, start_process, unique};
use crate::{guard::Guarded, ports::Port, tls::ServerTls, until};

const STOP_LIMIT: Duration = Duration::from_secs(60);
const BACKENDS_GONE_LIMIT: Duration = Duration::from_secs(60);

/// Where a running PostgreSQL is; user `postgres`, no password.
#[derive(Debug, Clone)]
pub struct PostgreSqlAddress {
    server: SocketAddr,
}

impl PostgreSqlAddress {
    /// The address of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where the server listens; what a relay goes in front of.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The address of a database: `postgres://postgres@127.0.0.1:PORT/NAME`.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.server)
    }

    /// Creates an empty database with a unique name that begins with `name`, and gives its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn database(&self, name: &str) -> Result<String> {
        let database = unique(name);
        self.query("postgres", &format!("CREATE DATABASE \"{database}\"")).await?;
        Ok(self.url_of(&database))
    }

    /// Runs SQL in a database on a connection of its own and gives the rows as text: for assertions.
    ///
    /// # Errors
    /// When the server can't be reached or refuses the statement.
    pub async fn query(&self, database: &str, sql: &str) -> Result<Vec<Row>> {
        postgres_wire::query(self.server, database, sql).await
    }

    async fn answers(&self) -> Option<()> {
        self.query("postgres", "SELECT 1").await.ok().map(drop)
    }
}

/// A private PostgreSQL; ended and deleted on drop.
#[derive(Debug)]
pub struct PostgreSql {
    address: PostgreSqlAddress,
    server: Option<Guarded>,
    user: Option<(u32, u32)>,
    _port: Port,
    folder: Folder,
}

impl Deref for PostgreSql {
    type Target = PostgreSqlAddress;

    fn deref(&self) -> &PostgreSqlAddress {
        &self.address
    }
}

impl PostgreSql {
    /// Makes a cluster, starts it (1 s in all) and waits until it answers a query.
    ///
    /// # Errors
    /// When it is not installed, or does not answer within 90 s; the message ends with its log.
    pub async fn start() -> Result<Self> {
        let mut this = Self::make().await?;
        this.start_again().await?;
        Ok(this)
    }

    /// As [`start`](Self::start), for a server that demands a client certificate of those that come with TLS. In clear it lets in
    /// anybody.
    ///
    /// # Errors
    /// As [`PostgreSql::start`].
    pub async fn start_with_tls(files: ServerTls) -> Result<Self> {
        let mut this = Self::make().await?;
        let data = this.folder.join("data");
        for (from, to) in [
            (files.clients(), "clients.pem"),
            (files.certificate(), "server.crt"),
            (files.key(), "server.key"),
        ] {
            let to = data.join(to);
            std::fs::copy(from, &to)?;
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            if let Some((uid, gid)) = this.user {
                chown(&to, Some(uid), Some(gid))?;
            }
        }
        append(&data.join("postgresql.conf"), "ssl = on\nssl_ca_file = 'clients.pem'\n")?;
        let who = "local all all trust\nhostnossl all all 127.0.0.1/32 trust\n\
                   hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";
        std::fs::write(data.join("pg_hba.conf"), who)?;
        this.start_again().await?;
        Ok(this)
    }

    /// A server that a script makes and then is, such as a standby: run by `sh` with these variables and `PGDATA`, the programs of
    /// PostgreSQL on its path, and the settings of its place as arguments for `postgres`. [`start_again`](Self::start_again) is not for it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not answer within 90 s; the message ends with its log.
    pub async fn start_by(script: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let mut this = Self::empty()?;
        let postgres = programs::postgresql("postgres").context("PostgreSQL is not installed")?;
        let own = postgres.parent().context("a program in a folder")?.display().to_string();
        let mut command = this.command_at(Path::new("sh"));
        command.args(["-c", script, "sh"]).envs(variables.iter().copied());
        command
            .env("PATH", format!("{own}:/usr/local/bin:/usr/bin:/bin"))
            .env("PGDATA", this.folder.join("data"));
        let port = this.address.server.port();
        for setting in [format!("port={port}"), "listen_addresses=127.0.0.1".to_owned()] {
            command.args(["-c", &setting]);
        }
        let answers = async || this.address.answers().await;
        this.server = Some(start_process("PostgreSQL", command, &this.folder, Signal::QUIT, answers).await?);
        Ok(this)
    }

    async fn make() -> Result<Self> {
        let this = Self::empty()?;
        this.make_cluster().await?;
        Ok(this)
    }

    fn empty() -> Result<Self> {
        let folder = Folder::new("postgresql")?;
        let user = if rustix::process::geteuid().is_root() { Some(unprivileged_user()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let port = Port::claim();
        let address = PostgreSqlAddress { server: (Ipv4Addr::LOCALHOST, port.number()).into() };
        Ok(Self { address, server: None, user, _port: port, folder })
    }

    /// One PostgreSQL for all tests: the one `DATABASE_URL` names, else one of this process. Use a
    /// [`database`](PostgreSqlAddress::database) of it, and never harm it.
    ///
    /// # Errors
    /// As [`PostgreSql::start`].
    pub async fn shared() -> Result<&'static PostgreSqlAddress> {
        static GIVEN: OnceCell<Option<PostgreSqlAddress>> = OnceCell::const_new();
        static OWN: OnceCell<PostgreSql> = OnceCell::const_new();
        let given = async || match super::given(super::DATABASE_URL) {
            Some(url) => {
                let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let server = host.parse().with_context(|| format!("no 127.0.0.1:PORT in {host:?}"))?;
                anyhow::Ok(Some(PostgreSqlAddress { server }))
            }
            None => Ok(None),
        };
        if let Some(address) = GIVEN.get_or_try_init(given).await? {
            return Ok(address);
        }
        OWN.get_or_try_init(PostgreSql::start).await.map(|own| &own.address)
    }

    /// Starts the server again on the same data and port.
    ///
    /// # Errors
    /// When it runs already, or as [`PostgreSql::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "PostgreSQL is running");
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.folder.join("data"));
        // An immediate shutdown (SIGQUIT) frees the shared memory that a kill would leave behind.
        let answers = async || self.address.answers().await;
        let process = start_process("PostgreSQL", command, &self.folder, Signal::QUIT, answers).await?;
        self.server = Some(process);
        Ok(())
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// As these.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// `kill -9` of the server and everything it started, as when its host dies.
    ///
    /// # Errors
    /// When a backend outlives it by 10 s.
    pub async fn kill9(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            let backends = children_of(server.id());
            server.kill9();
            for id in &backends {
                signal_process(*id, Signal::KILL);
            }
            let gone = async || backends.iter().all(|id| !exists(*id)).then_some(());
            until("the backends' end", BACKENDS_GONE_LIMIT, gone).await?;
        }
        Ok(())
    }

    /// A fast shutdown (SIGINT: clients are cut; SIGTERM would wait for them), and waits for the end.
    ///
    /// # Errors
    /// When it has not ended after 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::INT);
            server.wait("PostgreSQL's end", STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Freezes the server and its backends (SIGSTOP).
    pub fn pause(&mut self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn resume(&mut self) {
        self.signal_all(Signal::CONT);
    }

    /// The server's process id, while it runs.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.server.as_ref().map(Guarded::id).into_iter().collect()
    }

    fn signal_all(&mut self, signal: Signal) {
        if let Some(server) = &mut self.server {
            server.signal(signal);
            for id in children_of(server.id()) {
                signal_process(id, signal);
            }
        }
    }

    async fn make_cluster(&self) -> Result<()> {
        let data = self.folder.join("data");
        let mut initdb = self.command("initdb")?;
        initdb.arg("-D").arg(&data).stdin(Stdio::null());
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        let output = tokio::process::Command::from(initdb).kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nmax_connections = 200\n\
             dynamic_shared_memory_type = mmap\nlogging_collector = off\n",
            self.address.server.port(),
            self.folder.path().display(),
        );
        append(&data.join("postgresql.conf"), &settings)
    }

    fn command(&self, program: &str) -> Result<Command> {
        let path = programs::postgresql(program).with_context(|| format!("{program} is not installed"))?;
        Ok(self.command_at(&path))
    }

    fn command_at(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid).env("HOME", self.folder.path());
        }
        command
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(std::fs::OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())?)
}

fn unprivileged_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let mut fields =
                users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .context("PostgreSQL refuses root, and there is no user postgres or nobody to run it as")
}

/// The direct children of a process; empty where there is no `/proc` (backends then end by themselves).
fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    })
    .collect()
}

fn signal_process(id: u32, signal: Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(id.cast_signed()) {
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

fn exists(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
