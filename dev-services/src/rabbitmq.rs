//! A RabbitMQ node of our own, with its management API and the event exchange.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OnceCell,
};

use super::{Folder, programs, start_process, unique};
use crate::{TimedOut, guard::Guarded, http, ports::Port, until};

mod cluster;
mod encrypted;

pub use cluster::Quorum;
use encrypted::Encrypted;

const STOP_LIMIT: Duration = Duration::from_secs(60);
const REGISTER_LIMIT: Duration = Duration::from_secs(60);
/// How often a quorum queue counts itself, in milliseconds: depths are then seen within a second or two, not five.
const ADVANCED: &str = "[{rabbit, [{quorum_tick_interval, 1000}]}].";
const PLUGINS: &str = "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_event_exchange].";

/// Where a running RabbitMQ is; user and password are `guest`.
#[derive(Debug, Clone)]
pub struct RabbitMqAddress {
    amqp: SocketAddr,
    management: SocketAddr,
}

impl RabbitMqAddress {
    /// The AMQP address of the default vhost: `amqp://guest:guest@127.0.0.1:PORT/%2f`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("%2f")
    }

    /// Where the broker listens for AMQP; what a relay goes in front of.
    #[must_use]
    pub fn amqp(&self) -> SocketAddr {
        self.amqp
    }

    /// The management API with credentials, no slash at the end: `http://guest:guest@127.0.0.1:PORT`.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://guest:guest@{}", self.management)
    }

    /// The AMQP address of a vhost (its name percent-encoded).
    #[must_use]
    pub fn url_of(&self, vhost: &str) -> String {
        format!("amqp://guest:guest@{}/{vhost}", self.amqp)
    }

    /// Creates a vhost with a unique name that begins with `name`, and gives its AMQP address.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn vhost(&self, name: &str) -> Result<String> {
        let vhost = unique(name);
        self.manage("PUT", &format!("vhosts/{vhost}"), None).await?;
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.manage("PUT", &format!("permissions/{vhost}/guest"), Some(all)).await?;
        Ok(self.url_of(&vhost))
    }

    /// A request of the management API: `path` is what follows `/api/`.
    ///
    /// # Errors
    /// When the broker can't be reached or answers with another status than 2xx.
    pub async fn manage(&self, method: &str, path: &str, body: Option<&str>) -> Result<http::Response> {
        let answer = http::request(method, &format!("{}/api/{path}", self.management_url()), body).await?;
        ensure!(answer.is_success(), "management {method} {path}: {} {}", answer.status, answer.body);
        Ok(answer)
    }

    async fn answers(&self) -> Option<()> {
        let mut stream = TcpStream::connect(self.amqp).await.ok()?;
        stream.write_all(b"AMQP\0\0\x09\x01").await.ok()?;
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.ok()?;
        http::get(&format!("{}/api/overview", self.management_url())).await.ok()?.is_success().then_some(())
    }
}

/// Where Erlang nodes find one another; ended with the last node that uses it.
#[derive(Debug)]
struct Epmd {
    process: Guarded,
    port: Port,
    _folder: Folder,
}

impl Epmd {
    fn start() -> Result<Self> {
        let program = programs::on_path("epmd").context("epmd is not installed (package rabbitmq-server)")?;
        let folder = Folder::new("epmd")?;
        let port = Port::claim();
        let mut command = Command::new(program);
        command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
        let process = Guarded::spawn(command, &folder.join("epmd.log"), folder.to_delete(), Signal::KILL)?;
        Ok(Self { process, port, _folder: folder })
    }
}

/// An Erlang node's full name.
fn on_this_host(name: &str) -> String {
    format!("{name}@localhost")
}

/// A private RabbitMQ node; ended and deleted on drop.
#[derive(Debug)]
pub struct RabbitMq {
    address: RabbitMqAddress,
    node: Option<Guarded>,
    epmd: Arc<Epmd>,
    ports: [Port; 4],
    name: String,
    encrypted: Option<Encrypted>,
    folder: Folder,
}

impl Deref for RabbitMq {
    type Target = RabbitMqAddress;

    fn deref(&self) -> &RabbitMqAddress {
        &self.address
    }
}

impl RabbitMq {
    /// Starts a node (3–6 s) and waits until AMQP and the management API answer.
    ///
    /// # Errors
    /// When it is not installed, or does not answer within 90 s; the message ends with its log.
    pub async fn start() -> Result<Self> {
        let epmd = Arc::new(Epmd::start()?);
        let mut this = Self::prepare(epmd, &unique("skein"), &unique("cookie"), "")?;
        this.start_again().await?;
        Ok(this)
    }

    /// A node that is not started yet: `further` is what its configuration says beside what every node's does.
    fn prepare(epmd: Arc<Epmd>, name: &str, cookie: &str, further: &str) -> Result<Self> {
        let folder = Folder::new("rabbitmq")?;
        for name in ["mnesia", "log", "home"] {
            std::fs::create_dir(folder.join(name))?;
        }
        let cookie_file = folder.join("home/.erlang.cookie");
        std::fs::write(&cookie_file, cookie)?;
        std::fs::set_permissions(&cookie_file, std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
        let ports = [Port::claim(), Port::claim(), Port::claim(), Port::claim()];
        let [amqp, management, prometheus, _distribution] = &ports;
        let address = RabbitMqAddress {
            amqp: (Ipv4Addr::LOCALHOST, amqp.number()).into(),
            management: (Ipv4Addr::LOCALHOST, management.number()).into(),
        };
        let conf = conf(amqp, management, prometheus) + further;
        std::fs::write(folder.join("rabbitmq.conf"), conf)?;
        std::fs::write(folder.join("enabled_plugins"), PLUGINS)?;
        std::fs::write(folder.join("advanced.config"), ADVANCED)?;
        Ok(Self { address, node: None, epmd, ports, name: on_this_host(name), encrypted: None, folder })
    }

    /// One broker for all tests: the one `RABBITMQ_URL` and `RABBITMQ_MANAGEMENT` name, else one of this process.
    ///
    /// Use a [`vhost`](RabbitMqAddress::vhost) of it, and never harm it.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub async fn shared() -> Result<&'static RabbitMqAddress> {
        static GIVEN: OnceCell<Option<RabbitMqAddress>> = OnceCell::const_new();
        static OWN: OnceCell<RabbitMq> = OnceCell::const_new();
        if let Some(address) = GIVEN.get_or_try_init(|| async { given() }).await? {
            return Ok(address);
        }
        OWN.get_or_try_init(RabbitMq::start).await.map(|own| &own.address)
    }

    /// Where the node's own metrics are read, at `/metrics` and `/metrics/detailed`.
    #[must_use]
    pub fn metrics(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[2].number()).into()
    }

    /// Starts the node again on the same data and ports, after [`kill9`](Self::kill9) or [`stop`](Self::stop).
    ///
    /// # Errors
    /// When it runs already, or as [`RabbitMq::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.node.is_none(), "the broker is running");
        let answers = async || self.address.answers().await;
        let process =
            start_process("RabbitMQ", self.command("rabbitmq-server")?, &self.folder, Signal::KILL, answers)
                .await?;
        self.node = Some(process);
        Ok(())
    }

    /// Waits until quorum queue `queue` (of any vhost; `VHOST_QUEUE` for one) is registered on the broker's disk.
    ///
    /// RabbitMQ (3.10.8) writes that registration about 1 s *after* `queue.declare-ok`; killed before, it comes back
    /// without the queue's log, confirmed messages included, and without a leader. Call it between a declaration and
    /// [`kill9`](Self::kill9).
    ///
    /// # Errors
    /// When it is not there after 60 s.
    pub async fn registered(&self, queue: &str) -> Result<(), TimedOut> {
        let node = &self.name;
        let file = self.folder.join(&format!("mnesia/{node}/quorum/{node}/names.dets"));
        let name = format!("_{queue}").into_bytes();
        let written = async || {
            let bytes = std::fs::read(&file).ok()?;
            bytes.windows(name.len()).any(|window| window == name).then_some(())
        };
        until(&format!("queue {queue} to be registered on disk"), REGISTER_LIMIT, written).await
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// As these.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// `kill -9`; the node is gone when this returns.
    pub fn kill9(&mut self) {
        if let Some(mut node) = self.node.take() {
            node.kill9();
        }
    }

    /// SIGTERM, and waits for the end (about 6 s).
    ///
    /// # Errors
    /// When it has not ended after 60 s.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut node) = self.node.take() {
            node.signal(Signal::TERM);
            node.wait("RabbitMQ's end", STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Freezes the node (SIGSTOP): sockets stay open, nothing answers.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen node go on.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Raises or clears the memory alarm: connections that publish are blocked while it is on.
    ///
    /// # Errors
    /// When the node does not take the order.
    pub async fn set_memory_alarm(&self, on: bool) -> Result<()> {
        self.alarm("memory", on).await
    }

    /// Raises or clears the disk alarm, which blocks publishers in the same way.
    ///
    /// # Errors
    /// When the node does not take the order.
    pub async fn set_disk_alarm(&self, on: bool) -> Result<()> {
        self.alarm("disk", on).await
    }

    /// Runs `rabbitmqctl` against this node (0.6 s or more) and gives what it printed.
    ///
    /// # Errors
    /// When it exits with another code than 0.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command("rabbitmqctl")?;
        command.arg("-n").arg(&self.name).args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("rabbitmqctl {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }

    /// The process id of epmd and, while it runs, of the node.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        std::iter::once(self.epmd.process.id()).chain(self.node.as_ref().map(Guarded::id)).collect()
    }

    async fn alarm(&self, resource: &str, on: bool) -> Result<()> {
        let order = if on {
            format!("rabbit_alarm:set_alarm({{{{resource_limit, {resource}, node()}}, []}}).")
        } else {
            format!("rabbit_alarm:clear_alarm({{resource_limit, {resource}, node()}}).")
        };
        self.ctl(&["eval", &order]).await.map(drop)
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(node) = &mut self.node {
            node.signal_group(signal);
        }
    }

    fn command(&self, script: &str) -> Result<Command> {
        let program = programs::rabbitmq(script).with_context(|| format!("{script} is not installed"))?;
        let [amqp, _management, _prometheus, distribution] = &self.ports;
        let mut command = Command::new(program);
        command
            .env("HOME", self.folder.join("home"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("ERL_EPMD_PORT", self.epmd.port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", amqp.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.folder.join("log"))
            .env("RABBITMQ_CONFIG_FILE", self.folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", self.folder.join("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.folder.join("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", self.folder.join("pid"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            // The script then becomes the Erlang VM instead of its parent, so that signals reach the right process.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env_remove("NOTIFY_SOCKET")
            .current_dir(self.folder.path());
        Ok(command)
    }
}

fn conf(amqp: &Port, management: &Port, prometheus: &Port) -> String {
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management}\n\
         prometheus.tcp.ip = 127.0.0.1\n\
         prometheus.tcp.port = {prometheus}\n\
         loopback_users = none\n\
         log.console = false\n\
         collect_statistics_interval = 1000\n\
         disk_free_limit.absolute = 200MB\n\
         vm_memory_high_watermark.absolute = 2GB\n"
    )
}

fn given() -> Result<Option<RabbitMqAddress>> {
    let (Some(url), Some(management)) =
        (super::given(super::RABBITMQ_URL), super::given(super::RABBITMQ_MANAGEMENT))
    else {
        return Ok(None);
    };
    let address = |url: &str| -> Result<SocketAddr> {
        let authority = url.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.parse().with_context(|| format!("no address of the form 127.0.0.1:PORT in {host:?}"))
    };
    Ok(Some(RabbitMqAddress { amqp: address(&url)?, management: address(&management)? }))
}
