//! A cluster on one host as `deploy/systemd` and `skein cluster init` make it: services, secrets, narrow users, units.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use skein_backends::zookeeper::{Login, ZooKeeperFleet, ZooKeeperOptions};
use skein_core::PoolName;
use skein_producer::{BrokerAddress, LinkOptions, Producer, ProducerOptions};
use skein_test_site::{
    keys::private_file,
    load::{Load, Shape},
    site::{POOL, Site},
};
use skein_tests::{
    ports::Port,
    services::{PostgreSql, RabbitMq, ZooKeeper},
};

use crate::{
    host::{Host, Version},
    run,
};

/// Queues of the pool.
pub const QUEUES: usize = 6;
/// Senders at a time.
pub const SENDERS: u8 = 3;
/// Notifications a second.
const PER_SECOND: u32 = 200;
const DATABASE: &str = "skein";
const CHROOT: &str = "/skein";
const PRODUCER: &str = "im-backend";
const SECRETS: &str = "/etc/skein/secrets";

/// The cluster.
pub struct Fleet {
    pub site: Site,
    pub services: (RabbitMq, ZooKeeper, PostgreSql),
    pub host: Host,
    ports: Vec<Port>,
    pub database: String,
    pub store: ZooKeeperFleet,
}

impl Fleet {
    /// Everything that is made once, by this version; no role runs yet. `apns` stands before the simulator, if it is given.
    pub async fn new(version: &Version, site: Site, apns: Option<SocketAddr>) -> Self {
        let services = tokio::try_join!(RabbitMq::start(), ZooKeeper::start(), PostgreSql::start());
        let services = services.unwrap();
        let (broker, zookeeper, postgresql) = &services;
        let mut host = Host::new(site.path("host"));
        host.install(version);
        let database = postgresql.database(DATABASE).await.unwrap().rsplit('/').next().unwrap().to_owned();
        let secrets = host.at(SECRETS);
        for key in ["fingerprint.key", "parking.key"] {
            fs::copy(site.path(key), secrets.join(key)).unwrap();
        }
        let file = |name: &str| format!("\"{}\"", site.path(name).display());
        let pool = site.pool(apns.unwrap_or(site.simulator.addr()), "2s");
        let pool = pool
            .replace("\"apns-ca.pem\"", &file("apns-ca.pem"))
            .replace("\"AuthKey.p8\"", &file("AuthKey.p8"));
        private_file(&host.at("/etc/skein"), "administrator", "the administrator's own");
        let shared = |ledger: &str, coordinator: &str| {
            format!(
                r#"engine = "cluster"

[log]
format = "json"

[broker]
urls = ["amqp://{broker}"]
vhost = "skein"
queues = {QUEUES}
heartbeat = "4s"
backoff_max = "500ms"

[coordinator]
servers = ["{zookeeper}"]
chroot = "{CHROOT}"
server_tick = "500ms"
backoff_max = "500ms"
{coordinator}
[ledger]
url = "postgres://{postgresql}/{database}"
tls = {{ mode = "off" }}
{ledger}
[monitor]
management_url = "http://{management}"

[gateway]
api_keys_file = {keys}
request_deadline = "5s"

[monitor.policy]
join_debounce = "1s"
flap_losses_max = 100

{pool}"#,
                broker = broker.amqp(),
                zookeeper = zookeeper.client(),
                postgresql = postgresql.server(),
                keys = file("gateway-keys"),
                management = broker.management_url().rsplit('@').next().unwrap(),
            )
        };
        fs::write(host.at("/etc/skein/skein.toml"), shared("", "")).unwrap();
        // For init of an older version, which asked for both.
        let keys = "fingerprint_key_file = \"secrets/fingerprint.key\"\nparking_key_file = \"secrets/parking.key\"\n";
        let ledger = format!("username = \"postgres\"\n{keys}");
        let coordinator = "username = \"admin\"\npassword_file = \"administrator\"\n";
        fs::write(host.at("/etc/skein/admin.toml"), shared(&ledger, coordinator)).unwrap();
        let operator = ZooKeeperOptions::new(vec![zookeeper.client().to_string()], CHROOT);
        let mut fleet = Self {
            store: ZooKeeperFleet::connect(operator, "x"),
            site,
            services,
            host,
            ports: Vec::new(),
            database,
        };
        fleet.init();
        let password = fleet.secret("zookeeper-skein-operator.password");
        let zookeeper = vec![fleet.services.1.client().to_string()];
        let login = Some(Login::new("skein-operator", &password));
        fleet.store = ZooKeeperFleet::connect(
            ZooKeeperOptions { login, ..ZooKeeperOptions::new(zookeeper, CHROOT) },
            "tests",
        );
        fleet
    }

    fn secret(&self, name: &str) -> String {
        fs::read_to_string(self.host.at(SECRETS).join(name)).unwrap().trim().to_owned()
    }

    /// `skein cluster init` with the program that is installed.
    pub fn init(&self) {
        let at = |path: &str| self.host.at(path).display().to_string();
        let mut words: Vec<String> = ["cluster", "init", "--config"].map(str::to_owned).into();
        words.extend([at("/etc/skein/admin.toml"), "--credentials-folder".to_owned(), at(SECRETS)]);
        words.extend(["--producer".to_owned(), PRODUCER.to_owned()]);
        for login in ["broker", "monitor"] {
            words.extend(["--set".to_owned(), format!("{login}.username=guest")]);
            words.extend([
                "--set".to_owned(),
                format!("{login}.password_file={}", self.site.path("broker-password").display()),
            ]);
        }
        for (number, track) in (1..=SENDERS).flat_map(|number| ['a', 'b'].map(|track| (number, track))) {
            words.extend(["--sender".to_owned(), member(number, track)]);
        }
        run(Path::new("/"), &at("/usr/bin/skein"), words);
    }

    /// Starts a unit, with this line in its file of the environment; gives the ports of its pages and of its own.
    pub fn start(&mut self, name: &str, environment: &str) -> [u16; 2] {
        let ports = [Port::claim(), Port::claim()];
        let [pages, own] = [ports[0].number(), ports[1].number()];
        let instance = name.split_once('@').map_or("gateway", |(_, instance)| instance);
        let listen =
            ["MONITOR", "GATEWAY"].map(|role| format!("SKEIN_{role}__LISTEN=127.0.0.1:{own}\n")).concat();
        let text = format!("SKEIN_HTTP__LISTEN=127.0.0.1:{pages}\n{listen}{environment}");
        self.host.environment(instance, &text);
        self.host.start(name);
        self.ports.extend(ports);
        [pages, own]
    }

    /// A producer with its own narrow user.
    pub fn producer(&self) -> Producer {
        let user = format!("skein-producer-{PRODUCER}");
        let password = self.secret(&format!("rabbitmq-{user}.password"));
        let address: BrokerAddress = self.services.0.url_of("skein").parse().unwrap();
        let link = LinkOptions::new(vec![address.with_login(&user, &password)], PRODUCER);
        let mut options = ProducerOptions::new(link, vec![PoolName::parse(POOL).unwrap()]);
        options.outcome_limit = Duration::from_secs(900);
        options.backoff_max = Duration::from_millis(500);
        Producer::connect(options)
    }

    pub fn load(&self, seed: u64) -> Load {
        Load::shaped(self.producer(), seed, PER_SECOND, Shape::EVEN)
    }

    /// A command of the administrator's, with the program that is installed: `skein --config admin.toml WORDS`.
    pub fn administer(&self, words: &[&str]) -> String {
        let at = |path: &str| self.host.at(path).display().to_string();
        let config = at("/etc/skein/admin.toml");
        run(Path::new("/"), &at("/usr/bin/skein"), ["--config", &config].iter().chain(words))
    }
}

/// A sender's name: two for each place, of which one succeeds the other.
pub fn member(number: u8, track: char) -> String {
    format!("sender-{number}{track}")
}

/// Its unit.
pub fn unit(number: u8, track: char) -> String {
    format!("skein-sender@{}", member(number, track))
}
