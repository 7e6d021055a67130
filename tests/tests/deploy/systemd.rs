//! The units: systemd takes them, and its own judge of hardening finds little to say.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use skein_tests::process::skein_binary;

use crate::{container::Container, copy, deploy, run};

/// Where systemd's `%d` is in a process' container.
const SECRETS: &str = "/run/secrets";

/// systemd's exposure, 0 safe to 10 open, times ten: what is left is the network, which a sender is for.
const EXPOSURE_MAX: &str = "15";

fn units(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut units: Vec<String> = names.filter(|name| name.ends_with(".service")).collect();
    units.sort();
    units
}

#[test]
fn systemd_takes_the_units_and_finds_them_hardened() {
    skein_tests::need!("systemd-analyze");
    let folder = tempfile::tempdir().unwrap();
    copy(&deploy("systemd"), folder.path());
    let units = units(folder.path());
    assert_eq!(units, ["skein-gateway.service", "skein-monitor@.service", "skein-sender@.service"]);
    for unit in &units {
        let path = folder.path().join(unit);
        // The program of the units need not be installed here.
        let text = std::fs::read_to_string(&path).unwrap().replace("/usr/bin/skein", "/bin/true");
        std::fs::write(&path, text).unwrap();
    }
    for unit in &units {
        let path = folder.path().join(unit);
        let told = run(folder.path(), "systemd-analyze", ["verify", "--man=no", path.to_str().unwrap()]);
        assert!(!told.contains(".service:"), "{told}");
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        run(
            folder.path(),
            "systemd-analyze",
            ["security", "--offline=true", &threshold, path.to_str().unwrap()],
        );
    }
}

#[test]
fn a_unit_names_only_settings_that_there_are() {
    let settings =
        std::fs::read_to_string(skein_tests::workspace_folder().join("config/default.toml")).unwrap();
    let mut named = 0;
    for unit in units(&deploy("systemd")) {
        let text = std::fs::read_to_string(deploy("systemd").join(&unit)).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("Environment=SKEIN_")) {
            let (setting, _) = line.split_once('=').unwrap();
            let (section, key) = setting.split_once("__").unwrap();
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            let within = settings.split(&format!("\n[{section}]\n")).nth(1).unwrap_or_default();
            let within = within.split("\n[").next().unwrap_or_default();
            let there = within.lines().any(|l| l.trim_start_matches('#').starts_with(&format!("{key} = ")));
            assert!(there, "{unit}: no setting {section}.{key}");
            named += 1;
        }
        assert!(
            text.contains("Restart=always") && text.contains("StartLimitIntervalSec=0"),
            "{unit}: comes back"
        );
    }
    assert!(named > 15);
}

/// A unit's process as systemd would start it: its environment, and its secrets where `%d` is.
fn process(unit: &str, instance: &str, files: &Path, root: PathBuf) -> Container {
    let text = std::fs::read_to_string(deploy("systemd").join(unit)).unwrap().replace("%i", instance);
    let values = |key: &str| {
        let key = format!("{key}=");
        let lines = text.lines().filter_map(move |line| line.strip_prefix(&key).map(str::to_owned));
        lines.map(|line| line.replace("%d", SECRETS)).collect::<Vec<_>>()
    };
    let pair = |line: String| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = values("Environment").into_iter().filter_map(pair).collect();
    let container = Container::new(root, environment, Vec::new());
    for folder in values("StateDirectory") {
        std::fs::create_dir_all(container.at("/var/lib").join(folder)).unwrap();
    }
    for line in values("LoadCredential") {
        let (name, from) = line.split_once(':').unwrap();
        container.mount(&files.join(Path::new(from).file_name().unwrap()), &format!("{SECRETS}/{name}"));
    }
    container
}

#[test]
fn the_ready_configuration_is_what_each_unit_needs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let secret = |name: &str, text: &str| {
        std::fs::write(file(name), text).unwrap();
        std::fs::set_permissions(file(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    ["fingerprint.key", "parking.key"].iter().for_each(|name| secret(name, &"7".repeat(64)));
    secret("AuthKey_ABCDE12345.p8", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let skein = skein_binary().unwrap().display().to_string();
    let key = ["config", "new-key", "im", "--append", "gateway-keys", "--out", "api.key"];
    run(folder.path(), &skein, key);
    // The passwords that `skein cluster init` makes for the names that README tells to say, and the administrators'.
    let passwords = ["cluster", "passwords", "--sender", "sender-1", "--credentials-folder", "."];
    run(folder.path(), &skein, passwords);
    let admins = ["rabbitmq", "zookeeper", "postgresql"].map(|service| format!("{service}-admin.password"));
    admins.iter().for_each(|name| secret(name, "an administrator's own"));
    let tls = rcgen::generate_simple_self_signed(["rabbit-1.internal".to_owned()]).unwrap();
    ["ca.pem", "skein.pem"].iter().for_each(|name| std::fs::write(file(name), tls.cert.pem()).unwrap());
    secret("skein.key", &tls.signing_key.serialize_pem());

    let everybody = [("skein.toml", ""), ("ca.pem", ""), ("skein.pem", ""), ("skein.key", "credentials/")];
    let etc = |container: &Container, names: &[(&str, &str)]| {
        for (name, at) in everybody.iter().chain(names) {
            let from = if name.ends_with(".toml") { deploy("systemd").join(name) } else { file(name) };
            container.mount(&from, &format!("/etc/skein/{at}{name}"));
        }
    };
    let credential = ("AuthKey_ABCDE12345.p8", "credentials/");
    for (unit, instance, role, own) in [
        ("skein-sender@.service", "sender-1", "sender", vec![credential]),
        ("skein-monitor@.service", "monitor-1", "monitor", Vec::new()),
        ("skein-gateway.service", "", "gateway", vec![("gateway-keys", "credentials/")]),
    ] {
        let container = process(unit, instance, folder.path(), file(role));
        etc(&container, &own);
        container.run(&["config", "check", "--role", role, "--config", "/etc/skein/skein.toml"]);
    }
    for (role, password) in
        [("operator", "zookeeper-skein-operator.password"), ("support", "postgresql-skein-support.password")]
    {
        let person = Container::new(file(role), BTreeMap::new(), Vec::new());
        let own = format!("{role}.toml");
        for name in [own.as_str(), "skein.toml"] {
            person.mount(&deploy("systemd").join(name), &format!("/etc/skein/{name}"));
        }
        person.mount(&file(password), &format!("/etc/skein/secrets/{password}"));
        // The processes' key is not theirs.
        for (of_all, own) in [("ca.pem", "ca"), ("skein.pem", role), ("skein.key", role)] {
            let end = of_all.rsplit_once('.').unwrap().1;
            person.mount(&file(of_all), &format!("/etc/skein/{own}.{end}"));
        }
        let both = format!("/etc/skein/skein.toml,/etc/skein/{own}");
        person.run(&["config", "check", "--role", role, "--config", &both]);
    }
    let admin = Container::new(file("admin"), BTreeMap::new(), Vec::new());
    etc(&admin, &[("admin.toml", "")]);
    admins.iter().for_each(|name| admin.mount(&file(name), &format!("/etc/skein/{name}")));
    let both = "/etc/skein/skein.toml,/etc/skein/admin.toml";
    admin.run(&["config", "check", "--role", "operator", "--config", both]);
    // Init reads it, names the same files, and finds nobody at the hosts of the example.
    let words = ["cluster", "passwords", "--config", both, "--sender", "sender-1"];
    admin.run(&[&words[..], &["--credentials-folder", "/etc/skein/secrets"]].concat());
    assert!(admin.at("/etc/skein/secrets/rabbitmq-skein-sender-sender-1.password").is_file());
}
