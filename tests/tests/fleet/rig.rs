//! A fleet of its own for one test: vhost, chroot, database, simulator, senders and monitors as processes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use skein_apns_sim::{Faults, clock::monotonic_ns};
use skein_backends::zookeeper::{ZooKeeperFleet, ZooKeeperOptions};
use skein_core::{
    PoolName, QueueName,
    fleet::{MemberId, Wanted},
    seam::FleetStore as _,
};
use skein_producer::{BrokerAddress, LinkOptions, Producer, ProducerOptions};
use skein_test_site::{
    load::{Load, Shape},
    run::is_full,
    site::{ANSWER_LIMIT, POOL, Site},
};
use skein_tests::{
    ports::Port,
    process::{Child, skein},
    services::{PostgreSql, PostgreSqlAddress, RabbitMq, RabbitMqAddress, ZooKeeper},
    until,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    bounds::progress,
    member::{Relays, Sender},
    takeover::Fault,
    timeline::Writer,
};

/// Senders and monitors of a fleet, unless a row says otherwise.
pub const SENDERS: u8 = 3;
pub const MONITORS: u8 = 2;
/// Queues of the pool: four for each sender.
pub const QUEUES: u16 = 12;
/// What each row is measured under.
pub const PER_SECOND: u32 = 500;
/// Of ZooKeeper, where a row waits for the end of one.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
/// The producer's name at the broker.
pub const PRODUCER: &str = "im-backend";
/// Each queue's window.
const PREFETCH: u16 = 128;
/// How long processes may take to start, and a fleet to come to rest.
pub const START_LIMIT: Duration = Duration::from_secs(60);
pub const REST_LIMIT: Duration = Duration::from_secs(60);
pub const END_LIMIT: Duration = Duration::from_secs(30);

/// The services of a fleet.
pub struct Services {
    /// The nodes of one cluster.
    pub brokers: Vec<RabbitMqAddress>,
    pub zookeepers: Vec<SocketAddr>,
    pub ledger: PostgreSqlAddress,
}

impl Services {
    /// Those that all tests share.
    pub async fn shared() -> Self {
        Self {
            brokers: vec![RabbitMq::shared().await.unwrap().clone()],
            zookeepers: vec![ZooKeeper::shared().await.unwrap().client()],
            ledger: PostgreSql::shared().await.unwrap().clone(),
        }
    }
}

/// Where one process sees the services.
struct Seen {
    brokers: Vec<SocketAddr>,
    zookeepers: Vec<SocketAddr>,
    ledger: SocketAddr,
}

/// A mix of refusals and orderly ends of connections, and nothing that leaves in doubt what became of a write: whatever is
/// written twice in a row is the fleet's own doing.
pub fn calm(seed: u64) -> Faults {
    let mut faults = Faults { seed, ..skein_apns_sim::realistic() };
    faults.connection.reset_every = 0;
    faults
}

/// A monitor's process.
pub struct Monitor {
    pub name: String,
    pub api: Port,
    _pages: Port,
    pub config: PathBuf,
    pub child: Option<Child>,
    log: String,
}

impl Monitor {
    /// What it has logged, all its processes together.
    pub fn log(&self) -> String {
        let running = self.child.as_ref().map(Child::log).unwrap_or_default();
        format!("{}{running}", self.log)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill9();
        self.log.push_str(&child.log());
    }
}

/// Faults follow one another faster than these guards are meant for.
const FAULTS_IN_TURN: &str = "half_gone_window = \"2s\"\nflap_losses_max = 100\n";

/// One fleet at a time: two would measure the machine's patience.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Who owns each queue, by its number; none while nobody does.
pub type Owners = BTreeMap<u16, Option<String>>;

/// A fleet.
pub struct Rig {
    pub site: Site,
    pub store: ZooKeeperFleet,
    pub senders: Vec<Sender>,
    pub monitors: Vec<Monitor>,
    pub ledger: PostgreSqlAddress,
    pub database: String,
    pub vhost: String,
    services: Arc<Services>,
    session_timeout: Duration,
    urls: Vec<String>,
    base: String,
    row: String,
    began: Instant,
    /// So many so far.
    faults: AtomicU64,
    _alone: MutexGuard<'static, ()>,
}

/// For rows in which nobody's session ends: beside other tests longer than a busy machine stands still.
pub fn calm_sessions() -> Duration {
    if is_full() { SESSION_TIMEOUT } else { Duration::from_secs(20) }
}

impl Rig {
    /// Every process. The fleet comes to rest under load: an owner says that its grace is over when something has come.
    pub async fn start(name: &str, services: Services, seed: u64) -> Self {
        Self::start_with(name, services, seed, FAULTS_IN_TURN, SESSION_TIMEOUT).await
    }

    /// The same, for rows in which no session ends.
    pub async fn start_calm(name: &str, services: Services, seed: u64) -> Self {
        Self::start_with(name, services, seed, FAULTS_IN_TURN, calm_sessions()).await
    }

    /// The same, with these numbers of the plan and sessions of this length.
    pub async fn start_with(
        name: &str,
        services: Services,
        seed: u64,
        policy: &str,
        session_timeout: Duration,
    ) -> Self {
        let site = Site::new(calm(seed));
        let url = services.brokers[0].vhost(name).await.unwrap();
        let vhost = url.rsplit('/').next().unwrap().to_owned();
        let urls = services.brokers.iter().map(|broker| broker.url_of(&vhost)).collect();
        let database = services.ledger.database(name).await.unwrap();
        let database = database.rsplit('/').next().unwrap().to_owned();
        let chroot = format!("/{vhost}");
        let servers = services.zookeepers.iter().map(ToString::to_string).collect();
        let options = ZooKeeperOptions {
            server_tick: Duration::from_millis(500),
            ..ZooKeeperOptions::new(servers, chroot.clone())
        };
        let store = ZooKeeperFleet::connect(options, "tests");
        let pool = PoolName::parse(POOL).unwrap();
        let made = async || {
            store.init().await.ok()?;
            store.seed(&pool, QUEUES, PREFETCH).await.ok()
        };
        until("the tree in ZooKeeper", START_LIMIT, made).await.unwrap();
        let management = services.brokers[0].management_url();
        let base = format!(
            r#"engine = "cluster"

[log]
format = "json"

[monitor]
management_url = "http://{management}"
username = "guest"
password_file = "broker-password"

[monitor.policy]
join_debounce = "1s"
{policy}
"#,
            management = management.rsplit('@').next().unwrap(),
        );
        let mut rig = Self {
            _alone: ALONE.lock().await,
            site,
            store,
            senders: Vec::new(),
            monitors: Vec::new(),
            ledger: services.ledger.clone(),
            database,
            vhost: vhost.clone(),
            services: Arc::new(services),
            session_timeout,
            urls,
            base,
            row: name.to_owned(),
            began: Instant::now(),
            faults: AtomicU64::new(0),
        };
        for number in 0..SENDERS {
            rig.add_sender(number, &[]).await;
        }
        rig.all_present().await;
        // Each can take its part before anybody plans.
        for sender in &mut rig.senders {
            sender.ready(START_LIMIT).await;
        }
        for number in 0..MONITORS {
            rig.add_monitor(number, &chroot);
        }
        rig
    }

    fn places(&self, seen: Seen, user: &str, vhost: &str, chroot: &str) -> String {
        let Seen { brokers, zookeepers, ledger } = seen;
        let brokers: Vec<String> = brokers.iter().map(|broker| format!("\"amqp://{broker}\"")).collect();
        let brokers = brokers.join(", ");
        let zookeepers: Vec<String> = zookeepers.iter().map(|server| format!("\"{server}\"")).collect();
        let zookeepers = zookeepers.join(", ");
        let database = &self.database;
        let session = self.session_timeout.as_secs();
        format!(
            r#"
[broker]
urls = [{brokers}]
vhost = "{vhost}"
username = "{user}"
password_file = "broker-password"
queues = {QUEUES}
prefetch = {PREFETCH}
heartbeat = "4s"
backoff_max = "500ms"

[coordinator]
servers = [{zookeepers}]
chroot = "{chroot}"
session_timeout = "{session}s"
server_tick = "500ms"
backoff_max = "500ms"

[ledger]
url = "postgres://{ledger}/{database}"
username = "postgres"
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
away_hold = "2s"
tls = {{ mode = "off" }}

"#
        )
    }

    /// One more sender, with these arguments; gives its place among them.
    pub async fn add_sender(&mut self, number: u8, arguments: &[&str]) -> usize {
        let (services, vhost) = (Arc::clone(&self.services), self.vhost.clone());
        let chroot = format!("/{vhost}");
        let name = format!("s{number}");
        let user = format!("{vhost}-{name}");
        let broker = &services.brokers[0];
        broker
            .manage("PUT", &format!("users/{user}"), Some(r#"{"password":"guest","tags":""}"#))
            .await
            .unwrap();
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        broker.manage("PUT", &format!("permissions/{vhost}/{user}"), Some(all)).await.unwrap();
        let (apns, ledger) = (self.site.simulator.addr(), services.ledger.server());
        // Each its own first choice of a cluster.
        let mut brokers: Vec<SocketAddr> = services.brokers.iter().map(|broker| broker.amqp()).collect();
        let first = usize::from(number) % brokers.len();
        brokers.rotate_left(first);
        let relays = Relays::start(number, apns, brokers[0], services.zookeepers[0], ledger).await;
        brokers[0] = relays.broker.address();
        let mut zookeepers = services.zookeepers.clone();
        zookeepers[0] = relays.zookeeper.address();
        let seen = Seen { brokers, zookeepers, ledger: relays.ledger.address() };
        let state = self.site.path(&format!("{name}.state"));
        std::fs::create_dir(&state).unwrap();
        let pages = Port::claim();
        let text = format!(
            "{base}\n[http]\nlisten = \"127.0.0.1:{pages}\"\n{places}\n[sender]\nmember = \"{name}\"\nshards = 2\n\
             state_folder = \"{state}\"\n\n{pool}",
            base = self.base,
            places = self.places(seen, &user, &vhost, &chroot),
            state = state.display(),
            pool = self.site.pool(relays.apns.address(), ANSWER_LIMIT),
        );
        let config = self.site.write(&format!("{name}.toml"), &text);
        let mut sender = Sender::new(number, name, relays, pages, config);
        sender.start_as(arguments, &[]);
        self.senders.push(sender);
        self.senders.len() - 1
    }

    fn add_monitor(&mut self, number: u8, chroot: &str) {
        let (services, vhost) = (Arc::clone(&self.services), self.vhost.clone());
        let name = format!("m{number}");
        let [api, pages] = [Port::claim(), Port::claim()];
        let seen = Seen {
            brokers: services.brokers.iter().map(|broker| broker.amqp()).collect(),
            zookeepers: services.zookeepers.clone(),
            ledger: services.ledger.server(),
        };
        let base = self.base.replace(
            "[monitor]\n",
            &format!("[http]\nlisten = \"127.0.0.1:{pages}\"\n\n[monitor]\nname = \"{name}\"\nlisten = \"127.0.0.1:{api}\"\n"),
        );
        let text = format!(
            "{base}{places}{pool}",
            places = self.places(seen, "guest", &vhost, chroot),
            pool = self.site.pool(self.site.simulator.addr(), ANSWER_LIMIT),
        );
        let config = self.site.write(&format!("{name}.toml"), &text);
        self.monitors.push(Monitor { name, api, _pages: pages, config, child: None, log: String::new() });
        self.start_monitor(usize::from(number));
    }

    /// Starts a monitor (again).
    pub fn start_monitor(&mut self, number: usize) {
        let monitor = &mut self.monitors[number];
        let config = monitor.config.display().to_string();
        let program = skein(["run", "monitor", "--config", &config]).unwrap();
        monitor.child = Some(program.start().unwrap());
    }

    /// Writes a wish down.
    pub async fn wish(&self, wanted: Wanted) {
        self.store.wish("tests", wanted).await.unwrap();
    }

    /// A queue's name.
    pub fn queue(number: u16) -> QueueName {
        QueueName { pool: PoolName::parse(POOL).unwrap(), number }
    }

    /// A sender's id.
    pub fn member(&self, number: usize) -> MemberId {
        MemberId::parse(&self.senders[number].name).unwrap()
    }

    /// Even traffic from a backend, and a fleet at rest that writes for each queue.
    pub async fn load(&self, seed: u64) -> Load {
        self.load_at(seed, PER_SECOND).await
    }

    /// The same, of so many a second.
    pub async fn load_at(&self, seed: u64, per_second: u32) -> Load {
        let addresses: Vec<BrokerAddress> = self.urls.iter().map(|url| url.parse().unwrap()).collect();
        let pools = vec![PoolName::parse(POOL).unwrap()];
        let mut options = ProducerOptions::new(LinkOptions::new(addresses, PRODUCER), pools);
        options.outcome_limit = Duration::from_secs(900);
        options.backoff_max = Duration::from_millis(500);
        let load = Load::shaped(Producer::connect(options), seed, per_second, Shape::EVEN);
        self.at_rest().await;
        self.all_written(&load).await;
        load
    }

    /// A fault that begins now, of the sender that owns these queues.
    pub fn fault(&self, number: usize, queues: Vec<u16>) -> Fault {
        let sender = &self.senders[number];
        let count = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        let (row, seconds, name) = (&self.row, self.began.elapsed().as_secs(), &sender.name);
        progress(&format!("{row}: fault {count} at {seconds} s: {name} with {} queues", queues.len()));
        let writer = Writer { sender: sender.number, life: sender.lives.len() - 1 };
        Fault { at_ns: monotonic_ns(), writer, queues }
    }
}
