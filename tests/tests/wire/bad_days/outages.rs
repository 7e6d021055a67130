//! A name that does not resolve, a clock that is off, a chain that is not trusted: said so in one line, and no reconnect storm.

use super::alarms;
use super::crowd::{Kind, config, credential, simulator};
use super::rig::{Pool, Rig};
use crate::authority::Authority;
use skein_apns::{ClientConfig, Endpoint, Environment};
use skein_apns_sim::checker::FinalVerdict;
use skein_apns_sim::{Handle, SimulatorConfig};
use skein_core::retry_schedule::RetrySchedule;
use skein_sender::credential::slot::Slot;
use std::time::Duration;

const WAITING: u64 = 50;
/// How long it is watched; pauses between connects double from a quarter of a second.
const WATCHED: Duration = Duration::from_secs(6);
/// Two shards, each at once and after pauses of at least 1/8, 1/4, 1/2, 1, 2 s (half of what doubles is jitter), and a probe.
const CONNECTS_MAX: u64 = 2 * 8;

fn paced(config: ClientConfig) -> ClientConfig {
    ClientConfig {
        backoff_min: Duration::from_millis(250),
        backoff_max: Duration::from_secs(30),
        connect_interval_min: Duration::from_millis(100),
        ..config
    }
}

/// Lets a pool try for a while; what it said, and how often it connected to the simulator.
fn watch(name: &'static str, simulator: &Handle, config: ClientConfig, kind: Kind) -> (Vec<String>, u64) {
    watch_beside(name, simulator, config, kind, None)
}

/// The same beside another pool, which does not notice: what it submits is accepted.
fn watch_beside(
    name: &'static str,
    simulator: &Handle,
    config: ClientConfig,
    kind: Kind,
    other: Option<Pool>,
) -> (Vec<String>, u64) {
    alarms::listen();
    let pool = Pool { name, config: paced(config), credential: Slot::new(Some(credential(simulator, kind))) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let other_name = other.as_ref().map(|other| other.name);
        let pools = std::iter::once(pool).chain(other).collect();
        let mut rig = Rig::start(pools, RetrySchedule::default(), (0.1, 10));
        rig.submit(name, 0..WAITING).await;
        let said = async || (!alarms::of(name).is_empty()).then_some(());
        skein_tests::until("a line about it", Duration::from_secs(60), said).await.unwrap();
        // Not for something to happen, but for nothing to: the storm that must not come.
        tokio::time::sleep(WATCHED).await;
        if let Some(other) = other_name {
            rig.submit(other, WAITING..2 * WAITING).await;
            rig.settled(other).await;
            let accepted = rig.books(other).count(FinalVerdict::Accepted);
            assert_eq!(accepted, WAITING as usize, "P5: {other} beside {name}");
        }
        assert_eq!(rig.pending(name), WAITING as usize, "{name}: the queue is kept");
        assert!(!rig.view().troubles().is_empty(), "{name}: the health page is silent");
        (alarms::of(name), simulator.stats().connections)
    })
}

#[test]
fn a_name_that_does_not_resolve() {
    let simulator = simulator(SimulatorConfig::default());
    let endpoint = Endpoint::custom("apns.invalid", 443, Environment::Sandbox).unwrap();
    let config = ClientConfig { endpoint, ..config(&simulator) };
    let (said, _) = watch("dns", &simulator, config, Kind::Certificate);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains("WARN") && said[0].contains("dns") && said[0].contains("apns.invalid"),
        "{}",
        said[0]
    );
}

#[test]
fn a_chain_that_is_not_trusted() {
    let simulator = simulator(SimulatorConfig::default());
    let config = ClientConfig { roots: Authority::new().config(1).roots, ..config(&simulator) };
    let (said, connects) = watch("chain", &simulator, config, Kind::Token);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains("ERROR") && said[0].contains("tls_chain") && said[0].contains("roots"),
        "{}",
        said[0]
    );
    eprintln!("{}\n{connects} connects in {WATCHED:?}", said[0]);
    assert!((1..=CONNECTS_MAX).contains(&connects), "{connects} connects");
}

#[test]
fn p5_a_clock_that_is_two_hours_off() {
    for (token_pool, other_pool, clock_offset_s) in
        [("clock-behind", "beside-behind", 7_200), ("clock-ahead", "beside-ahead", -7_200)]
    {
        // Provider tokens that are made now are two hours old by APNs' clock, or not yet made.
        let simulator = simulator(SimulatorConfig { clock_offset_s, ..SimulatorConfig::default() });
        let other = Pool {
            name: other_pool,
            config: config(&simulator),
            credential: Slot::new(Some(credential(&simulator, Kind::Certificate))),
        };
        let (said, connects) =
            watch_beside(token_pool, &simulator, config(&simulator), Kind::Token, Some(other));
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(
            said[0].contains("ExpiredProviderToken") && said[0].contains("this machine's clock"),
            "{}",
            said[0]
        );
        assert_eq!(alarms::of(other_pool), [""; 0], "it harms only itself");
        eprintln!("{}\n{connects} connects in {WATCHED:?}", said[0]);
        assert!((1..=CONNECTS_MAX).contains(&connects), "{connects} connects");
    }
}
