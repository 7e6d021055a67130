//! The Compose cluster without an engine: each container's own command, environment and secrets, as Compose resolves them, run by this
//! host against real services; `cluster-init` first, as `depends_on` says.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use skein_test_site::run::is_full;
use skein_tests::{
    ports::Port,
    process::Child,
    services::{PostgreSql, RabbitMq, ZooKeeper},
    until,
};

use crate::{container::Container, containers::prepared, postgresql::first_start, run};

/// How long anything that is waited for may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The roles' containers.
const ROLES: [(&str, &str); 6] = [
    ("sender-1", "sender"),
    ("sender-2", "sender"),
    ("sender-3", "sender"),
    ("monitor-1", "monitor"),
    ("monitor-2", "monitor"),
    ("gateway", "gateway"),
];
/// Notifications that go through the whole.
const NOTIFICATIONS: usize = 60;

/// The cluster, prepared.
struct Composed {
    folder: tempfile::TempDir,
    cluster: Value,
}

impl Composed {
    fn new() -> Self {
        let folder = prepared();
        let compose = folder.path().join("compose");
        let words = ["--profile", "operator", "--profile", "support", "config", "--format", "json"];
        let told = run(&compose, "docker-compose", words);
        Self { cluster: serde_json::from_str(&told[told.find('{').unwrap()..]).unwrap(), folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("compose").join(name)
    }

    fn secret(&self, name: &str) -> String {
        fs::read_to_string(self.path("secrets").join(name)).unwrap().trim().to_owned()
    }

    fn container(&self, name: &str) -> Container {
        let service = &self.cluster["services"][name];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let environment = service["environment"].as_object().into_iter().flatten();
        let environment: BTreeMap<String, String> =
            environment.map(|(key, value)| (key.clone(), text(value))).collect();
        let command = service["command"].as_array().unwrap().iter().map(text).collect();
        let container = Container::new(self.folder.path().join("roots").join(name), environment, command);
        for volume in service["volumes"].as_array().into_iter().flatten() {
            container.mount(Path::new(&text(&volume["source"])), &text(&volume["target"]));
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let file = text(&self.cluster["secrets"][text(&secret["source"])]["file"]);
            let target = Path::new("/run/secrets").join(text(&secret["target"]));
            container.mount(Path::new(&file), target.to_str().unwrap());
        }
        container
    }
}

#[test]
fn p9_each_container_has_its_own_secrets_and_its_configuration_needs_no_other() {
    skein_tests::need!("docker-compose");
    let composed = Composed::new();
    // The simulator of the cluster writes its own when it starts.
    let made = rcgen::generate_simple_self_signed(["apns-simulator".to_owned()]).unwrap();
    fs::write(composed.path("apns-root/root.pem"), made.cert.pem()).unwrap();
    let own = |role: &str| -> Vec<&str> {
        match role {
            "sender" => vec![
                "broker-password",
                "ledger-password",
                "zookeeper-skein-sender.password",
                "fingerprint.key",
            ],
            "monitor" => vec![
                "rabbitmq-skein-monitor.password",
                "rabbitmq-skein-monitor-api.password",
                "zookeeper-skein-monitor.password",
            ],
            _ => vec![
                "rabbitmq-skein-gateway.password",
                "zookeeper-skein-gateway.password",
                "postgresql-skein-gateway.password",
                "fingerprint.key",
                "parking.key",
                "gateway-keys",
            ],
        }
    };
    for (name, role) in ROLES {
        let container = composed.container(name);
        let wanted = own(role).into_iter().map(str::to_owned).collect();
        assert_eq!(container.secrets(), wanted, "{name}");
        let credentials = container.at("/etc/skein/credentials");
        assert_eq!(credentials.join("apns.p8").exists(), role == "sender", "{name}: APNs' credentials");
        container.run(&["config", "check", "--role", role, "--config", "/etc/skein/skein.toml"]);
        if role == "sender" {
            for service in ["BROKER", "LEDGER"] {
                let user = &container.environment()[&format!("SKEIN_{service}__USERNAME")];
                assert_eq!(*user, format!("skein-sender-{name}"), "{service}");
            }
        }
    }
    // No key of the ledger's for who stores no token and makes no fingerprint.
    let init = composed.container("cluster-init");
    let admins = ["rabbitmq", "zookeeper", "postgresql"].map(|service| format!("{service}-admin.password"));
    assert_eq!(init.secrets(), admins.into());
    let operator = composed.container("operator");
    assert_eq!(operator.secrets(), ["zookeeper-skein-operator.password".to_owned()].into());
    operator.run(&["config", "check", "--role", "operator", "--config", "/etc/skein/skein.toml"]);
    let support = composed.container("support");
    assert_eq!(support.secrets(), ["postgresql-skein-support.password".to_owned()].into());
    support.run(&["config", "check", "--role", "support", "--config", "/etc/skein/skein.toml"]);
    // What prepare has made beforehand, init makes no other of: it names the same users.
    let count = || fs::read_dir(composed.path("secrets/users")).unwrap().count();
    let before = count();
    let mut words: Vec<&str> = init.command().iter().map(String::as_str).collect();
    words[1] = "passwords";
    init.run(&words);
    assert_eq!(count(), before);
}

/// Real services, as the cluster's containers make them at their first start, and where they are.
struct Services {
    rabbitmq: RabbitMq,
    zookeeper: ZooKeeper,
    postgresql: PostgreSql,
}

impl Services {
    async fn new(composed: &Composed) -> Self {
        let (rabbitmq, zookeeper, mut postgresql) =
            tokio::try_join!(RabbitMq::start(), ZooKeeper::start(), PostgreSql::start()).unwrap();
        // RABBITMQ_DEFAULT_USER.
        let admin = json!({"password": composed.secret("rabbitmq-admin.password"), "tags": "administrator"});
        rabbitmq.manage("PUT", "users/admin", Some(&admin.to_string())).await.unwrap();
        // first.sh.
        let passwords = ["postgresql-admin.password", "replica.password"].map(|file| composed.secret(file));
        first_start(&mut postgresql, &passwords[0], &passwords[1]).await;
        Self { rabbitmq, zookeeper, postgresql }
    }

    /// A container of the cluster that finds its services here.
    fn container(&self, composed: &Composed, name: &str, apns: u16) -> Container {
        let mut container = composed.container(name);
        let management = self.rabbitmq.management_url();
        for (setting, value) in [
            ("BROKER__URLS", format!("amqp://{}", self.rabbitmq.amqp())),
            ("COORDINATOR__SERVERS", self.zookeeper.client().to_string()),
            ("COORDINATOR__SERVER_TICK", "500ms".to_owned()),
            ("LEDGER__URL", format!("postgres://{}/skein", self.postgresql.server())),
            ("MONITOR__MANAGEMENT_URL", format!("http://{}", management.rsplit('@').next().unwrap())),
            ("POOLS__DEVELOPER__ENDPOINT", format!("localhost:{apns}")),
        ] {
            container.set(&format!("SKEIN_{setting}"), value);
        }
        container
    }

    /// How many notifications have a verdict in the ledger; the simulated APNs refuses some, as Apple's does.
    async fn verdicts(&self) -> usize {
        let rows = self.postgresql.query("skein", "SELECT count(*) FROM skein.final").await;
        rows.ok().and_then(|rows| rows[0][0].as_deref()?.parse().ok()).unwrap_or(0)
    }
}

/// A running role, and where its pages are.
fn start(container: &mut Container) -> (Child, [Port; 2]) {
    let ports = [Port::claim(), Port::claim()];
    let [pages, own] =
        ports.each_ref().map(|port| SocketAddr::from(([127, 0, 0, 1], port.number())).to_string());
    container.set("SKEIN_HTTP__LISTEN", pages);
    container.set("SKEIN_MONITOR__LISTEN", own.clone());
    container.set("SKEIN_GATEWAY__LISTEN", own);
    (container.program().start().unwrap(), ports)
}

/// P1, P9. Only with `SKEIN_FAULTS=full`: three services and seven processes of Skein.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_init_makes_carries_a_push_and_no_right_more() {
    skein_tests::need!("docker-compose", "rabbitmq", "zookeeper", "postgresql");
    if !is_full() {
        eprintln!("only with SKEIN_FAULTS=full");
        return;
    }
    let composed = Composed::new();
    let services = Services::new(&composed).await;
    let apns = Port::claim();
    let mut simulator = composed.container("apns-simulator");
    let words: Vec<String> = simulator.command().to_vec();
    let words = words.iter().map(|word| match word.as_str() {
        "0.0.0.0:2197" => format!("127.0.0.1:{apns}"),
        "apns-simulator" => "localhost".to_owned(),
        other => other.to_owned(),
    });
    let words: Vec<String> = words.collect();
    simulator.set("SKEIN_LOG__FORMAT", "json");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _simulator = simulator.program_of(&words).start().unwrap();
    let root = composed.path("apns-root/root.pem");
    until("the simulator's root", LIMIT, async || root.is_file().then_some(())).await.unwrap();

    let init = services.container(&composed, "cluster-init", apns.number());
    let words: Vec<&str> = init.command().iter().map(String::as_str).collect();
    let told = init.run(&words);
    assert!(told.contains("steps done") && !told.contains("need an operator"), "{told}");
    // Again, as at each `up`; and each role tries what it must not do.
    let told = init.run(&[&words[..], &["--probe"]].concat());
    assert!(told.contains("nothing to do") && told.contains(" 0 succeeded"), "{told}");

    let mut running = Vec::new();
    for (name, _) in ROLES {
        let mut container = services.container(&composed, name, apns.number());
        running.push((name, start(&mut container)));
    }
    for (name, (child, ports)) in &mut running {
        let ready = format!("http://127.0.0.1:{}/readyz", ports[0].number());
        child.wait_ready(&ready, LIMIT).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let token = |n: usize| format!("{n:064x}");
    let lines = (0..NOTIFICATIONS).map(|n| {
        let payload = json!({"aps": {"alert": {"title": "Ann", "body": format!("{n}")}}});
        json!({"token": token(n), "topic": "com.example.im", "payload": payload}).to_string() + "\n"
    });
    fs::write(composed.path("notifications.ndjson"), lines.collect::<String>()).unwrap();
    let front =
        running.last().map(|(_, (_, ports))| format!("http://127.0.0.1:{}", ports[1].number())).unwrap();
    let paths =
        ["notifications.ndjson", "secrets/api.key"].map(|name| composed.path(name).display().to_string());
    let backend = Container::new(composed.path("backend"), BTreeMap::new(), Vec::new());
    backend.run(&[
        "submit",
        "--pool",
        "developer",
        "--file",
        &paths[0],
        "--key-file",
        &paths[1],
        "--url",
        &front,
    ]);
    let all = async || (services.verdicts().await >= NOTIFICATIONS).then_some(());
    until("every verdict", LIMIT, all).await.unwrap_or_else(|e| {
        let logs = running.iter().map(|(name, (child, _))| format!("{name}: {}", child.log()));
        panic!("{e}\n{}", logs.collect::<Vec<_>>().join("\n"))
    });

    let rows = services.postgresql.query("skein", "SELECT id FROM skein.final LIMIT 1").await.unwrap();
    let id = rows[0][0].as_deref().unwrap();
    let told = services.container(&composed, "support", apns.number()).run(&["trace", id]);
    assert!(told.contains("developer"), "support looks a notification up: {told}");
    let operator = services.container(&composed, "operator", apns.number());
    let words: Vec<&str> = operator.command().iter().map(String::as_str).collect();
    let told = operator.run(&words);
    assert!(["sender-1", "sender-2", "sender-3"].iter().all(|name| told.contains(name)), "{told}");
    // It ends well only if every process has it in force, a gateway among them.
    let set = ["config", "live", "set", "gateway.rate_max=90000", "--reason", "a test"];
    let told = operator.run(&set);
    assert!(told.contains("in force on 6 of 6"), "{told}");
    for (name, (mut child, _)) in running {
        child.terminate();
        let status = child.wait_exit(LIMIT).await.unwrap();
        assert_eq!(status.code(), Some(0), "{name} ends in order; its log: {}", child.log());
    }
}
