//! The alarms: Prometheus takes them, each fires on its fault alone, and each has its heading in the runbook.

use std::collections::BTreeSet;

use crate::{deploy, run, try_run};

const RULES: &str = "alarms.yml";
const TESTS: [&str; 2] = ["alarms_test.yml", "alarms_week_test.yml"];

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy("prometheus").join(name)).unwrap()
}

fn runbook() -> String {
    std::fs::read_to_string(skein_tests::workspace_folder().join("docs/alarms.md")).unwrap()
}

/// The names of the alarms, in order.
fn alarms() -> Vec<String> {
    let rules = read(RULES);
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect()
}

#[test]
fn prometheus_takes_its_configuration_and_rules() {
    skein_tests::need!("prometheus");
    let told = run(&deploy("prometheus"), "promtool", ["check", "config", "prometheus.yml"]);
    assert!(told.contains(&format!("{} rules found", alarms().len())), "{told}");
}

#[test]
fn each_alarm_fires_on_its_fault_and_on_no_other() {
    skein_tests::need!("prometheus");
    run(&deploy("prometheus"), "promtool", ["test", "rules"].into_iter().chain(TESTS));
    let tests = TESTS.map(read).concat();
    for alarm in alarms() {
        assert!(tests.contains(&format!("- name: {alarm}\n")), "no test has the fault of {alarm}");
    }
}

/// The tests as they are where a Prometheus reads another fleet too, which lives, leads, runs another version, and whose pool is paused.
pub fn beside_another(fleet: &str) -> String {
    let (series, inputs) = ("- { series: '", "    input_series:\n");
    let tests = read(TESTS[0]);
    let own = |line: &str| match line.split_once(series) {
        Some((before, of)) => {
            format!("{before}{series}{}", of.replacen('{', &format!("{{fleet=\"{fleet}\","), 1))
        }
        None => line.to_owned(),
    };
    let tests: Vec<String> = tests.lines().map(own).collect();
    let other = [
        "up{fleet=\"other\",job=\"skein-sender\",instance=\"o1\"}",
        "skein_monitor_leads{fleet=\"other\",instance=\"o2\"}",
        "skein_build_info{fleet=\"other\",instance=\"o1\",version=\"9.9.9\"}",
        "skein_pool_paused{fleet=\"other\",instance=\"o1\",pool=\"im\"}",
    ];
    let other: Vec<String> =
        other.iter().map(|of| format!("      {series}{of}', values: '1x300' }}\n")).collect();
    tests.join("\n").replace(inputs, &(inputs.to_owned() + &other.concat()))
}

/// The rules hold for a fleet beside another.
pub fn hold_beside_another(rules: &str, fleet: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(RULES), rules).unwrap();
    std::fs::write(folder.path().join(TESTS[0]), beside_another(fleet)).unwrap();
    run(folder.path(), "promtool", ["test", "rules", TESTS[0]]);
}

#[test]
fn the_rules_of_one_fleet_made_as_the_runbook_says_hold_beside_another() {
    skein_tests::need!("prometheus");
    let runbook = runbook();
    let command = runbook.lines().find(|line| line.starts_with("sed ")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(RULES), read(RULES)).unwrap();
    run(folder.path(), "sh", ["-c", command]);
    let made = std::fs::read_to_string(folder.path().join("alarms-staging.yml")).unwrap();
    hold_beside_another(&made, "staging");
}

#[test]
fn a_rule_that_fires_on_a_healthy_fleet_is_noticed() {
    skein_tests::need!("prometheus");
    let folder = tempfile::tempdir().unwrap();
    let eager = read(RULES).replace("state=~\"unowned|owner_gone\"", "state=~\"unowned|owned\"");
    std::fs::write(folder.path().join(RULES), eager).unwrap();
    std::fs::write(folder.path().join(TESTS[0]), read(TESTS[0])).unwrap();
    let (success, told) = try_run(folder.path(), "promtool", ["test", "rules", TESTS[0]]);
    assert!(!success && told.contains("FAILED"), "{told}");
}

#[test]
fn each_alarm_has_its_heading_in_the_runbook_and_says_whom_it_wakes() {
    let (rules, runbook) = (read(RULES), runbook());
    let headings: BTreeSet<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("### ")).map(str::trim).collect();
    let alarms = alarms();
    assert_eq!(headings, alarms.iter().map(String::as_str).collect(), "a heading each, and none too many");
    for (name, rule) in alarms.iter().zip(rules.split("- alert: ").skip(1)) {
        let link = format!("runbook_url: docs/alarms.md#{}", name.to_lowercase());
        assert!(rule.contains(&link), "{name} does not say where its runbook is");
        let severity = ["page", "ticket"].iter().any(|s| rule.contains(&format!("severity: {s} ")));
        assert!(severity, "{name} does not say whom it wakes");
    }
}

#[test]
fn rules_and_dashboards_ask_only_for_what_is_exported() {
    let reference =
        std::fs::read_to_string(skein_tests::workspace_folder().join("docs/reference/metrics.md")).unwrap();
    let dashboards = std::fs::read_to_string(deploy("grafana").join("dashboards.toml")).unwrap();
    let text = read(RULES) + &dashboards;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("skein_")).collect();
    assert!(asked.len() > 30, "{asked:?}");
    for name in asked {
        let family =
            ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(reference.contains(&format!("`{family}`")), "{name} is asked for and exported by no role");
    }
}
