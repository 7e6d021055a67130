//! The units: systemd takes them, and its own judge of hardening finds little to say.

use std::path::Path;

use crate::{copy, deploy, run};

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
