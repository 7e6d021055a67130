//! A fresh Debian host from `deploy/systemd`: `skein cluster init`, the fleet up, a kill, an upgrade under load from the previous
//! version, a way back. The previous version is the program that `SKEIN_BIN_OLD` names, with the units of `SKEIN_DEPLOY_OLD`.
//!
//! Each role has the narrow users of `cluster init` and no other. Row `upgrade`.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use skein_apns_sim::{Faults, checker::FinalVerdict};
use skein_core::seam::FleetStore as _;
use skein_test_site::{
    books::Books,
    run::{Run, commit},
    site::Site,
};
use skein_tests::{figures, until};

use crate::{
    host::Version,
    installation::{Fleet, QUEUES, SENDERS, member, unit},
};

/// How long anything that is waited for may take.
const LIMIT: Duration = Duration::from_secs(120);

impl Fleet {
    /// Waits until these senders own everything, nobody is being succeeded, and so much more has been sent.
    pub async fn at_rest(&mut self, track: [char; SENDERS as usize], more: u64) {
        let from = self.site.simulator.stats().requests;
        let wanted: Vec<String> =
            (1..=SENDERS).zip(track).map(|(number, track)| member(number, track)).collect();
        let Self { host, store, site, .. } = self;
        let rests = async || {
            host.look_after().await;
            // Who is succeeded ends, and stays down.
            let units = host.names();
            let running: Vec<&str> =
                units.iter().filter_map(|name| name.strip_prefix("skein-sender@")).collect();
            let view = store.read().await.ok()?;
            let members: Vec<&str> = view.members.iter().map(|member| member.id.as_str()).collect();
            let owned = |owner: &str| wanted.iter().any(|name| name == owner);
            let settled = view.queues.iter().map(|queue| &queue.assignment).filter(|queue| {
                let owner =
                    queue.owner.as_ref().filter(|_| queue.predecessor_gone && queue.successor.is_none());
                owner.is_some_and(|owner| {
                    owned(owner.member.as_str()) && view.members.iter().any(|member| member.owner() == *owner)
                })
            });
            let flown = site.simulator.stats().requests >= from + more;
            (flown && members == wanted && running == wanted && settled.count() == QUEUES).then_some(())
        };
        if until("the fleet at rest", LIMIT, rests).await.is_err() {
            panic!("it does not come to rest with {wanted:?}: {:#?}", self.store.read().await);
        }
    }

    /// The fleet to another version: monitors first, then each sender by its successor.
    async fn replace(&mut self, version: &Version, tracks: (char, char)) {
        self.host.install(version);
        for monitor in ["skein-monitor@monitor-1", "skein-monitor@monitor-2"] {
            self.host.restart(monitor).await;
            self.led().await;
        }
        let mut now = [tracks.0; SENDERS as usize];
        for number in 1..=SENDERS {
            let environment = format!("SUCCEEDS=--succeeds {}\n", member(number, tracks.0));
            self.start(&unit(number, tracks.1), &environment);
            now[usize::from(number - 1)] = tracks.1;
            self.at_rest(now, 100).await;
        }
    }

    /// Waits until a monitor leads.
    async fn led(&self) {
        let leads = async || (!self.store.monitors().await.ok()?.is_empty()).then_some(());
        until("a leading monitor", LIMIT, leads).await.unwrap();
    }

    pub async fn settled(&self, count: usize) -> bool {
        let all = async || {
            let sql = format!("SELECT count(*) >= {count} FROM skein.final");
            let rows = self.services.2.query(&self.database, &sql).await.ok()?;
            (rows[0][0].as_deref() == Some("t")).then_some(())
        };
        until("every verdict", LIMIT, all).await.is_ok()
    }
}

/// P1, P2, P3: row `upgrade`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_from_the_units_is_upgraded_under_load_and_goes_back() {
    skein_tests::need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("upgrade", 1, 5);
    let started = Instant::now();
    let (new, old) = (Version::present(), Version::previous());
    let mut fleet = Fleet::new(&old, Site::new(Faults::default()), None).await;
    for monitor in ["skein-monitor@monitor-1", "skein-monitor@monitor-2"] {
        fleet.start(monitor, "");
    }
    for number in 1..=SENDERS {
        fleet.start(&unit(number, 'a'), "");
    }
    let load = fleet.load(run.seed);
    fleet.at_rest(['a'; 3], 200).await;
    for round in 0..run.runs {
        let victim = (round % u64::from(SENDERS)) as u8 + 1;
        fleet.host.kill(&unit(victim, 'a')).await;
        fleet.at_rest(['a'; 3], 200).await;
        fleet.host.install(&new);
        fleet.init();
        fleet.replace(&new, ('a', 'b')).await;
        fleet.host.kill(&unit(victim, 'b')).await;
        fleet.at_rest(['b'; 3], 200).await;
        fleet.replace(&old, ('b', 'a')).await;
        fleet.at_rest(['a'; 3], 200).await;
    }
    let sent = load.finish().await;
    assert!(fleet.settled(sent.len()).await, "P1: every verdict");
    for name in fleet.host.names() {
        fleet.host.stop(&name).await;
    }
    let log = fleet.site.simulator.log();
    let books = Books::read(&fleet.services.2, &fleet.database).await;
    let report = books.against(&sent, &log);
    let row = json!({
        "row": run.row,
        "runs": run.runs,
        "failed": books.verdicts.len() as u64 - books.count(FinalVerdict::Accepted),
        "lost": report.lost,
        "inversions": report.inversions,
        "seconds": started.elapsed().as_secs_f64(),
        "commit": commit(),
        "from_another_version": fs::read(&new.program).unwrap() != fs::read(&old.program).unwrap(),
        "duplicates": report.duplicates,
        "notifications": sent.len(),
    });
    eprintln!("{row}");
    figures::append("operations", &row).unwrap();
    assert!(report.is_clean() && report.unconfirmed == 0, "P1, P2, P3: {report}");
    books.assert_identity(&sent, &log);
    assert_eq!(books.count(FinalVerdict::Accepted), sent.len() as u64, "{:?}", books.by_label());
}
