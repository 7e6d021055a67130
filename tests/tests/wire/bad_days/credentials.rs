//! P5: a credential that is expired, revoked, for the other environment or another topic stops its own pool, keeps its queue and
//! alarms once; another pool, paced at 1,000 a second through the same sender, does not notice.

use super::alarms;
use super::crowd::{Kind, certificate, config, credential, simulator, spec};
use super::rig::{Pool, Rig};
use serde_json::json;
use skein_apns::Credential;
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::checker::FinalVerdict;
use skein_apns_sim::clock::monotonic_ns;
use skein_apns_sim::{Handle, SimulatorConfig};
use skein_apns_sim::{TokenState, fingerprint_of_hex};
use skein_core::retry_schedule::RetrySchedule;
use skein_sender::credential::slot::Slot;
use skein_tests::figures;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const GOOD: &str = "good";
/// Notifications of the bad pool, waiting from the beginning.
const WAITING: u64 = 500;
const TICK: Duration = Duration::from_millis(20);
const PER_TICK: u64 = 20;
/// Later than this is not in time.
const IN_TIME_NS: u64 = 1_000_000_000;

/// How many may end before two shards have noticed that it is not them.
const UNNOTICED: usize = 2 * 32;

/// What is wrong with the bad pool.
struct Case {
    name: &'static str,
    /// What stands in the alarm.
    cause: &'static str,
    credential: fn(&Handle) -> Credential,
    /// Each of its devices is of this state.
    devices: Option<TokenState>,
    /// How many of its notifications may end: those that were refused for good before it was noticed.
    ends_max: usize,
}

fn good(simulator: &Handle) -> Credential {
    credential(simulator, Kind::Certificate)
}

#[test]
fn p5_an_expired_certificate() {
    let expired = |simulator: &Handle| {
        certificate(simulator, &ClientCertificateSpec { sandbox: true, expired: true, ..spec() })
    };
    check(Case {
        name: "expired",
        cause: "client_certificate",
        credential: expired,
        devices: None,
        ends_max: 0,
    });
}

#[test]
fn p5_a_revoked_certificate() {
    let revoked = |simulator: &Handle| {
        let pair = simulator.authority().client(&ClientCertificateSpec { sandbox: true, ..spec() }).unwrap();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(pair.certificate.as_bytes());
        let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
        assert!(simulator.set_certificate_revoked(&der, true));
        let certificate =
            skein_apns::ClientCertificate::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes());
        Credential::Certificate(certificate.unwrap())
    };
    check(Case {
        name: "revoked",
        cause: "client_certificate",
        credential: revoked,
        devices: None,
        ends_max: 0,
    });
}

#[test]
fn p5_a_certificate_of_the_other_environment() {
    let production =
        |simulator: &Handle| certificate(simulator, &ClientCertificateSpec { production: true, ..spec() });
    check(Case {
        name: "environment",
        cause: "BadCertificateEnvironment",
        credential: production,
        devices: None,
        ends_max: 0,
    });
}

#[test]
fn p5_a_certificate_of_another_topic() {
    let other = |simulator: &Handle| {
        let topic = || "com.example.other".to_owned();
        let spec =
            ClientCertificateSpec { bundle_id: topic(), topics: vec![topic()], sandbox: true, ..spec() };
        certificate(simulator, &spec)
    };
    check(Case {
        name: "topic",
        cause: "TopicDisallowed",
        credential: other,
        devices: None,
        ends_max: UNNOTICED,
    });
}

#[test]
fn p5_device_tokens_of_the_other_environment() {
    check(Case {
        name: "tokens",
        cause: "BadDeviceToken",
        credential: good,
        devices: Some(TokenState::WrongEnvironment),
        ends_max: UNNOTICED,
    });
}

fn check(case: Case) {
    alarms::listen();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(beside(case));
}

async fn beside(case: Case) {
    let seconds = if super::is_full() { 20 } else { 3 };
    let simulator = simulator(SimulatorConfig::default());
    let mut pools = vec![Pool {
        name: case.name,
        config: config(&simulator),
        credential: Slot::new(Some((case.credential)(&simulator))),
    }];
    // Connects are paced as in service: a storm would show.
    pools[0].config.backoff_min = Duration::from_millis(250);
    pools[0].config.backoff_max = Duration::from_secs(30);
    pools[0].config.connect_interval_min = Duration::from_millis(100);
    pools.push(Pool {
        name: GOOD,
        config: config(&simulator),
        credential: Slot::new(Some(good(&simulator))),
    });
    let mut rig = Rig::start(pools, RetrySchedule::default(), (0.1, 10));
    if let Some(state) = case.devices {
        for device in 0..WAITING {
            simulator.set_token(fingerprint_of_hex(&super::rig::token(device)).unwrap(), state);
        }
    }
    rig.submit(case.name, 0..WAITING).await;

    let mut submitted: BTreeMap<u128, u64> = BTreeMap::new();
    let mut confirmed = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for tick in 0..seconds * 1_000 / (TICK.as_millis() as u64) {
        ticks.tick().await;
        let from = WAITING + tick * PER_TICK;
        let batch = rig.submit(GOOD, (0..PER_TICK).map(|n| WAITING + (from + n) % 5_000)).await;
        submitted.extend(batch.iter().map(|one| (one.id, monotonic_ns())));
        confirmed.extend(batch);
    }
    rig.settled(GOOD).await;
    let alarm = async || (!alarms::of(case.name).is_empty()).then_some(());
    skein_tests::until("the alarm", Duration::from_secs(60), alarm).await.unwrap();

    let (bad, books) = (rig.books(case.name), rig.books(GOOD));
    let log = simulator.log();
    let mut rows = log.rows.iter().filter(|row| submitted.contains_key(&row.id())).collect::<Vec<_>>();
    rows.sort_unstable_by_key(|row| row.read_ns());
    let late =
        |row: &&&skein_apns_sim::log::Row| row.read_ns().saturating_sub(submitted[&row.id()]) > IN_TIME_NS;
    let in_time = 1.0 - rows.iter().filter(late).count() as f64 / submitted.len() as f64;
    let gap_ns = rows.windows(2).map(|pair| pair[1].read_ns() - pair[0].read_ns()).max().unwrap_or(0);
    let (stats, alarms) = (simulator.stats(), alarms::of(case.name));
    let row = json!({
        "row": format!("isolation_{}", case.name), "seconds": seconds, "other_pool_submitted": submitted.len(),
        "in_time": in_time, "longest_gap_ms": gap_ns / 1_000_000, "kept": rig.pending(case.name),
        "ended": bad.verdicts.len(), "alarms": alarms.len(), "connections": stats.connections,
    });
    eprintln!("{row}\n{}", alarms.join("\n"));
    figures::append("bad-days", &row).unwrap();

    assert_eq!(books.count(FinalVerdict::Accepted), confirmed.len(), "the other pool's are accepted");
    // Times say something on a quiet machine only: they are held to by the full run, reported by the quick one.
    if super::is_full() {
        assert!(in_time >= 0.99, "P5: {in_time} in time");
        assert!(gap_ns <= IN_TIME_NS, "P5: a gap of {gap_ns} ns");
    }
    assert_eq!(bad.verdicts.len() + rig.pending(case.name), WAITING as usize, "P1: the queue is kept");
    assert!(bad.verdicts.len() <= case.ends_max, "{} of the bad pool ended", bad.verdicts.len());
    assert_eq!(bad.count(FinalVerdict::Failed), bad.verdicts.len(), "nothing is pruned");
    assert_eq!(alarms.len(), 1, "alarmed once: {alarms:#?}");
    assert!(alarms[0].contains(case.cause), "{}", alarms[0]);
    assert!(alarms[0].contains("ERROR") && alarms[0].contains("advice"), "a person must look: {}", alarms[0]);
    let paused = rig.view().paused[case.name].clone();
    assert!(paused.is_some_and(|why| why.contains(case.cause)), "the health page shows why it is paused");
    // Doubling pauses leave room for few connects; the other pool needs some.
    assert!(stats.connections < 40, "a reconnect storm: {} connections", stats.connections);
}
