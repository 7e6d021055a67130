//! Each alarm that can be provoked on a fleet of one host: a real Prometheus evaluates the real rules while faults are made one by one, and
//! what fires is held against what must and what may. Only with `SKEIN_FAULTS=full`; with `SKEIN_FAULT=paused,slow` only the faults whose
//! names have one of these, and no row. Row `alarms`.
//!
//! The faults are in `faults`, `slow` and `account`. The rules' times (`for:`, ranges, the one threshold that is a time) are shortened by [`FASTER`], and Prometheus reads as much oftener.

mod account;
mod faults;
mod slow;

use std::{
    collections::BTreeSet,
    num::NonZero,
    time::{Duration, Instant},
};

use serde_json::json;
use skein_apns_sim::Faults;
use skein_test_site::{
    keys::API_KEY,
    load::Load,
    run::{commit, is_full},
    site::{POOL, Site, TOPIC},
};
use skein_tests::{figures, http, relay::Relay, until};
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    dashboards::percent,
    host::Version,
    installation::{Fleet, SENDERS, unit},
    prometheus::{Prometheus, shortened},
};

/// By so much the rules' times are shorter than they are.
const FASTER: u32 = 60;
/// How long an alarm may take to fire, and to end after its fault: the longest `for:` is two hours.
const FIRES_WITHIN: Duration = Duration::from_secs(240);
const ENDS_WITHIN: Duration = Duration::from_secs(240);
/// How long a fleet that is well is looked at.
const WELL: Duration = Duration::from_secs(30);

type Alarms = BTreeSet<String>;

struct Stage {
    fleet: Fleet,
    apns: Relay,
    prometheus: Prometheus,
    gateway: String,
    /// Where notifications of the pool are submitted.
    front: String,
    door: JoinHandle<()>,
    load: Load,
    /// What fired and must not have, or did not and must have.
    wrong: Vec<String>,
    provoked: Alarms,
    faults: u32,
}

impl Stage {
    async fn start() -> Self {
        let site = Site::new(Faults::default());
        let apns = Relay::start(site.simulator.addr()).await.unwrap();
        let mut fleet = Fleet::new(&Version::present(), site, Some(apns.address())).await;
        let monitors = ["skein-monitor@monitor-1", "skein-monitor@monitor-2"];
        let monitors = monitors.map(|name| fleet.start(name, "")[0]);
        let senders: Vec<u16> = (1..=SENDERS).map(|number| fleet.start(&unit(number, 'a'), "")[0]).collect();
        let [gateway, front] = fleet.start("skein-gateway", "");
        let load = fleet.load(1);
        fleet.at_rest(['a'; SENDERS as usize], 200).await;
        let at = |ports: &[u16]| ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>();
        let page = at(&[gateway]);
        let hosts = [
            ("sender", at(&senders)),
            ("monitor", at(&monitors)),
            ("gateway", page.clone()),
            ("rabbitmq", vec![fleet.services.0.metrics().to_string()]),
            ("alertmanager", Vec::new()),
        ];
        let folder = fleet.site.path("watch");
        slow::a_week_ago(&folder);
        let prometheus = Prometheus::start(&folder, &hosts, "500ms", |rules| shortened(&rules, FASTER)).await;
        let front = format!("http://127.0.0.1:{front}/v1/notifications?pool={POOL}");
        let door = tokio::spawn(submit_for_ever(front.clone()));
        let gateway = page[0].clone();
        let (wrong, provoked) = (Vec::new(), Alarms::new());
        Self { fleet, apns, prometheus, gateway, front, door, load, wrong, provoked, faults: 0 }
    }

    /// Looks until Prometheus has found and read everybody, which takes some seconds from its start: until then no sender is there, and it says so.
    async fn found(&self) {
        let query = percent(&format!("count(up == 1) >= {}", SENDERS + 2 + 1 + 2));
        let all = async || {
            let data = self.prometheus.ask(&format!("query?query={query}")).await;
            data["result"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
        };
        until("Prometheus to read everybody", FIRES_WITHIN, all).await.unwrap();
    }

    /// The alarms that fire, and those that are about to.
    async fn raised(&self) -> Alarms {
        let data = self.prometheus.ask("alerts").await;
        let alarms = data["alerts"].as_array().unwrap().iter();
        alarms.map(|alarm| alarm["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// What has fired since then, by what Prometheus has written down at each evaluation.
    async fn fired(&self, since: Instant) -> Alarms {
        let Some(seconds) = NonZero::new(since.elapsed().as_secs()) else { return Alarms::new() };
        let query =
            format!("max by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\"}}[{seconds}s]))");
        let data = self.prometheus.ask(&format!("query?query={}", percent(&query))).await;
        let alarms = data["result"].as_array().unwrap().iter();
        alarms.map(|alarm| alarm["metric"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Looks on until nothing fires nor is about to: else it would be put down to the next fault.
    async fn quiet(&self) {
        let none = async || self.raised().await.is_empty().then_some(());
        if until("every alarm to end", ENDS_WITHIN, none).await.is_err() {
            panic!("still raised: {:?}", self.raised().await);
        }
    }

    /// One fault: made, looked at until each alarm of `must` has fired, mended; nothing but those and `may` fires until all is quiet.
    async fn fault(
        &mut self,
        name: &str,
        must: &[&str],
        may: &[&str],
        make: impl AsyncFnOnce(&mut Self),
        mend: impl AsyncFnOnce(&mut Self),
    ) {
        if only().is_some_and(|only| !only.split(',').any(|part| name.contains(part))) {
            return;
        }
        let began = Instant::now();
        make(self).await;
        let all = async || {
            let fired = self.fired(began).await;
            must.iter().all(|alarm| fired.contains(*alarm)).then_some(())
        };
        let fired = until("the alarms to fire", FIRES_WITHIN, all).await;
        let took = began.elapsed().as_secs();
        mend(self).await;
        self.quiet().await;
        let seen = self.fired(began).await;
        let missing: Vec<&&str> = must.iter().filter(|alarm| !seen.contains(**alarm)).collect();
        let known = |alarm: &&String| must.contains(&alarm.as_str()) || may.contains(&alarm.as_str());
        let strange: Vec<&String> = seen.iter().filter(|alarm| !known(alarm)).collect();
        eprintln!("{name}: {took} s to fire; fired: {seen:?}");
        if fired.is_err() || !missing.is_empty() || !strange.is_empty() {
            self.wrong.push(format!("{name}: missing {missing:?}, not meant {strange:?}"));
        }
        self.provoked.extend(must.iter().map(|alarm| (*alarm).to_owned()));
        self.faults += 1;
    }

    /// Has the broker's management do it.
    async fn broker(&self, method: &str, path: &str, body: Option<&str>) {
        self.fleet.services.0.manage(method, path, body).await.unwrap();
    }

    /// Has the database do it.
    async fn ledger(&self, sql: &str) {
        self.fleet.services.2.query(&self.fleet.database, sql).await.unwrap();
    }

    /// The simulator has these faults meanwhile.
    async fn apns_fault(
        &mut self,
        name: &str,
        must: &[&str],
        may: &[&str],
        change: impl FnOnce(&mut Faults),
    ) {
        let mut faults = Faults::default();
        // Each write of an id may be refused, however often it was.
        faults.request.faults_per_id_max = u32::MAX;
        change(&mut faults);
        let make = async |stage: &mut Self| stage.fleet.site.simulator.set_faults(faults).unwrap();
        let mend = async |stage: &mut Self| stage.fleet.site.simulator.set_faults(Faults::default()).unwrap();
        self.fault(name, must, may, make, mend).await;
    }

    /// `kill -9` of these, with nobody who starts them again, until it is mended.
    async fn gone(&mut self, name: &str, must: &[&str], may: &[&str], units: &[String]) {
        let make =
            async |stage: &mut Self| units.iter().for_each(|unit| stage.fleet.host.process(unit).kill9());
        let mend = async |stage: &mut Self| stage.fleet.host.look_after().await;
        self.fault(name, must, may, make, mend).await;
    }
}

/// The faults that are asked for, if not all are.
fn only() -> Option<String> {
    std::env::var("SKEIN_FAULT").ok()
}

/// Callers of the front door, four a second, none of which waits for another.
async fn submit_for_ever(url: String) {
    let body =
        json!({"token": "ab".repeat(32), "topic": TOPIC, "payload": {"aps": {"badge": 1}}}).to_string();
    let mut callers = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        while callers.try_join_next().is_some() {}
        let (url, body) = (url.clone(), body.clone());
        callers.spawn(async move {
            let key = format!("Bearer {API_KEY}");
            http::request_with("POST", &url, &[("authorization", key.as_str())], Some(&body)).await.map(drop)
        });
    }
}

/// Row `alarms`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_alarm_fires_on_its_fault_in_a_real_fleet() {
    if !is_full() {
        eprintln!("only with SKEIN_FAULTS=full: a quarter of an hour");
        return;
    }
    skein_tests::need!("rabbitmq", "zookeeper", "postgresql", "prometheus");
    let started = Instant::now();
    let mut stage = Stage::start().await;
    stage.found().await;
    stage.quiet().await;
    let well = Instant::now();
    tokio::time::sleep(WELL).await;
    let fired = stage.fired(well).await;
    assert!(fired.is_empty(), "on a fleet that is well: {fired:?}");
    faults::apns(&mut stage).await;
    faults::senders_and_monitors(&mut stage).await;
    faults::services(&mut stage).await;
    faults::operators(&mut stage).await;
    slow::waiting(&mut stage).await;
    slow::versions_and_certificates(&mut stage).await;
    account::account(&mut stage).await;
    slow::lasting(&mut stage).await;

    let rules = std::fs::read_to_string(crate::deploy("prometheus").join("alarms.yml")).unwrap();
    let all = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let unprovoked: Vec<&str> = all.filter(|name| !stage.provoked.contains(*name)).collect();
    let Stage { load, door, wrong, provoked, faults, .. } = stage;
    door.abort();
    let sent = load.finish().await;
    let row = json!({
        "row": "alarms",
        "runs": faults,
        "failed": wrong.len(),
        "lost": null,
        "inversions": null,
        "seconds": started.elapsed().as_secs_f64(),
        "commit": commit(),
        "provoked": provoked.len(),
        "not_provoked": unprovoked,
        "times_shorter": FASTER,
        "notifications": sent.len(),
    });
    eprintln!("{row}");
    if only().is_none() {
        figures::append("operations", &row).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
