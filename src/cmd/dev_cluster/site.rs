//! The folder of a cluster on one machine: its configuration, keys and logs.

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use skein_apns_sim::log::LogMode;
use skein_apns_sim::{Faults, SimulatorConfig, realistic};
use skein_dev_services::ports::Port;
use skein_dev_services::{PostgreSql, RabbitMq, ZooKeeper};

use crate::args::DevCluster;
use crate::cmd::config::made_key;
use crate::cmd::demo;
use crate::exit::Failure;

/// The one pool.
pub const POOL: &str = "im";
/// Its topic.
pub const TOPIC: &str = "com.example.im";
/// The simulator's log is of the last this many requests.
const LOG_ROWS_MAX: u64 = 100_000;

/// The folder, and the ports that are kept for its roles.
pub struct Site {
    folder: PathBuf,
    /// Of the gateway's front door.
    pub front: Port,
    /// Of each monitor's API and page.
    pub monitors: Vec<Port>,
    shown: RefCell<Vec<(&'static str, String)>>,
}

/// The name of a sender.
pub fn sender(number: u16) -> String {
    format!("sender-{number}")
}

/// The device token of the simulated device of this number.
pub fn example_token(device: u64) -> String {
    demo::token(1, device)
}

impl Site {
    /// Makes the folder and its keys.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(arguments: &DevCluster) -> Result<Self, Failure> {
        let folder = &arguments.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let monitors = (0..arguments.monitors).map(|_| Port::claim()).collect();
        let shown = RefCell::default();
        let site = Self { folder: folder.clone(), front: Port::claim(), monitors, shown };
        let key = site.path("apns.p8");
        if !key.exists() {
            demo::write_key(&key)?;
        }
        for (name, digit) in [("fingerprint.key", "5a"), ("parking.key", "a5")] {
            site.private(name, &digit.repeat(32))?;
        }
        site.private("broker-password", "guest")?;
        let (key, line) = made_key("dev")?;
        site.private("api.key", &key)?;
        site.private("gateway-keys", &line)?;
        Ok(site)
    }

    /// The simulator's settings.
    pub fn simulator(&self, arguments: &DevCluster) -> SimulatorConfig {
        SimulatorConfig {
            faults: if arguments.faults { realistic() } else { Faults::default() },
            ca_out: Some(self.path("apns-ca.pem")),
            bundle_ids: vec![TOPIC.to_owned()],
            log: LogMode::Memory { rows_max: LOG_ROWS_MAX },
            ..SimulatorConfig::default()
        }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The configuration that all roles and commands share.
    pub fn config(&self) -> PathBuf {
        self.path("skein.toml")
    }

    /// The first monitor's page.
    pub fn page(&self) -> String {
        format!("http://127.0.0.1:{}/", self.monitors[0])
    }

    /// Where the services are, for people.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        self.shown.borrow().clone()
    }

    /// Writes the shared configuration.
    ///
    /// # Errors
    /// When a service or the disk refuses.
    pub async fn write(
        &self,
        (rabbitmq, zookeeper, postgresql): &(RabbitMq, ZooKeeper, PostgreSql),
        apns: SocketAddr,
        arguments: &DevCluster,
    ) -> Result<(), Failure> {
        let database = postgresql.database("skein").await?;
        let database = database.rsplit('/').next().unwrap_or("postgres");
        // A user for each sender: closing one sender's connections then needs no guess.
        for n in 1..=arguments.senders {
            let user = sender(n);
            rabbitmq
                .manage("PUT", &format!("users/{user}"), Some(r#"{"password":"guest","tags":""}"#))
                .await?;
            let all = r#"{"configure":".*","write":".*","read":".*"}"#;
            rabbitmq.manage("PUT", &format!("permissions/%2f/{user}"), Some(all)).await?;
        }
        let management = rabbitmq.management_url();
        let management = management.rsplit('@').next().unwrap_or_default();
        let text = format!(
            r#"# Written by `skein dev cluster`, and written again by the next one.
engine = "cluster"

[log]
format = "text"

[gateway]
listen = "127.0.0.1:{front}"
api_keys_file = "gateway-keys"

[broker]
urls = ["amqp://{broker}"]
username = "guest"
password_file = "broker-password"
queues = {queues}
heartbeat = "4s"
backoff_max = "1s"

[coordinator]
servers = ["{zookeeper}"]
chroot = "/skein"
server_tick = "500ms"
# A busy or sleeping laptop is no frozen sender. (A killed one is told by the broker, long before.)
session_timeout = "8s"

[monitor]
listen = "127.0.0.1:{monitor}"
management_url = "http://{management}"
username = "guest"
password_file = "broker-password"

[ledger]
url = "postgres://{ledger}/{database}"
username = "postgres"
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
tls = {{ mode = "off" }}

[pools.{POOL}]
environment = "sandbox"
topics = ["{TOPIC}"]
endpoint = "localhost:{apns}"
ca_file = "apns-ca.pem"
credential = {{ kind = "token", key_file = "apns.p8", key_id = "DEVKEY0001", team_id = "DEVTEAM001" }}
"#,
            front = self.front,
            broker = rabbitmq.amqp(),
            monitor = self.monitors[0],
            management = management,
            queues = arguments.queues,
            zookeeper = zookeeper.url(),
            ledger = postgresql.server(),
            apns = apns.port(),
        );
        self.file("skein.toml", &text)?;
        *self.shown.borrow_mut() = vec![
            ("page", self.page()),
            (
                "gateway",
                format!("http://127.0.0.1:{} (its key: {})", self.front, self.path("api.key").display()),
            ),
            ("RabbitMQ", rabbitmq.management_url()),
            ("its metrics", format!("http://{}/metrics", rabbitmq.metrics())),
            ("ZooKeeper", zookeeper.url()),
            ("PostgreSQL", postgresql.url_of(database)),
            ("APNs", format!("https://{apns} (simulated)")),
            ("logs", self.folder.join("*.log").display().to_string()),
        ];
        Ok(())
    }

    /// Writes a file of the folder.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Writes a file that only its owner may read.
    fn private(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?)
    }
}
