//! `skein cluster init` and `skein cluster probe` as an operator runs them: over mutual TLS to all three services, once and again.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use skein_test_site::{
    keys::{KEY_ID, TEAM_ID, private_file, provider_key},
    run::commit,
};
use skein_tests::{
    figures, need,
    process::skein,
    services::{PostgreSql, RabbitMq, ZooKeeper},
};

use crate::{authority::Valid, encrypted::Certificates};

const LIMIT: Duration = Duration::from_secs(120);
const WHO: [&str; 6] = ["--sender", "sender-1", "--sender", "sender-2", "--producer", "im-backend"];

struct Site {
    rabbitmq: RabbitMq,
    postgresql: PostgreSql,
    zookeeper: ZooKeeper,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let certificates = Certificates::new();
        let server = || certificates.server(Valid::Now);
        let (rabbitmq, postgresql, zookeeper) = tokio::try_join!(
            RabbitMq::start_with_tls(server()),
            PostgreSql::start_with_tls(server()),
            ZooKeeper::start_with_tls(server()),
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (ca, client) = certificates.client();
        let key = "0123456789abcdef".repeat(4);
        for (name, text) in [
            ("ca.pem", ca.as_str()),
            ("skein.pem", &client.certificate),
            ("skein.key", &client.key),
            ("guest", "guest"),
            ("admin", "a long password of nobody else's"),
            ("fingerprint.key", &key),
            ("parking.key", &key),
            ("AuthKey.p8", &provider_key()),
        ] {
            private_file(folder.path(), name, text);
        }
        let [amqp, management] = rabbitmq.tls().unwrap();
        let (database, coordinator) = (postgresql.server(), zookeeper.tls().unwrap());
        let tls = r#"ca_file = "ca.pem", cert_file = "skein.pem", key_file = "skein.key""#;
        let settings = format!(
            r#"engine = "cluster"
[broker]
urls = ["amqps://{amqp}"]
vhost = "rights"
username = "guest"
password_file = "guest"
queues = 2
tls = {{ {tls} }}
[monitor]
management_url = "https://{management}"
username = "guest"
password_file = "guest"
[ledger]
url = "postgres://{database}/postgres"
username = "postgres"
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
tls = {{ {tls} }}
[coordinator]
servers = ["{coordinator}"]
session_timeout = "30s"
username = "admin"
password_file = "admin"
tls = {{ mode = "verify", {tls} }}
[pools.im]
environment = "sandbox"
topics = ["com.example.im"]
credential = {{ kind = "token", key_file = "AuthKey.p8", key_id = "{KEY_ID}", team_id = "{TEAM_ID}" }}
"#
        );
        std::fs::write(folder.path().join("admin.toml"), settings).unwrap();
        Self { rabbitmq, postgresql, zookeeper, folder }
    }

    fn credentials(&self) -> std::path::PathBuf {
        self.folder.path().join("credentials")
    }

    /// Runs a command of `skein cluster`; its exit code and the lines of JSON.
    async fn cluster(&self, words: &[&str]) -> (i32, Vec<Value>) {
        let settings = self.folder.path().join("admin.toml");
        let arguments = ["cluster"].iter().chain(words).chain(&WHO).map(|word| Path::new(word).to_path_buf());
        let more =
            ["--json".into(), "-c".into(), settings, "--credentials-folder".into(), self.credentials()];
        let mut command = skein(arguments.chain(more)).unwrap();
        command.command().env_remove("SKEIN_CONFIG");
        let mut running = command.start().unwrap();
        let status = running.wait_exit(LIMIT).await.unwrap_or_else(|e| panic!("{e}: {}", running.log()));
        let lines = running.output();
        let lines =
            lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
        let lines: Vec<Value> = lines.collect();
        let code = status.code().unwrap_or(-1);
        assert!(code == 0, "{words:?} ends with {code}: {}{lines:#?}", running.log());
        (code, lines)
    }

    /// Everything that a run could change, as the services tell it.
    async fn state(&self) -> Vec<String> {
        let definitions = self.rabbitmq.manage("GET", "definitions", None).await.unwrap().json().unwrap();
        let parts = [
            "users",
            "vhosts",
            "permissions",
            "topic_permissions",
            "policies",
            "exchanges",
            "queues",
            "bindings",
        ];
        let mut state: Vec<String> = parts
            .iter()
            .map(|part| {
                let mut rows: Vec<String> =
                    definitions[part].as_array().into_iter().flatten().map(Value::to_string).collect();
                rows.sort();
                format!("{part}: {}", rows.join("\n"))
            })
            .collect();
        for sql in [
            "SELECT rolname, rolpassword, rolsuper, rolcanlogin FROM pg_authid ORDER BY 1",
            "SELECT nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
            "SELECT relname, relacl FROM pg_class WHERE relnamespace = to_regnamespace('skein') ORDER BY 1",
            "SELECT proname, proacl FROM pg_proc WHERE pronamespace = to_regnamespace('skein') ORDER BY 1, oid",
            "SELECT datname, datacl FROM pg_database ORDER BY 1",
        ] {
            state.push(format!("{:?}", self.postgresql.query("postgres", sql).await.unwrap()));
        }
        let srvr = self.zookeeper.word("srvr").await.unwrap();
        state.extend(srvr.lines().filter(|line| line.starts_with("Node count")).map(str::to_owned));
        let files = std::fs::read_dir(self.credentials()).into_iter().flatten();
        let mut files: Vec<String> = files
            .map(|entry| {
                let path = entry.unwrap().path();
                format!("{}: {}", path.display(), std::fs::read_to_string(&path).unwrap())
            })
            .collect();
        files.sort();
        state.extend(files);
        state
    }
}

fn number(lines: &[Value], name: &str) -> u64 {
    lines.iter().find_map(|line| line[name].as_u64()).unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

/// P9 as well: no password in what is said.
#[tokio::test]
async fn init_is_done_once_and_the_probe_finds_no_right_too_many() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let began = std::time::Instant::now();
    let site = Site::new().await;

    let untouched = site.state().await;
    let (_, said) = site.cluster(&["init", "--dry-run"]).await;
    assert!(number(&said, "to_do") > 50, "{said:#?}");
    assert_eq!(site.state().await, untouched, "a dry run changes nothing");

    let (_, said) = site.cluster(&["init"]).await;
    assert!(number(&said, "done") > 50, "{said:#?}");
    let made = site.state().await;
    assert_ne!(made, untouched);
    let (_, said) = site.cluster(&["init"]).await;
    assert_eq!(number(&said, "done"), 0, "{said:#?}");
    let (_, said) = site.cluster(&["init", "--dry-run"]).await;
    assert_eq!(number(&said, "to_do"), 0, "{said:#?}");
    assert_eq!(site.state().await, made, "the second run changes nothing");

    let (_, said) = site.cluster(&["probe"]).await;
    let [refused, forbidden, other] = ["refused", "forbidden", "other"].map(|name| number(&said, name));
    let row = json!({
        "row": "rights-probe",
        "runs": refused + forbidden,
        "failed": forbidden + other,
        "lost": 0,
        "inversions": 0,
        "seconds": began.elapsed().as_secs_f64(),
        "commit": commit(),
    });
    figures::append("operations", &row).unwrap();
    assert_eq!((forbidden, other), (0, 0), "{said:#?}");
    assert!(refused > 400, "{refused} refused");
    // Strangers and the wrong role, at each folder of ZooKeeper and below a sender's calls.
    for who in ["nobody", "a wrong password", "skein-operator"] {
        let wrote = |path: &str| {
            said.iter().any(|line| {
                line["who"] == who
                    && line["outcome"] == "refused"
                    && line["what"].as_str().is_some_and(|what| what.starts_with(&format!("write {path}")))
            })
        };
        for path in
            ["/members", "/queues", "/queues/im.q0", "/calls/", "/monitors", "/policy", "/live-history"]
        {
            assert!(wrote(path), "{who} writes {path}: {said:#?}");
        }
    }
    assert_eq!(site.state().await, made, "the probe changes nothing");

    let said = serde_json::to_string(&said).unwrap();
    for file in std::fs::read_dir(site.credentials()).unwrap() {
        let password = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!said.contains(password.trim()), "P9");
    }
}
