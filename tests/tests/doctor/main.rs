//! `skein doctor` as an operator runs it: the configuration, the exit code, the one document; as the administrator and as a role.
//! What it finds, fault by fault, is in `doctor/tests/planted`.

use std::{path::Path, time::Duration};

use serde_json::Value;
use skein_apns_sim::Faults;
use skein_test_site::{keys, site::Site, standby::Standby};
use skein_tests::{
    need,
    process::skein,
    services::{PostgreSql, RabbitMq, ZooKeeper},
    skipped,
};

const LIMIT: Duration = Duration::from_secs(120);
const QUEUES: u16 = 3;
/// What sets one process's wall clock, from the package `libfaketime`.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

struct Installation {
    site: Site,
    arguments: Vec<String>,
    prefix: String,
    postgresql: PostgreSql,
    _standby: Standby,
}

/// What a run came to.
struct Ran {
    code: i32,
    document: Value,
}

impl Ran {
    /// The names of the checks with findings.
    fn found(&self) -> Vec<&str> {
        let checks = self.document["checks"].as_array().unwrap();
        let wrong = checks.iter().filter(|check| check["state"].get("findings").is_some());
        wrong.map(|check| check["name"].as_str().unwrap()).collect()
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.document["checks"].as_array().unwrap();
        &checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}"))["state"]
    }
}

impl Installation {
    /// A cluster that `skein cluster init` has made.
    async fn made(name: &str) -> Self {
        let broker = RabbitMq::shared().await.unwrap();
        let zookeeper = ZooKeeper::shared().await.unwrap();
        let postgresql = PostgreSql::start().await.unwrap();
        let site = Site::new(Faults::default());
        let vhost = broker.vhost(name).await.unwrap().rsplit('/').next().unwrap().to_owned();
        let database = postgresql.database(name).await.unwrap();
        let prefix = vhost.to_lowercase().replace('_', "-");
        keys::private_file(&site.path(""), "zookeeper-password", "an administrator's password");
        let engine = format!(
            r#"engine = "cluster"

[broker]
urls = ["amqp://{amqp}"]
vhost = "{vhost}"
username = "guest"
password_file = "broker-password"
queues = {QUEUES}

[monitor]
management_url = "http://{management}"

[coordinator]
servers = ["{zookeeper}"]
chroot = "/{vhost}"
username = "admin"
password_file = "zookeeper-password"

[ledger]
url = "postgres://{server}/{database}"
username = "postgres"
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
tls = {{ mode = "off" }}
"#,
            amqp = broker.amqp(),
            management = broker.management_url().rsplit('@').next().unwrap(),
            zookeeper = zookeeper.client(),
            server = postgresql.server(),
            database = database.rsplit('/').next().unwrap(),
        );
        let config = site.config(&engine).display().to_string();
        let folder = site.path("credentials").display().to_string();
        let arguments = [
            "-c",
            &config,
            "--sender",
            "sender-1",
            "--producer",
            "chat",
            "--user-prefix",
            &prefix,
            "--credentials-folder",
            &folder,
        ];
        let arguments: Vec<String> = arguments.map(str::to_owned).into();
        let standby = Standby::start(&postgresql, &site.path("")).await;
        let this = Self { site, arguments, prefix, postgresql, _standby: standby };
        let init = this.arguments.iter().map(String::as_str);
        let mut made = skein(["cluster", "init"].into_iter().chain(init)).unwrap().start().unwrap();
        assert!(made.wait_exit(LIMIT).await.unwrap().success(), "{} {}", made.output(), made.log());
        this
    }

    /// The doctor as the administrator.
    async fn doctor(&self, more: &[&str], clock: Option<(&str, &str)>) -> Ran {
        let arguments: Vec<&str> =
            self.arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        run(&arguments, clock).await
    }

    /// The doctor as one role, by its own narrow users: those at RabbitMQ and PostgreSQL have the same name.
    async fn as_role(&self, role: &str, user: &str) -> Ran {
        let mut settings = Vec::new();
        for (section, service, user) in
            [("broker", "rabbitmq", user), ("ledger", "postgresql", user), ("coordinator", "zookeeper", role)]
        {
            let user = format!("{}-{user}", self.prefix);
            let file = self.site.path(&format!("credentials/{service}-{user}.password"));
            // Without a user at a service, the configuration's stays: the doctor has no business there.
            if file.exists() {
                settings.push(format!("{section}.username={user}"));
                settings.push(format!("{section}.password_file={}", file.display()));
            }
        }
        let mut arguments =
            vec!["-c", self.arguments[1].as_str(), "--user-prefix", &self.prefix, "--role", role];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        run(&arguments, None).await
    }
}

async fn run(arguments: &[&str], clock: Option<(&str, &str)>) -> Ran {
    let words = ["doctor", "--json"].iter().chain(arguments).copied();
    let mut program = skein(words).unwrap();
    if let Some((library, offset)) = clock {
        program = program.env("LD_PRELOAD", library).env("FAKETIME", offset);
    }
    let mut child = program.start().unwrap();
    let status = child.wait_exit(LIMIT).await.unwrap();
    let output = child.output();
    assert_eq!(output.lines().count(), 1, "one document: {output} {}", child.log());
    Ran { code: status.code().unwrap(), document: serde_json::from_str(&output).unwrap() }
}

#[tokio::test]
async fn an_operator_is_told_what_is_wrong_and_what_to_do() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let installation = Installation::made("doctor_cli").await;

    let fine = installation.doctor(&[], None).await;
    assert_eq!((fine.code, fine.found().len()), (0, 0), "{:#}", fine.document);
    assert_eq!(fine.document["not_checked"], 0, "{:#}", fine.document);
    let one_a_host = [("sender", "sender-sender-1"), ("producer", "producer-chat")];
    for (role, user) in
        one_a_host.into_iter().chain(["monitor", "gateway", "operator", "support"].map(|r| (r, r)))
    {
        let ran = installation.as_role(role, user).await;
        assert_eq!((ran.code, ran.found().len()), (0, 0), "{role}: {:#}", ran.document);
    }

    // A broker that is away hides nothing of the others.
    let away = installation.doctor(&["--set", "broker.urls=amqp://127.0.0.1:1"], None).await;
    assert_eq!((away.code, away.found()), (1, vec!["rabbitmq.nodes"]), "{:#}", away.document);
    assert!(away.check("rabbitmq.version").get("not_checked").is_some(), "{:#}", away.document);
    for name in ["postgresql.rights", "zookeeper.rights", "apns.im.connection"] {
        assert_eq!(away.check(name), "fine", "{:#}", away.document);
    }

    // The command that it names mends what it found.
    installation.postgresql.query(&database(&installation), "DROP SCHEMA skein CASCADE").await.unwrap();
    let missing = installation.doctor(&[], None).await;
    assert_eq!((missing.code, missing.found()), (1, vec!["postgresql.holds"]), "{:#}", missing.document);
    let remedy = missing.check("postgresql.holds")["findings"][0]["do"].as_str().unwrap();
    let words: Vec<&str> = remedy.split(' ').skip(1).collect();
    let mut init = skein(&words).unwrap().start().unwrap();
    assert!(init.wait_exit(LIMIT).await.unwrap().success(), "{remedy}: {}", init.log());
    assert_eq!(installation.doctor(&[], None).await.code, 0);
}

/// P9 too: a secret that others can read is named, with the command that closes it; nothing is connected to.
#[tokio::test]
async fn a_faulty_configuration_is_named_before_anything_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new(Faults::default());
    let config = site.config("engine = \"cluster\"\n").display().to_string();
    let secret = site.path("AuthKey.p8");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let faulty = run(&["-c", &config], None).await;
    assert_eq!(faulty.code, 2, "{:#}", faulty.document);
    let faults = faulty.document["faults"].to_string();
    assert!(faults.contains(&format!("chmod 0600 {}", secret.display())), "{faults}");
    assert!(faults.contains("broker.urls"), "{faults}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        return skipped::note(&skipped::this_test(), "libfaketime not installed");
    };
    let installation = Installation::made("doctor_clock").await;
    let wrong = installation.doctor(&[], Some((library, "+10m"))).await;
    assert_eq!((wrong.code, wrong.found()), (1, vec!["clocks"]), "{:#}", wrong.document);
    let what = wrong.check("clocks")["findings"][0]["what"].as_str().unwrap();
    assert!(
        what.starts_with("the clock of this host is ") && what.contains(" s ahead of those of "),
        "{what}"
    );
}

/// The name of the ledger's database, from the configuration.
fn database(installation: &Installation) -> String {
    let config = std::fs::read_to_string(&installation.arguments[1]).unwrap();
    let url = config.lines().find(|line| line.starts_with("url = \"postgres://")).unwrap();
    url.trim_end_matches('"').rsplit('/').next().unwrap().to_owned()
}
