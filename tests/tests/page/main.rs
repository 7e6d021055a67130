//! The health page in a real browser, while a sender of a real fleet is killed.
//!
//! The fleet is `skein dev cluster`: what the README's tour starts is what is tested. Pictures go to `target/page/`; those in
//! `docs/` are copies of them.

mod browser;

use std::time::Duration;

use browser::Tab;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skein_tests::{
    process::{Child, skein},
    target_folder, until,
};

const START_LIMIT: Duration = Duration::from_secs(120);
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
/// A sender that a busy machine brings up late gets its share by balance, which waits for a minute.
const SPREAD_LIMIT: Duration = Duration::from_secs(150);
const END_LIMIT: Duration = Duration::from_secs(60);
/// Notifications a second: half of it gathers in the dead sender's queues until another owns them.
const LOAD: u32 = 400;
/// So much more than before the kill shows that it gathers.
const RISE: u64 = 40;

const OWNERS: &str =
    "JSON.stringify([...document.querySelectorAll('tr[data-queue]')].map(row => row.dataset.owner))";
/// `null` while it is not known.
const BACKLOG: &str = "Number(document.querySelector('[data-now=backlog]').dataset.value || NaN)";
const RATE: &str = "Number(document.querySelector('[data-now=rate]').dataset.value)";
/// What is done, each with its reason.
const DONE: &str =
    "[...document.querySelectorAll('[data-part=plan] .why')].map(cell => cell.textContent).join(' | ')";
const ALARMS: &str =
    "[...document.querySelectorAll('.glance strong')].map(alarm => alarm.textContent).join(' | ')";
const LINK: &str = "document.getElementById('link').textContent";

struct Cluster {
    child: Child,
    told: Value,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("skein-page-").tempdir().unwrap();
        let own = folder.path().join("skein-dev").display().to_string();
        let load = LOAD.to_string();
        let arguments = ["dev", "cluster", "--load", &load, "--folder", &own, "--json"];
        let mut child = skein(arguments).unwrap().start().unwrap();
        let line = child.wait_for_line("\"roles\"", START_LIMIT).await.unwrap();
        Self { child, told: serde_json::from_str(&line).unwrap(), _folder: folder }
    }

    fn page(&self) -> &str {
        self.told["page"].as_str().unwrap()
    }

    /// Starts a role again, as a person would.
    fn start_again(&self, role: &str, name: &str) -> Child {
        let shared = self.told["config"].as_str().unwrap();
        let own = shared.replace("skein.toml", &format!("{name}.toml"));
        skein(["run", role, "--config", shared, "--config", &own]).unwrap().start().unwrap()
    }

    /// Sends a signal to a role, by its name.
    fn signal(&self, role: &str, signal: Signal) {
        let roles = self.told["roles"].as_array().unwrap();
        let role = roles.iter().find(|r| r["role"] == role).unwrap_or_else(|| panic!("no {role}"));
        let pid = i32::try_from(role["pid"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

fn owners(tab: &mut Tab) -> Vec<String> {
    serde_json::from_str(tab.value(OWNERS).as_str().unwrap()).unwrap()
}

fn number(tab: &mut Tab, expression: &str) -> Option<u64> {
    tab.value(expression).as_f64().map(|value| value as u64)
}

#[tokio::test]
async fn queues_move_before_the_readers_eyes() {
    skein_tests::need!("rabbitmq", "zookeeper", "postgresql", "chromium");
    let mut cluster = Cluster::start().await;
    let mut tab = Tab::open(cluster.page());
    let spread = async || {
        let owners = owners(&mut tab);
        let of = |name: &str| owners.iter().filter(|owner| *owner == name).count();
        (of("sender-1") > 0 && of("sender-1") + of("sender-2") == owners.len() && of("sender-2") > 0)
            .then_some(())
    };
    until("both senders to own queues on the page", SPREAD_LIMIT, spread).await.unwrap();
    let flowing = async || number(&mut tab, RATE).filter(|rate| *rate > u64::from(LOAD) / 2);
    until("the rate on the page", CHANGE_LIMIT, flowing).await.unwrap();
    let live = async || tab.value(LINK).as_str().is_some_and(|text| text == "live").then_some(());
    until("the script to run under the page's policy", CHANGE_LIMIT, live).await.unwrap();
    let few = async || number(&mut tab, BACKLOG).filter(|backlog| *backlog < RISE);
    let calm = until("a small backlog", CHANGE_LIMIT, few).await.unwrap();
    tab.value("window.notReloaded = true");
    // A keyboard's reader stands in the table that is about to change.
    tab.value("document.querySelector('[data-part=queues] [tabindex]').focus()");

    // Frozen first: nobody takes its queues over before its session ends, after 8 s, and the broker counts every 5.
    cluster.signal("sender-1", Signal::STOP);
    let risen = async || number(&mut tab, BACKLOG).filter(|backlog| *backlog > calm + RISE);
    until("the backlog to rise on the page", CHANGE_LIMIT, risen).await.unwrap();
    cluster.signal("sender-1", Signal::KILL);
    let moved = async || owners(&mut tab).iter().all(|owner| owner == "sender-2").then_some(());
    until("every queue to be sender-2's on the page", CHANGE_LIMIT, moved).await.unwrap();
    // The page is the first monitor's, whether it leads or waits: it tells why, and who is gone.
    let told = async || {
        let done = tab.value(DONE);
        let is_told = done.as_str().is_some_and(|done| done.contains("sender-1"));
        (is_told && tab.value(ALARMS).as_str().is_some_and(|alarms| alarms.contains("sender gone")))
            .then_some(())
    };
    until("the page to tell what was done and who is gone", CHANGE_LIMIT, told).await.unwrap();
    let focused = tab.value("document.activeElement.closest('[data-part]').dataset.part");
    assert_eq!(focused, "queues", "what is replaced does not take the focus away");
    tab.value("document.activeElement.blur(), scrollTo(0, 0)");
    let fallen = async || number(&mut tab, BACKLOG).filter(|backlog| *backlog <= calm + RISE);
    until("the backlog to fall on the page", CHANGE_LIMIT, fallen).await.unwrap();
    assert_eq!(tab.value("window.notReloaded"), Value::Bool(true), "the page was not loaded again");
    assert_eq!(
        tab.complaints(),
        Vec::<String>::new(),
        "nothing is refused by the page's policy, nothing thrown"
    );

    let pictures = target_folder().join("page");
    for (scheme, width, name) in [("light", 1280, "light"), ("dark", 1280, "dark"), ("dark", 375, "phone")] {
        tab.picture(scheme, width, &pictures.join(format!("health-{name}.png")));
        let wide = tab.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{name}: only tables scroll sideways, not the page ({wide})");
    }

    cluster.signal("monitor-1", Signal::KILL);
    let told = async || tab.value(LINK).as_str().is_some_and(|text| text.contains("is old")).then_some(());
    until("the page to say that it is old", CHANGE_LIMIT, told).await.unwrap();
    let _again = cluster.start_again("monitor", "monitor-1");
    let told = async || tab.value(LINK).as_str().is_some_and(|text| text == "live").then_some(());
    until("the page to be live again", CHANGE_LIMIT, told).await.unwrap();
    cluster.child.interrupt();
    let status = cluster.child.wait_exit(END_LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(0), "control-C ends all of it; its log: {}", cluster.child.log());
}
