//! Every query of the dashboards, every alarm and every metric, by a real Prometheus that reads a real fleet under faults.
//!
//! Row `dashboards`: so many queries were answered. The fleet is `skein dev cluster`; Prometheus has `deploy/prometheus` as it is, but
//! for the hosts and the pace.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use skein_test_site::run::commit;
use skein_tests::{
    figures, http,
    process::{Child, skein},
    until,
};
use tempfile::TempDir;

use crate::{deploy, pictures::draw_if_asked, prometheus::Prometheus, try_run};

const START_LIMIT: Duration = Duration::from_secs(120);
const FIGURES_LIMIT: Duration = Duration::from_secs(120);
const END_LIMIT: Duration = Duration::from_secs(60);
/// Notifications a second.
const LOAD: &str = "100";
/// How many series one role may have for one pool: what does not grow with tokens, users or notifications stays below it.
const SERIES_MAX: usize = 400;
/// So many devices are sent to, far more than there may be series.
const DEVICES: &str = "3000";

/// A fleet, and a Prometheus that reads it.
pub struct Watched {
    fleet: Child,
    /// What the fleet says of itself.
    pub told: Value,
    pub prometheus: Prometheus,
    pub folder: TempDir,
}

impl Watched {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("skein-watched-").tempdir().unwrap();
        let own = folder.path().join("skein-dev").display().to_string();
        let arguments = ["dev", "cluster", "--queues", "4", "--load", LOAD, "--devices", DEVICES];
        let further = ["--faults", "--folder", &own, "--json"];
        let mut fleet = skein(arguments.into_iter().chain(further)).unwrap().start().unwrap();
        let line = fleet.wait_for_line("\"roles\"", START_LIMIT).await.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let services = told["services"].as_array().unwrap();
        let broker = services.iter().find(|service| service[0] == "its metrics").unwrap();
        let mut hosts: Vec<(&str, Vec<String>)> =
            ["sender", "monitor", "gateway"].map(|kind| (kind, pages(&told, kind))).into();
        hosts.push(("rabbitmq", vec![broker[1].as_str().unwrap().trim_end_matches("/metrics").to_owned()]));
        hosts.push(("alertmanager", Vec::new()));
        let prometheus = Prometheus::start(folder.path(), &hosts, "1s", |rules| rules).await;
        Self { fleet, told, prometheus, folder }
    }

    /// What a query has as its answer now: numbers only.
    async fn numbers(&self, query: &str) -> Vec<f64> {
        let data = self.prometheus.ask(&format!("query?query={}", percent(query))).await;
        let value = |sample: &Value| sample["value"][1].as_str()?.parse::<f64>().ok();
        let values = data["result"].as_array().unwrap().iter().filter_map(value);
        values.filter(|value| value.is_finite()).collect()
    }

    /// The pages of the roles of one kind.
    fn pages(&self, kind: &str) -> Vec<String> {
        pages(&self.told, kind)
    }

    /// Submits at the front door, so that it has something to tell.
    pub async fn submit(&self) {
        let services = self.told["services"].as_array().unwrap();
        let front = services.iter().find(|service| service[0] == "gateway").unwrap();
        let front = front[1].as_str().unwrap().split(' ').next().unwrap();
        let key = std::fs::read_to_string(self.folder.path().join("skein-dev/api.key")).unwrap();
        let body =
            json!({"token": "ab".repeat(32), "topic": "com.example.im", "payload": {"aps": {"badge": 1}}});
        let headers = [("authorization", format!("Bearer {}", key.trim()))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = format!("{front}/v1/notifications?pool=im");
        let answer = http::request_with("POST", &url, &headers, Some(&body.to_string())).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    async fn end(mut self) {
        self.prometheus.process.terminate();
        self.prometheus.process.wait_exit(END_LIMIT).await.unwrap();
        self.fleet.interrupt();
        self.fleet.wait_exit(END_LIMIT).await.unwrap();
    }
}

fn pages(told: &Value, kind: &str) -> Vec<String> {
    let roles = told["roles"].as_array().unwrap().iter();
    let of_kind = roles.filter(|role| role["role"].as_str().unwrap().starts_with(kind));
    of_kind.map(|role| role["pages"].as_str().unwrap().to_owned()).collect()
}

pub fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[tokio::test]
async fn every_query_has_an_answer_every_alarm_is_evaluated_every_metric_is_well_named() {
    skein_tests::need!("rabbitmq", "zookeeper", "postgresql", "prometheus");
    let began = Instant::now();
    let watched = Watched::start().await;
    let source = std::fs::read_to_string(deploy("grafana").join("dashboards.toml")).unwrap();
    let dashboards = skein_dashboards::read(&source).unwrap();
    let mut answered = 0;
    for panel in dashboards.iter().flat_map(|dashboard| &dashboard.panels) {
        for query in panel.queries_for_all_pools() {
            // One that may be empty must still be one that Prometheus understands.
            let there = async || {
                // A quantile of nothing is no number: the front door has to be used while it is asked about.
                watched.submit().await;
                let numbers = watched.numbers(&query).await;
                (panel.optional || !numbers.is_empty()).then_some(())
            };
            let what = format!("an answer for {}: {query}", panel.title);
            until(&what, FIGURES_LIMIT, there).await.unwrap();
            answered += 1;
        }
    }
    assert!(answered > 50, "{answered} queries");

    let groups = watched.prometheus.ask("rules").await["groups"].clone();
    let rules: Vec<&Value> =
        groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 30);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{}: {}", rule["name"], rule["lastError"]);
        assert_ne!(rule["state"], "firing", "on a fleet that is well: {}", rule["name"]);
    }
    // A page that a busy machine answers late once is up at the next look.
    let all_up = async || {
        let targets = watched.prometheus.ask("targets").await["activeTargets"].clone();
        targets.as_array().unwrap().iter().all(|target| target["health"] == "up").then_some(())
    };
    if until("every target to be up", FIGURES_LIMIT, all_up).await.is_err() {
        panic!("{:#}", watched.prometheus.ask("targets").await["activeTargets"]);
    }
    for kind in ["sender", "monitor", "gateway"] {
        for page in watched.pages(kind) {
            let text = http::get(&format!("{page}/metrics")).await.unwrap().body;
            well_named(watched.folder.path(), kind, &text);
            for name in counters(kind) {
                // One that begins when it first counts has no first increase: alarms and panels would miss it.
                assert!(text.contains(&format!("\n{name}")), "{kind}: {name} is not there from the start");
            }
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            assert!(series < SERIES_MAX, "{kind}: {series} series for one pool and {DEVICES} devices");
            // What the load writes into `app` is named by no setting.
            assert!(apps(&text).iter().all(|app| *app == "other"), "{kind}: {:?}", apps(&text));
        }
    }
    draw_if_asked(&watched, &dashboards).await;
    watched.end().await;
    let row = json!({
        "row": "dashboards",
        "runs": answered,
        "failed": 0,
        "lost": null,
        "inversions": null,
        "seconds": began.elapsed().as_secs_f64(),
        "commit": commit(),
    });
    figures::append("operations", &row).unwrap();
}

/// What a role counts, by the reference.
fn counters(kind: &str) -> Vec<String> {
    let path = skein_tests::workspace_folder().join("docs/reference/metrics.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let section = |section: &&str| section.to_lowercase().starts_with(kind);
    let section = reference.split("\n## ").find(section).unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let counters: Vec<String> = names.filter(|name| name.ends_with("_total")).map(str::to_owned).collect();
    assert!(counters.len() > 1, "{kind}: {reference}");
    counters
}

/// The apps that a page has labels of.
fn apps(text: &str) -> BTreeSet<&str> {
    text.split("app=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Prometheus' own lint: base units, `_total` on what counts, a help text each.
fn well_named(folder: &Path, kind: &str, text: &str) {
    std::fs::write(folder.join("metrics"), text).unwrap();
    let (success, told) = try_run(folder, "sh", ["-c", "promtool check metrics <metrics"]);
    assert!(success, "{kind}: {told}");
}
