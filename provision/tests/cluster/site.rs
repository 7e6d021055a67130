//! A cluster of its own for one test: a virtual host, a database, a chroot, users with a prefix of their own.

use std::collections::BTreeMap;

use skein_backends::postgres::PostgresOptions;
use skein_backends::zookeeper::ZooKeeperOptions;
use skein_core::fleet::MemberId;
use skein_core::{NotificationId, PoolName};
use skein_producer::{BrokerAddress, LinkOptions};
use skein_provision::{
    BrokerAdmin, Cluster, CoordinatorAdmin, Credentials, Finding, LedgerAdmin, ManagementAddress, Pool,
    Proved, Step, probe_broker, probe_coordinator, probe_ledger,
};
use skein_tests::services::{PostgreSql, PostgreSqlAddress, RabbitMq, RabbitMqAddress, ZooKeeper};
use tempfile::TempDir;

/// The administrator of the tree.
pub const ADMIN: (&str, &str) = ("admin", "an administrator's password");
/// Queues of the pool.
pub const QUEUES: u16 = 2;

pub struct Site {
    pub cluster: Cluster,
    pub credentials: Credentials,
    pub broker: BrokerAdmin,
    pub ledger: LedgerAdmin,
    pub coordinator: CoordinatorAdmin,
    pub rabbitmq: RabbitMqAddress,
    pub postgresql: PostgreSqlAddress,
    pub database: String,
    pub link: LinkOptions,
    pub postgres: PostgresOptions,
    pub zookeeper: ZooKeeperOptions,
    management: ManagementAddress,
    _folder: TempDir,
}

impl Site {
    pub async fn new(name: &str) -> Self {
        let rabbitmq = RabbitMq::shared().await.unwrap().clone();
        let postgresql = PostgreSql::shared().await.unwrap().clone();
        let zookeeper = ZooKeeper::shared().await.unwrap().client();
        let url = rabbitmq.vhost(name).await.unwrap();
        let vhost = url.rsplit('/').next().unwrap().to_owned();
        let database = postgresql.database(name).await.unwrap();
        // Users are of the whole server.
        let prefix = vhost.to_lowercase().replace('_', "-");
        let folder = tempfile::tempdir().unwrap();
        let management = rabbitmq.management_url();
        let (host, port) = management.rsplit('@').next().unwrap().split_once(':').unwrap();
        let management = ManagementAddress { host: host.to_owned(), port: port.parse().unwrap(), tls: None };
        let link = LinkOptions::new(vec![url.parse::<BrokerAddress>().unwrap()], "tests");
        let postgres = PostgresOptions { tls: false, ..PostgresOptions::new(&database) };
        let zookeeper = ZooKeeperOptions::new(vec![zookeeper.to_string()], format!("/{vhost}/tree"));
        let cluster = Cluster {
            prefix,
            vhost,
            events_vhost: "/".into(),
            queue_bytes_max: 1 << 30,
            pools: vec![Pool { name: PoolName::parse("im").unwrap(), queues: QUEUES, prefetch: 100 }],
            senders: vec![MemberId::parse("s0").unwrap(), MemberId::parse("s1").unwrap()],
            producers: vec!["chat".into()],
            schema: "skein".into(),
        };
        Self {
            credentials: Credentials::new(folder.path().join("credentials")),
            broker: BrokerAdmin::new(management.clone(), ("guest", "guest"), link.clone()),
            ledger: LedgerAdmin::new(postgres.clone(), NotificationId::now().at()),
            coordinator: CoordinatorAdmin::new(zookeeper.clone(), ADMIN),
            cluster,
            rabbitmq,
            postgresql,
            database: database.rsplit('/').next().unwrap().to_owned(),
            link,
            postgres,
            zookeeper,
            management,
            _folder: folder,
        }
    }

    /// Looks, and does what is found: every step in words.
    pub async fn init(&self) -> Vec<String> {
        let (cluster, credentials) = (&self.cluster, &self.credentials);
        let mut said = Vec::new();
        let mut say = |step: &Step| said.push(step.to_string());
        for (step, deed) in self.broker.look(cluster, credentials).await.unwrap() {
            say(&step);
            self.broker.apply(cluster, credentials, &deed).await.unwrap();
        }
        for (step, deed) in self.ledger.look(cluster, credentials).await.unwrap() {
            say(&step);
            self.ledger.apply(cluster, credentials, &deed).await.unwrap();
        }
        let nodes = self.coordinator.look(cluster, credentials).await.unwrap();
        nodes.iter().for_each(|(step, _)| say(step));
        let nodes: Vec<_> = nodes.into_iter().map(|(_, node)| node).collect();
        self.coordinator.apply(cluster, credentials, &nodes).await.unwrap();
        said
    }

    /// Until nothing is found.
    pub async fn ready(name: &str) -> Self {
        let site = Self::new(name).await;
        for _ in 0..3 {
            if site.init().await.is_empty() {
                return site;
            }
        }
        panic!("there is always something to do");
    }

    pub async fn probe(&self) -> Vec<Finding> {
        let (cluster, credentials) = (&self.cluster, &self.credentials);
        let mut all = probe_broker(cluster, credentials, &self.link, &self.management).await.unwrap();
        all.extend(probe_ledger(cluster, credentials, &self.postgres).await.unwrap());
        all.extend(probe_coordinator(cluster, credentials, &self.zookeeper).await.unwrap());
        all
    }
}

/// What is not as it must be.
pub fn wrong(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| !finding.is_right()).collect()
}

/// How many of each outcome.
pub fn counts(findings: &[Finding]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(format!("{:?}", finding.outcome)).or_default() += 1;
    }
    counts
}

/// What succeeds and must not.
pub fn forbidden(findings: &[Finding]) -> Vec<String> {
    let all = findings.iter().filter(|finding| finding.outcome == Proved::Forbidden);
    all.map(|finding| format!("{}: {}", finding.who, finding.what)).collect()
}
