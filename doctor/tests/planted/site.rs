//! A cluster of its own: a virtual host, a database server with a synchronous standby, a chroot, a simulator of APNs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use skein_apns::{ClientCertificate, ClientConfig, Credential, Endpoint, Environment, Roots};
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::{Simulator, SimulatorConfig};
use skein_backends::postgres::PostgresOptions;
use skein_backends::zookeeper::{Login, ZooKeeperOptions};
use skein_core::fleet::MemberId;
use skein_core::{NotificationId, PoolName};
use skein_doctor::{Administrator, Check, Deployment, PoolUnderTest, Report, View, examine};
use skein_producer::{BrokerAddress, LinkOptions};
use skein_provision::{
    BrokerAdmin, Cluster, CoordinatorAdmin, Credentials, LedgerAdmin, ManagementAddress, Pool,
};
use skein_tests::services::{PostgreSql, RabbitMq, RabbitMqAddress, ZooKeeper};
use tempfile::TempDir;

use skein_test_site::standby::Standby;

/// The administrator of the tree.
pub const ADMIN: (&str, &str) = ("admin", "an administrator's password");
/// Queues of the pool.
const QUEUES: u16 = 3;
/// How often init may find something, until it finds nothing.
const ROUNDS_MAX: usize = 5;
const INIT: &str = "skein cluster init -c admin.toml";
/// The pool's topic.
pub const TOPIC: &str = "com.example.im";

pub struct Site {
    pub cluster: Cluster,
    pub credentials: Credentials,
    pub rabbitmq: RabbitMqAddress,
    pub postgresql: PostgreSql,
    pub standby: Standby,
    pub database: String,
    pub simulator: skein_apns_sim::Handle,
    pub zookeeper: SocketAddr,
    /// How many were planted.
    pub planted: usize,
    /// Those that were not named, or with which something else was.
    pub unnamed: Vec<String>,
    link: LinkOptions,
    management: ManagementAddress,
    postgres: PostgresOptions,
    _folder: TempDir,
}

impl Site {
    /// Made whole.
    pub async fn ready() -> Self {
        let rabbitmq = RabbitMq::shared().await.unwrap().clone();
        let zookeeper = ZooKeeper::shared().await.unwrap().client();
        // Settings of the whole server are planted.
        let postgresql = PostgreSql::start().await.unwrap();
        let url = rabbitmq.vhost("doctor").await.unwrap();
        let vhost = url.rsplit('/').next().unwrap().to_owned();
        let database = postgresql.database("doctor").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let management = rabbitmq.management_url();
        let (host, port) = management.rsplit('@').next().unwrap().split_once(':').unwrap();
        let management = ManagementAddress { host: host.to_owned(), port: port.parse().unwrap(), tls: None };
        let cluster = Cluster {
            // Users are of the whole server.
            prefix: vhost.to_lowercase().replace('_', "-"),
            vhost,
            events_vhost: "/".into(),
            queue_bytes_max: 1 << 30,
            pools: vec![Pool { name: PoolName::parse("im").unwrap(), queues: QUEUES, prefetch: 100 }],
            senders: vec![MemberId::parse("s0").unwrap(), MemberId::parse("s1").unwrap()],
            producers: vec!["chat".into()],
            schema: "skein".into(),
        };
        let site = Self {
            credentials: Credentials::new(folder.path().join("credentials")),
            link: LinkOptions::new(vec![url.parse::<BrokerAddress>().unwrap()], "tests"),
            postgres: PostgresOptions { tls: false, ..PostgresOptions::new(&database) },
            database: database.rsplit('/').next().unwrap().to_owned(),
            standby: Standby::start(&postgresql, folder.path()).await,
            simulator: Simulator::start(SimulatorConfig::default()).unwrap(),
            cluster,
            rabbitmq,
            postgresql,
            zookeeper,
            management,
            _folder: folder,
            planted: 0,
            unnamed: Vec::new(),
        };
        site.init().await;
        site
    }

    /// What `skein cluster init` does, until it finds nothing to do.
    pub async fn init(&self) {
        let (cluster, credentials) = (&self.cluster, &self.credentials);
        let Administrator { broker, ledger, coordinator, .. } = self.administrator();
        let coordinator = coordinator.unwrap();
        for _ in 0..ROUNDS_MAX {
            let mut steps = 0;
            for (_, deed) in broker.look(cluster, credentials).await.unwrap() {
                broker.apply(cluster, credentials, &deed).await.unwrap();
                steps += 1;
            }
            for (_, deed) in ledger.look(cluster, credentials).await.unwrap() {
                ledger.apply(cluster, credentials, &deed).await.unwrap();
                steps += 1;
            }
            let nodes = coordinator.look(cluster, credentials).await.unwrap();
            let nodes: Vec<_> = nodes.into_iter().map(|(_, node)| node).collect();
            coordinator.apply(cluster, credentials, &nodes).await.unwrap();
            if steps + nodes.len() == 0 {
                return;
            }
        }
        panic!("there is always something to do");
    }

    /// As the configuration has it.
    pub fn deployment(&self) -> Deployment {
        let zookeeper = ZooKeeperOptions {
            login: Some(Login::new(ADMIN.0, ADMIN.1)),
            ..ZooKeeperOptions::new(vec![self.zookeeper.to_string()], self.chroot())
        };
        Deployment {
            cluster: self.cluster.clone(),
            broker: self.link.clone(),
            database: self.postgres.clone(),
            ledger: None,
            zookeeper: Some(zookeeper),
            pools: vec![self.pool(&good(), Environment::Sandbox)],
            open_files: None,
            view: View::Administrator(Box::new(self.administrator())),
        }
    }

    pub fn chroot(&self) -> String {
        format!("/{}/tree", self.cluster.vhost)
    }

    pub fn administrator(&self) -> Administrator {
        let now = NotificationId::now().at();
        let zookeeper = ZooKeeperOptions::new(vec![self.zookeeper.to_string()], self.chroot());
        Administrator {
            credentials: self.credentials.clone(),
            broker: self.broker_admin(self.management.port),
            management: self.management.clone(),
            ledger: LedgerAdmin::new(self.postgres.clone(), now),
            coordinator: Some(CoordinatorAdmin::new(zookeeper, ADMIN)),
            init: INIT.to_owned(),
        }
    }

    pub fn broker_admin(&self, port: u16) -> BrokerAdmin {
        let address = ManagementAddress { port, ..self.management.clone() };
        BrokerAdmin::new(address, ("guest", "guest"), self.link.clone())
    }

    /// The pool with a certificate of the simulator's, as the configuration's reader makes it.
    pub fn pool(&self, spec: &ClientCertificateSpec, environment: Environment) -> PoolUnderTest {
        let pem = self.simulator.authority().client(spec).unwrap();
        let certificate =
            ClientCertificate::from_pem(pem.certificate.as_bytes(), pem.key.as_bytes()).unwrap();
        let credential = Credential::Certificate(certificate);
        let address = self.simulator.addr();
        let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), environment).unwrap();
        let roots = Roots::from_pem(self.simulator.ca_pem().as_bytes()).unwrap();
        PoolUnderTest {
            name: "im".to_owned(),
            unfit: credential.check(environment, &[TOPIC], SystemTime::now()).err().map(|e| e.to_string()),
            days_left: None,
            credential: Some(Ok(credential)),
            client: Ok(ClientConfig { roots, ..ClientConfig::new(endpoint) }),
        }
    }

    /// The file of a password.
    pub fn password_file(&self, service: skein_provision::Service, user: &str) -> PathBuf {
        self.credentials.path(service, &format!("{}-{user}", self.cluster.prefix))
    }

    /// A request of the management API: `{vhost}` and `{prefix}` in it are those of this site.
    pub async fn manage(&self, method: &str, path: &str, body: Option<&str>) -> skein_tests::http::Response {
        let path = path.replace("{vhost}", &self.cluster.vhost).replace("{prefix}", &self.cluster.prefix);
        self.rabbitmq.manage(method, &path, body).await.unwrap()
    }

    /// A statement, as the database's owner.
    pub async fn query(&self, sql: &str) {
        let sql = sql.replace("{prefix}", &self.cluster.prefix);
        self.postgresql.query(&self.database, &sql).await.unwrap();
    }

    /// Nothing is found, and nothing left out.
    pub async fn is_fine(&self) {
        let report = Box::pin(examine(&self.deployment(), &|_| {})).await;
        assert!(report.is_fine() && report.not_checked == 0, "{report:#?}");
        assert!(report.checks.len() >= 16, "{report:#?}");
    }

    /// What was planted is named by this check in these words, and by no check of another service.
    pub async fn named(&mut self, check: &str, words: &str) {
        let deployment = self.deployment();
        self.named_in(&deployment, check, words).await;
    }

    /// The same, of a configuration that is wrong itself.
    pub async fn named_in(&mut self, deployment: &Deployment, check: &str, words: &str) {
        self.planted += 1;
        let report = Box::pin(examine(deployment, &|_| {})).await;
        let says =
            |check: &&Check| check.findings().iter().any(|f| f.what.contains(words) && !f.remedy.is_empty());
        let is_named = report.checks.iter().find(|c| c.name == check).is_some_and(|c| says(&c));
        if !is_named || !others(&report, check).is_empty() {
            self.unnamed.push(format!("{check}: {words}: {report:#?}"));
        }
    }
}

/// Findings of other services than this check's.
fn others(report: &Report, check: &str) -> Vec<String> {
    let service = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let wrong = report.checks.iter().filter(|c| !c.findings().is_empty());
    wrong.map(|c| c.name.clone()).filter(|name| service(name) != service(check)).collect()
}

/// A certificate that fits the pool.
pub fn good() -> ClientCertificateSpec {
    ClientCertificateSpec {
        bundle_id: TOPIC.to_owned(),
        topics: vec![TOPIC.to_owned()],
        sandbox: true,
        ..ClientCertificateSpec::default()
    }
}
