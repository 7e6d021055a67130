//! Live settings: the topmost layer, checked as the others are, and narrower.

use super::*;
use skein_config::{Files, Live, Origin};

fn live(settings: &[(&str, &str)], files: Files) -> Option<Live> {
    let settings = settings.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    Some(Live { version: 7, settings, files })
}

fn load(files: Files, settings: &[(&str, &str)]) -> Result<skein_config::Loaded, skein_config::Faults> {
    Config::load(&Sources { live: live(settings, files), ..words(&[], &["log.level=warn"]) })
}

#[test]
fn they_stand_over_everything_else() {
    let loaded = load(Files::ALL, &[("log.level", "debug"), ("retry.service", r#"["1s", "2s"]"#)]).unwrap();
    assert_eq!(loaded.config.log.level.label(), "debug");
    assert_eq!(loaded.config.retry.service.len(), 2);
    assert_eq!(loaded.origin("log.level"), Some(&Origin::Live { version: 7 }));
}

#[test]
fn what_can_not_be_live_is_refused() {
    for (key, text, why) in [
        ("sender.lease", "1s", "takes effect at a start only"),
        ("log.levle", "debug", "is no setting"),
        ("log", "debug", "is a section"),
        ("log.level", "loud", "loud"),
        ("log.level", "", "is empty"),
        ("retry.hold_max", "1ms", "1ms"),
        ("gateway.api_keys_file", "keys", "no absolute path"),
        ("broker.password", "hunter2", "is a secret"),
        ("gateway.api_keys_file", "/nowhere/keys", "/nowhere/keys"),
    ] {
        let faults = load(Files::ALL, &[(key, text)]).expect_err(key);
        assert!(faults.0.iter().any(|fault| fault.what.contains(why)), "{key}: {faults:?}");
        assert!(faults.0.iter().all(|fault| fault.origin == Some(Origin::Live { version: 7 })), "{faults:?}");
        assert!(!format!("{faults:?}").contains("hunter2"), "P9");
    }
    let rule = load(Files::ALL, &[("monitor.policy.balance_stop_percent", "1000")]).expect_err("a rule");
    assert!(rule.0[0].what.contains("balance"), "rules between settings hold for the merged whole: {rule:?}");
}

#[test]
fn a_process_looks_at_its_own_files_and_pools_only() {
    let elsewhere = [("gateway.api_keys_file", "/nowhere/keys"), ("pools.other.collapse", "false")];
    for files in [Files::NONE, Files::SENDER] {
        assert!(
            load(files, &elsewhere).unwrap().config.pools.is_empty(),
            "a pool that it has not is not opened"
        );
    }
    assert!(load(Files::GATEWAY, &elsewhere).is_err());
}

/// P9: one file for all roles gives none of them another's secrets.
#[test]
fn a_process_needs_the_secrets_of_its_own_role_alone() {
    let folder = Folder::new();
    let text = r#"
[broker]
username = "me"
password_file = "broker-password"
[ledger]
fingerprint_key_file = "fingerprint.key"
parking_key_file = "parking.key"
[gateway]
api_keys_file = "gateway-keys"
[pools.im]
environment = "sandbox"
topics = ["com.example.im"]
credential = { kind = "certificate", file = "push.p12", password_file = "push.p12.password" }
"#;
    let path = folder.write("skein.toml", text);
    let missing = |files| {
        let live = Some(Live::nothing(files));
        let loaded = Config::load(&Sources { files: vec![path.clone()], live, ..words(&[], &[]) });
        loaded.map_or_else(|faults| faults.0.into_iter().map(|fault| fault.key).collect(), |_| Vec::new())
    };
    let (own, keys) = ("broker.password_file", "gateway.api_keys_file");
    let [file, password] = ["file", "password_file"].map(|key| format!("pools.im.credential.{key}"));
    let (prints, seals) = ("ledger.fingerprint_key_file", "ledger.parking_key_file");
    assert_eq!(missing(Files::NONE), [own]);
    assert_eq!(missing(Files::GATEWAY), [own, prints, seals, keys]);
    assert_eq!(missing(Files::SENDER), [own, prints, &file, &password]);
    assert_eq!(missing(Files::ALL), [own, prints, seals, keys, &file, &password]);
    folder.write("broker-password", "a password");
    assert_eq!(missing(Files::NONE), [""; 0]);
    let of = |pool: &str| Files::of_pools([pool.to_owned()].into());
    assert_eq!(missing(of("im")), [file, password]);
    assert_eq!(missing(of("another")), [""; 0]);
    assert_eq!(missing(of("another").and_front_door()), [keys]);
    let live = Some(Live::nothing(Files::NONE));
    let loaded = Config::load(&Sources { files: vec![path], live, ..words(&[], &[]) }).unwrap();
    let named = loaded.config.pools["im"].credential.files();
    assert_eq!(
        named,
        ["push.p12", "push.p12.password"].map(|name| folder.path().join(name)),
        "which were not looked at"
    );
}

/// P9: a cluster's key of fingerprints is asked of those who make them.
#[test]
fn a_role_without_fingerprints_names_no_key() {
    let named = ["engine=cluster", "broker.urls=amqp://a", "ledger.url=postgres://b/skein"];
    let load = |files| {
        let live = Some(Live::nothing(files));
        Config::load(&Sources { live, ..words(&[], &named) }).map(drop)
    };
    load(Files::NONE).expect("a monitor and an operator make none");
    for files in [Files::ALL, Files::SENDER, Files::GATEWAY] {
        assert_eq!(
            load(files).expect_err("a sender and a gateway do").0[0].key,
            "ledger.fingerprint_key_file"
        );
    }
}

#[test]
fn an_empty_text_takes_back_what_a_file_says() {
    let folder = Folder::new();
    let key = folder.write("AuthKey.p8", "a key");
    let credential = format!(
        r#"{{ kind = "token", key_file = "{}", key_id = "ABCDE12345", team_id = "TEAM123456" }}"#,
        key.display()
    );
    let text = format!(
        "[pools.im]\nenvironment = \"sandbox\"\ntopics = [\"com.example.im\"]\ncredential = {credential}\nbroadcast_endpoint = \"127.0.0.1:2\"\n"
    );
    let path = folder.write("skein.toml", &text);
    let sources = Sources { files: vec![path], ..words(&[], &[]) };
    let named = "pools.im.broadcast_endpoint";
    let set = Sources { live: live(&[(named, "127.0.0.1:1")], Files::ALL), ..sources.clone() };
    assert!(Config::load(&set).unwrap().config.pools["im"].broadcast_endpoint.is_some());
    let cleared = Sources { live: live(&[(named, "")], Files::ALL), ..sources };
    assert!(Config::load(&cleared).unwrap().config.pools["im"].broadcast_endpoint.is_none());
}
