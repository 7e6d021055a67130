//! Every example loads, once the files it names are there.

use crate::Folder;
use skein_config::{Config, Credential, Engine, Environment, Sources, reference_markdown};

/// Copies an example and puts the files it names beside it.
fn load(name: &str) -> Config {
    let folder = Folder::new();
    let text = std::fs::read_to_string(format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR")))
        .expect("an example");
    for (file, content) in [
        ("AuthKey_ABCDE12345.p8", "key"),
        ("apns-sim.p8", "key"),
        ("apns-sim-ca.pem", "root"),
        ("internal-ca.pem", "root"),
        ("enterprise.p12", "certificate"),
        ("enterprise.p12.password", "hunter2\n"),
        ("postgres-password", "hunter2\n"),
    ] {
        folder.write(file, content);
    }
    folder.write("fingerprint.key", &"0a".repeat(32));
    folder.write("parking.key", &"0b".repeat(32));
    folder.write("gateway-keys", &format!("im = {}\n", "0c".repeat(32)));
    let environment = [("RABBITMQ_PASSWORD", "hunter2")];
    let loaded =
        folder.load_with(&text, &environment, &[]).unwrap_or_else(|faults| panic!("{name}: {faults}"));
    loaded.require_pool().expect("a pool");
    loaded.config
}

#[test]
fn every_example_is_tested() {
    let folder = std::fs::read_dir(format!("{}/examples", env!("CARGO_MANIFEST_DIR"))).expect("the examples");
    let mut names: Vec<_> = folder.map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["cluster.toml", "development.toml", "embedded.toml"]);
}

#[test]
fn embedded() {
    let config = load("embedded.toml");
    assert_eq!(config.engine, Engine::Embedded);
    let pool = &config.pools["im"];
    assert_eq!(pool.host_and_port(), ("api.sandbox.push.apple.com".to_owned(), 443));
    assert!(matches!(&pool.credential, Credential::Token { key_id, .. } if key_id == "ABCDE12345"));
    assert_eq!(config.gateway.api_keys.expect("keys")[0].name, "im");
}

#[test]
fn development() {
    let config = load("development.toml");
    assert_eq!(config.pools["dev"].host_and_port(), ("127.0.0.1".to_owned(), 2197));
}

#[test]
fn cluster() {
    let config = load("cluster.toml");
    assert_eq!(config.engine, Engine::Cluster);
    assert_eq!(config.broker.uris().len(), 3);
    assert_eq!(
        config.broker.uris()[1].expose(),
        "amqps://skein-sender-1:hunter2@rabbit-2.internal:5671/skein"
    );
    let ledger = config.ledger.uri().expect("an address");
    assert_eq!(ledger.expose(), "postgres://skein:hunter2@ledger.internal:5432/skein");
    assert_eq!(config.broker.password.expect("a password").expose(), "hunter2");
    assert_eq!(config.ledger.fingerprint_key.expect("a key").expose(), &[10; 32]);
    let enterprise = &config.pools["enterprise"];
    assert_eq!(enterprise.environment, Environment::Production);
    assert_eq!(enterprise.proxy.as_ref().expect("a proxy").url.port, Some(3128));
    assert!(
        matches!(&enterprise.credential, Credential::Certificate { password: Some(p), .. } if p.expose() == "hunter2")
    );
    assert_eq!(config.pools["developer"].queues.map(u16::from), Some(4));
    assert!(config.pools["developer"].proxy.is_none());
}

#[test]
fn nothing_at_all_is_a_configuration_without_a_pool() {
    let loaded = Config::load(&Sources::default()).expect("default.toml is right");
    assert_eq!(loaded.config, Config::default());
    let faults = loaded.require_pool().expect_err("no pool");
    assert!(faults.0[0].remedy.contains("[pools.<name>]"), "{faults}");
    assert_eq!(loaded.require_api_keys().expect_err("no keys").0[0].key, "gateway.api_keys_file");
}

#[test]
fn reference_has_every_setting() {
    let page = reference_markdown();
    for key in skein_config::key_table() {
        let name = key.key.rsplit('.').next().expect("a name");
        assert!(page.contains(&format!("| `{name}` |")), "{}", key.key);
    }
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(page.lines().filter(|l| l.starts_with('|')).all(|l| columns(l) == 6), "{page}");
}
