//! A cluster of its own for one test: vhost, topology, database, simulator, and one sender as a process.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use skein_apns_sim::{Faults, checker::Ids};
use skein_backends::rabbitmq::{DEAD_QUEUE, FACTS_QUEUE};
use skein_core::{NotificationId, PoolName};
use skein_producer::{BrokerAddress, LinkOptions, Producer, ProducerOptions};
use skein_tests::{
    http,
    ports::Port,
    process::{Child, skein},
    services::{PostgreSqlAddress, RabbitMqAddress},
    until,
};

use crate::{
    amqp::Client,
    books::{Books, number},
    load::PAYLOAD_TEXT,
    site::{POOL, Site},
};

/// Queues of the pool.
const QUEUES: u16 = 4;
/// How long a role may take to be ready.
pub const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a role may take to end.
pub const END_LIMIT: Duration = Duration::from_secs(60);
/// How long traffic may take to flow (again).
pub const FLOW_LIMIT: Duration = Duration::from_secs(60);
const FIRST_ID: &str = "00000000-0000-7000-8000-000000000000";
/// Hexadecimal digits in a row that only a raw device token has: an id has hyphens, a fingerprint has 32.
const TOKEN_DIGITS: usize = 64;
/// How long what was confirmed may take to its verdict once the faults are over.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// The services of a fleet. A relay stands where its address is given.
pub struct Services<'a> {
    /// The broker.
    pub broker: &'a RabbitMqAddress,
    /// The ledger's database server.
    pub ledger: &'a PostgreSqlAddress,
    /// Where the sender sees the broker instead.
    pub broker_for_sender: Option<SocketAddr>,
    /// Where the sender sees the ledger instead.
    pub ledger_for_sender: Option<SocketAddr>,
}

impl<'a> Services<'a> {
    /// Without relays.
    pub fn direct(broker: &'a RabbitMqAddress, ledger: &'a PostgreSqlAddress) -> Self {
        Self { broker, ledger, broker_for_sender: None, ledger_for_sender: None }
    }
}

/// A cluster with one sender.
pub struct Fleet {
    /// Its keys and its simulator.
    pub site: Site,
    /// The vhost's address, login included.
    pub url: String,
    /// What its configuration says of the services.
    pub engine: String,
    config: PathBuf,
    ledger: PostgreSqlAddress,
    database: String,
    sender: Option<Child>,
    /// What every sender so far has complained about at level ERROR.
    errors: Vec<String>,
    /// Written and not yet durable when a sender was killed, all kills together.
    pub at_risk: u64,
    counted_from: Option<NotificationId>,
}

impl Fleet {
    /// Everything but the sender.
    pub async fn prepare(name: &str, services: Services<'_>, faults: Faults) -> Self {
        let site = Site::new(faults);
        let url = services.broker.vhost(name).await.unwrap();
        let vhost = url.rsplit('/').next().unwrap().to_owned();
        let database = services.ledger.database(name).await.unwrap();
        let database = database.rsplit('/').next().unwrap().to_owned();
        let engine = format!(
            r#"engine = "cluster"

[broker]
urls = ["amqp://{broker}"]
vhost = "{vhost}"
username = "guest"
password_file = "broker-password"
queues = {QUEUES}
heartbeat = "4s"
backoff_max = "500ms"

[ledger]
url = "postgres://{ledger}/{database}"
username = "postgres"
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
away_hold = "2s"
tls = {{ mode = "off" }}
"#,
            broker = services.broker_for_sender.unwrap_or(services.broker.amqp()),
            ledger = services.ledger_for_sender.unwrap_or(services.ledger.server()),
        );
        let config = site.config(&engine);
        Self {
            site,
            url,
            engine,
            config,
            ledger: services.ledger.clone(),
            database,
            sender: None,
            errors: Vec::new(),
            at_risk: 0,
            counted_from: None,
        }
    }

    /// Everything, the sender ready.
    pub async fn start(name: &str, services: Services<'_>, faults: Faults) -> Self {
        let mut fleet = Self::prepare(name, services, faults).await;
        fleet.start_sender();
        fleet.sender_ready().await;
        fleet
    }

    /// Starts a sender.
    pub fn start_sender(&mut self) {
        let config = self.config.display().to_string();
        let program = skein(["run", "sender", "--config", &config]).unwrap();
        self.sender = Some(program.start().unwrap());
    }

    /// Waits until the sender is ready.
    pub async fn sender_ready(&mut self) {
        let url = self.site.page("readyz");
        self.sender().wait_ready(&url, START_LIMIT).await.unwrap();
    }

    /// The running sender.
    pub fn sender(&mut self) -> &mut Child {
        self.sender.as_mut().expect("no sender runs")
    }

    /// Starts another role with the same services, on ports of its own for its pages.
    pub fn start_role(&self, arguments: &[&str]) -> (Child, Port) {
        let pages = Port::claim();
        let config = self.site.write_config(&self.engine, &pages).display().to_string();
        let program = skein(arguments.iter().copied().chain(["--config", &config])).unwrap();
        (program.start().unwrap(), pages)
    }

    /// `kill -9`, counting what was written to APNs and had no durable verdict; then a new one in its place.
    pub async fn replace_sender(&mut self) {
        self.kill_sender().await;
        self.count_at_risk().await;
        self.start_sender();
    }

    /// Adds what was written to APNs and has no durable verdict, while no sender runs.
    pub async fn count_at_risk(&mut self) {
        let since = self.counted_from.map_or_else(|| FIRST_ID.to_owned(), |id| id.to_string());
        let sql = format!("SELECT id FROM skein.final WHERE id >= '{since}'");
        let durable: Ids =
            self.query(&sql).await.iter().map(|row| number(row[0].as_deref().unwrap())).collect();
        let since = number(&since);
        let rows = self.site.simulator.log().rows;
        let written: Ids = rows.iter().map(|row| row.id()).filter(|id| *id >= since).collect();
        self.at_risk += written.difference(&durable).count() as u64;
        // What is older than a minute next time has its verdict.
        let minute_ago = NotificationId::now().at().minus(Duration::from_secs(60));
        self.counted_from = Some(NotificationId::new(minute_ago, [0; 10]));
    }

    /// `kill -9`, and waits until the simulator has read what the sender had written.
    pub async fn kill_sender(&mut self) {
        self.sender().kill9();
        self.gone().await;
    }

    /// After its end, however it came: its log is looked through, and the simulator has read what it had written.
    pub async fn gone(&mut self) {
        let sender = self.sender.take().expect("no sender ran");
        self.look_through(&sender);
        let closed = async || (self.site.simulator.stats().connections_open == 0).then_some(());
        until("the dead sender's connections to end", END_LIMIT, closed).await.unwrap();
    }

    /// SIGTERM, and the end: code 0.
    pub async fn end_sender(&mut self) {
        let mut sender = self.sender.take().expect("no sender runs");
        sender.terminate();
        let status = sender.wait_exit(END_LIMIT).await.unwrap();
        self.look_through(&sender);
        assert_eq!(status.code(), Some(0), "a drained sender ends with 0; its log: {}", sender.log());
    }

    fn look_through(&mut self, sender: &Child) {
        let errors = sender.complaints().into_iter().filter(|line| line.contains("ERROR"));
        self.errors.extend(errors);
        let log = sender.log();
        let mut words = log.split(|c: char| !c.is_ascii_hexdigit());
        assert!(!words.any(|word| word.len() >= TOKEN_DIGITS), "P9: a device token in the log");
        assert!(!log.contains(PAYLOAD_TEXT), "P9: a payload in the log");
    }

    /// Lines at level ERROR of every sender that has ended.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// What `/readyz` says is wrong with a part of the role, if anything is.
    pub async fn trouble(&self, part: &str) -> Option<String> {
        let page = http::get(&self.site.page("readyz")).await.ok()?.json().ok()?;
        let parts = page["parts"].as_array()?;
        let named = parts.iter().find(|known| known["name"] == part)?;
        named["trouble"].as_str().map(str::to_owned)
    }

    /// Waits until `/readyz` tells of a trouble with `part` that has `words` in it.
    pub async fn tells(&self, part: &str, words: &str) {
        let told = async || self.trouble(part).await.filter(|why| why.contains(words)).map(drop);
        if until("/readyz to say what is wrong", FLOW_LIMIT, told).await.is_err() {
            panic!("nothing about {words:?} with {part} in {:?}", http::get(&self.site.page("readyz")).await);
        }
    }

    /// Waits until the simulator has read so many more requests: only then has a fault something to hit.
    pub async fn flowing(&self, more: u64) {
        let from = self.site.simulator.stats().requests;
        let flows = async || (self.site.simulator.stats().requests >= from + more).then_some(());
        if until("traffic", FLOW_LIMIT, flows).await.is_err() {
            let ready = http::get(&self.site.page("readyz")).await;
            panic!("no {more} more requests in {FLOW_LIMIT:?}; readyz: {ready:?}");
        }
    }

    /// Waits until the ledger has a verdict for each of `count`; false if it has fewer after the limit.
    pub async fn settled(&self, count: usize) -> bool {
        let all = async || {
            let rows = self.query(&format!("SELECT count(*) >= {count} FROM skein.final")).await;
            (rows[0][0].as_deref() == Some("t")).then_some(())
        };
        until("every verdict", SETTLE_LIMIT, all).await.is_ok()
    }

    /// Rows of the fleet's database.
    pub async fn query(&self, sql: &str) -> Vec<skein_tests::services::Row> {
        self.ledger.query(&self.database, sql).await.unwrap()
    }

    /// What the ledger says.
    pub async fn books(&self) -> Books {
        Books::read(&self.ledger, &self.database).await
    }

    /// A plain client of the fleet's vhost.
    pub async fn client(&self) -> Client {
        Client::connect(&self.url).await
    }

    /// What waits in the pool's queues, the dead letters, the facts.
    pub async fn waiting(&self) -> (u32, u32, u32) {
        let client = self.client().await;
        let mut pending = 0;
        for number in 0..QUEUES {
            pending += client.waiting(&format!("skein.{POOL}.q{number}")).await;
        }
        (pending, client.waiting(DEAD_QUEUE).await, client.waiting(FACTS_QUEUE).await)
    }

    /// The quorum queues a broker must have on its disk before it is killed.
    pub fn queues(&self) -> Vec<String> {
        let pools = (0..QUEUES).map(|number| format!("skein.{POOL}.q{number}"));
        pools.chain([DEAD_QUEUE, FACTS_QUEUE].map(str::to_owned)).collect()
    }

    /// A producer as a backend links it; `through` is a relay's address in place of the broker's.
    pub fn producer(&self, through: Option<SocketAddr>) -> Producer {
        let url = match through {
            None => self.url.clone(),
            Some(relay) => format!("amqp://guest:guest@{relay}/{}", self.url.rsplit('/').next().unwrap()),
        };
        let address: BrokerAddress = url.parse().unwrap();
        let pools = vec![PoolName::parse(POOL).unwrap()];
        let mut options = ProducerOptions::new(LinkOptions::new(vec![address], "im-backend"), pools);
        // An outage of any length is waited out: each notification's outcome becomes known.
        options.outcome_limit = Duration::from_secs(900);
        options.backoff_max = Duration::from_millis(500);
        Producer::connect(options)
    }
}
