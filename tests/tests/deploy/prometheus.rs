//! A Prometheus with the settings of `deploy/prometheus`, but for the hosts and the pace.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use skein_tests::{
    http,
    ports::Port,
    process::{Child, Program},
};

use crate::{copy, deploy};

const START_LIMIT: Duration = Duration::from_secs(120);

/// A running one.
pub struct Prometheus {
    pub process: Child,
    /// Its address.
    pub at: String,
    settings: PathBuf,
    _port: Port,
}

impl Prometheus {
    /// In a folder of its own; `hosts` of each kind, read each `pace`; `rules` may change the rules.
    pub async fn start(
        folder: &Path,
        hosts: &[(&str, Vec<String>)],
        pace: &str,
        rules: impl FnOnce(String) -> String,
    ) -> Self {
        let port = Port::claim();
        let settings = settings(folder, hosts, pace, rules);
        let mut program = Program::new("prometheus");
        program.command().current_dir(&settings).args([
            "--config.file=prometheus.yml".to_owned(),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ]);
        let mut process = program.start().unwrap();
        let at = format!("http://127.0.0.1:{port}");
        process.wait_ready(&format!("{at}/-/ready"), START_LIMIT).await.unwrap();
        Self { process, at, settings, _port: port }
    }

    /// It reads these hosts of a kind from now on.
    pub fn hosts(&self, kind: &str, hosts: &[String]) {
        list(&self.settings, kind, hosts);
    }

    /// The data of an answer of its API.
    pub async fn ask(&self, path: &str) -> Value {
        let answer = http::get(&format!("{}/api/v1/{path}", self.at)).await.unwrap();
        assert!(answer.is_success(), "{path}: {}", answer.body);
        answer.json().unwrap()["data"].clone()
    }
}

fn settings(
    folder: &Path,
    hosts: &[(&str, Vec<String>)],
    pace: &str,
    rules: impl FnOnce(String) -> String,
) -> PathBuf {
    let own = folder.join("prometheus");
    copy(&deploy("prometheus"), &own);
    let read = |name: &str| std::fs::read_to_string(own.join(name)).unwrap();
    let config = read("prometheus.yml");
    assert!(config.contains("interval: 15s"));
    let config = config.replace("interval: 15s", &format!("interval: {pace}"));
    std::fs::write(own.join("prometheus.yml"), config).unwrap();
    std::fs::write(own.join("alarms.yml"), rules(read("alarms.yml"))).unwrap();
    for (kind, hosts) in hosts {
        list(&own, kind, hosts);
    }
    own
}

fn list(settings: &Path, kind: &str, hosts: &[String]) {
    let hosts: Vec<&str> = hosts.iter().map(|host| host.trim_start_matches("http://")).collect();
    let text = serde_json::json!([{"targets": hosts}]).to_string();
    std::fs::write(settings.join(format!("targets/{kind}.yml")), text).unwrap();
}

/// The rules with every time shortened: `for:`, ranges, and the seconds that a notification may wait. `offset 1w` stays.
pub fn shortened(rules: &str, times: u32) -> String {
    let mut out = String::new();
    let mut rest = rules;
    while let Some((at, start)) = ["[", "for: "].iter().filter_map(|s| rest.find(s).map(|at| (at, *s))).min()
    {
        out.push_str(&rest[..at + start.len()]);
        rest = &rest[at + start.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[digits..(digits + 1).min(rest.len())] {
            "m" => 60,
            "h" => 3600,
            _ => continue,
        };
        if let Ok(count) = rest[..digits].parse::<u32>() {
            out.push_str(&format!("{}ms", count * seconds * 1000 / times));
            rest = &rest[digits + 1..];
        }
    }
    out.push_str(rest);
    out.replace(") > 300\n", &format!(") > {}\n", 300 / times))
}

#[test]
fn times_are_shortened_and_nothing_else() {
    let rules = "expr: rate(a[5m]) / \"(.+)[.]q\" offset 1w\n for: 1h\n) > 300\n > 0.1";
    let short = "expr: rate(a[5000ms]) / \"(.+)[.]q\" offset 1w\n for: 60000ms\n) > 5\n > 0.1";
    assert_eq!(shortened(rules, 60), short);
}
