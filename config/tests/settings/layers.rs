//! File over default, environment over file, flag over environment; and where each value came from.

use crate::{Folder, words};
use proptest::prelude::*;
use skein_config::{Config, Origin, Reload, Sources, environment_name, key_table, show, shown};
use std::time::Duration;

#[test]
fn each_layer_goes_over_the_one_before() {
    let folder = Folder::new();
    let first = folder.write(
        "first.toml",
        "[sender]\nlease = \"1s\"\nround_trip = \"300ms\"\ngrace = \"3s\"\nshards = 2\n",
    );
    let second = folder
        .write("second.toml", "sender.round_trip = \"310ms\"\nsender.grace = \"4s\"\nsender.shards = 3\n");
    let sources = Sources {
        files: vec![first.clone(), second.clone()],
        ..words(&[("SKEIN_SENDER__GRACE", "5s"), ("SKEIN_SENDER__SHARDS", "4")], &["sender.shards=5"])
    };
    let loaded = Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
    let sender = &loaded.config.sender;
    assert_eq!(sender.held_max, 20_000);
    assert_eq!(sender.lease, Duration::from_secs(1));
    assert_eq!(sender.round_trip, Duration::from_millis(310));
    assert_eq!(sender.grace, Duration::from_secs(5));
    assert_eq!(sender.shards, 5);
    let from = |key: &str| loaded.origin(key).expect("set").clone();
    assert!(from("sender.held_max").is_default());
    assert_eq!(from("sender.lease"), Origin::File { file: first, line: Some(2) });
    assert_eq!(from("sender.round_trip"), Origin::File { file: second, line: Some(1) });
    assert_eq!(from("sender.grace"), Origin::Environment { name: "SKEIN_SENDER__GRACE".into() });
    assert_eq!(from("sender.shards"), Origin::Flag { number: 1 });
}

#[test]
fn a_pool_may_come_from_the_environment_alone() {
    let folder = Folder::new();
    let key = folder.write("a.p8", "key").display().to_string();
    let environment = [
        ("SKEIN_POOLS__IM_DEV__ENVIRONMENT", "sandbox"),
        ("SKEIN_POOLS__IM_DEV__TOPICS", "com.example.a, com.example.b"),
        ("SKEIN_POOLS__IM_DEV__CREDENTIAL__KIND", "token"),
        ("SKEIN_POOLS__IM_DEV__CREDENTIAL__KEY_FILE", &key),
        ("SKEIN_POOLS__IM_DEV__CREDENTIAL__KEY_ID", "ABCDE12345"),
        ("SKEIN_POOLS__IM_DEV__CREDENTIAL__TEAM_ID", "TEAM123456"),
        ("SKEIN_POOLS__IM_DEV__COLLAPSE", "false"),
        ("SKEIN_RETRY__TRANSPORT", "[\"1s\", \"2s\"]"),
        ("SKEIN_RETRY__BUDGET_SHARE", "0.5"),
        ("SKEIN_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("SKEIN_HTTP__LISTEN", ""),
    ];
    let loaded = Config::load(&words(&environment, &[])).unwrap_or_else(|faults| panic!("{faults}"));
    let pool = &loaded.config.pools["im-dev"];
    assert_eq!(pool.topics, ["com.example.a", "com.example.b"]);
    assert!(!pool.collapse);
    assert_eq!(loaded.config.retry.transport, [Duration::from_secs(1), Duration::from_secs(2)]);
    assert!((loaded.config.retry.budget_share - 0.5).abs() < f64::EPSILON);
}

#[test]
fn show_tells_where_each_value_came_from() {
    let folder = Folder::new();
    let loaded =
        folder.load_with("[log]\nlevel = \"warn\"\n", &[("SKEIN_BROKER__QUEUES", "8")], &[]).expect("loads");
    let file = folder.path().join("skein.toml");
    assert_eq!(
        show(&loaded, true),
        format!(
            "log.level = \"warn\"  # {}:2\nbroker.queues = 8  # environment SKEIN_BROKER__QUEUES\n",
            file.display()
        )
    );
    let all = show(&loaded, false);
    assert!(all.starts_with("engine = \"embedded\"  # default\n"), "{all}");
    assert!(all.contains("\nretry.budget_share = 0.1  # default\n"), "{all}");
    assert!(all.contains("\nbroker.queue_bytes_max = \"2GiB\"  # default\n"), "{all}");
    let json = serde_json::to_value(shown(&loaded, true)).expect("json");
    assert_eq!(json[1]["key"], "broker.queues");
    assert_eq!(json[1]["value"], 8);
    assert_eq!(json[1]["from"], serde_json::json!({"source": "environment", "name": "SKEIN_BROKER__QUEUES"}));
    assert_eq!(json[1]["reload"], "restart");
}

#[test]
fn changes_tell_what_needs_a_restart() {
    let folder = Folder::new();
    let old = folder.load("[log]\nlevel = \"warn\"\n").expect("loads");
    let new = folder.load("[log]\nlevel = \"error\"\nformat = \"json\"\n").expect("loads");
    let changes: Vec<_> = old.changes(&new).into_iter().map(|c| (c.key, c.reload)).collect();
    assert_eq!(changes, [("log.format".to_owned(), Reload::Restart), ("log.level".to_owned(), Reload::Live)]);
    assert_eq!(old.changes(&old), []);
}

/// What a default looks like in the environment or a flag: without TOML's quotes.
fn as_word(toml: &str) -> String {
    if toml.starts_with('[') { toml.to_owned() } else { toml.trim_matches('"').to_owned() }
}

/// Every setting that has a default, given that very default in each layer, changes nothing.
#[test]
fn each_default_given_by_hand_changes_nothing() {
    let folder = Folder::new();
    let mut tried = 0;
    for key in key_table().iter().filter(|key| !key.key.contains('<')) {
        let Some(default) = &key.default else { continue };
        tried += 1;
        let name = environment_name(&key.key);
        let word = as_word(default);
        let file = folder.load(&format!("{} = {default}\n", key.key));
        let environment = Config::load(&words(&[(&name, &word)], &[]));
        let flag = Config::load(&words(&[], &[&format!("{}={word}", key.key)]));
        for (layer, loaded) in [("file", file), ("environment", environment), ("flag", flag)] {
            let mut loaded = loaded.unwrap_or_else(|faults| panic!("{} by {layer}: {faults}", key.key));
            assert!(!loaded.origin(&key.key).expect("set").is_default(), "{} by {layer}", key.key);
            if key.key == "embedded.path" && layer == "file" {
                assert_eq!(loaded.config.embedded.path, folder.path().join("skein.db"));
                loaded.config.embedded.path = "skein.db".into();
            }
            assert_eq!(loaded.config, Config::default(), "{} by {layer}", key.key);
        }
    }
    assert!(tried > 50, "{tried}");
}

/// Every word that a setting of words takes is one its Rust type knows.
#[test]
fn each_choice_is_known() {
    for key in key_table().iter().filter(|key| !key.key.contains('<')) {
        let words_of: Vec<_> = key.kind_text.split(" or ").map(|word| word.trim_matches('"')).collect();
        if key.default.as_deref().is_none_or(|d| !words_of.contains(&d.trim_matches('"'))) {
            continue;
        }
        for word in words_of {
            let flag = format!("{}={word}", key.key);
            let faults = Config::load(&words(&[], &[&flag])).map(|_| ()).err().unwrap_or_default();
            assert!(!faults.0.iter().any(|fault| fault.what.contains("cannot be used")), "{flag}: {faults}");
        }
    }
}

proptest! {
    /// No file, however broken, stops the loader from reporting.
    #[test]
    fn any_text_ends_in_a_configuration_or_faults(text in "(\\[|\\]|=|\"|\n| |a|pools|sender|lease|\\.|1|#|\\{|\\}){0,40}") {
        let folder = Folder::new();
        if let Err(faults) = folder.load(&text) {
            prop_assert!(!faults.0.is_empty());
        }
    }

    /// Any set of defaults given by hand, in one file, changes nothing.
    #[test]
    fn any_defaults_given_by_hand_change_nothing(picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..30)) {
        let keys: Vec<_> = key_table()
            .iter()
            .filter(|key| key.default.is_some() && !key.key.contains('<') && key.key != "embedded.path")
            .collect();
        let mut lines: Vec<_> =
            picks.iter().map(|n| n.get(&keys)).map(|k| format!("{} = {}\n", k.key, k.default.as_deref().unwrap_or(""))).collect();
        lines.sort();
        lines.dedup();
        let loaded = Folder::new().load(&lines.concat());
        prop_assert_eq!(loaded.expect("defaults are right").config, Config::default());
    }
}
