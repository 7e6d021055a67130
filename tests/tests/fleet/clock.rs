//! The wall clock of one host is wrong: nobody moves anything, and nothing pauses; unless it is so slow that APNs refuses the provider
//! tokens that are made by it.

use std::{path::Path, time::Duration};

use skein_apns_sim::authority::ClientCertificateSpec;
use skein_core::fleet::{Health, Member};
use skein_test_site::{
    keys,
    run::{Run, is_full},
    site::{Site, TOPIC},
};
use skein_tests::{need, skipped, until};

use crate::{
    bounds::progress,
    outcome::{Copies, Measure, judge},
    rig::{END_LIMIT, QUEUES, Rig, SENDERS, SESSION_TIMEOUT, START_LIMIT, Services, calm_sessions},
    takeover::{Costs, Fault, quantile_ms},
};

/// What sets one process's wall clock, from the package `libfaketime`.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// What a host proves with to APNs who it is.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// Provider tokens, made by its clock: APNs takes one for an hour.
    Key,
    Certificate,
}

/// One host after the other.
const CLOCKS: [(&str, Proof); SENDERS as usize] =
    [("+1h", Proof::Key), ("-1h", Proof::Certificate), ("-30m", Proof::Key)];
/// A provider token is an hour old when it is made.
const TOO_SLOW: &str = "-1h";
/// A host that is started again owns nothing. Balance would see to that, and in a run that takes its time just while a clock is looked at.
const POLICY: &str = "half_gone_window = \"2s\"\nflap_losses_max = 100\nbalance_act_after = \"1h\"\n";
/// How long each clock is looked at.
const WITHIN: Duration = Duration::from_secs(6);
/// How long it may take until a queue whose owner's clock is too slow is another's.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(150);

/// P1, P2, P3: row `clock`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_wall_clock_moves_nothing() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let Some(library) = library() else { return };
    let run = Run::new("clock", CLOCKS.len() as u64, CLOCKS.len() as u64);
    let mut rig = Rig::start_with("clock", Services::shared().await, run.seed, POLICY, calm_sessions()).await;
    let load = rig.load(run.seed).await;
    let (mut faults, mut others) = (Vec::new(), Vec::new());
    let mut moves = 0;
    for (victim, (offset, proof)) in CLOCKS.into_iter().enumerate() {
        restart_with(&mut rig, victim, library, offset, proof).await;
        // What another owns now comes to it: it is the one under test.
        let from = (victim as u8 + 1) % SENDERS;
        for queue in rig.queues_of(from).await {
            rig.hand_over(queue, victim).await;
        }
        rig.at_rest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        assert!(!queues.is_empty(), "{before:?}");
        let fault = rig.fault(victim, queues);
        rig.until_after(fault.at_ns, WITHIN).await;
        moves += rig.moves_since(&before).await;
        let of_others = (0..QUEUES).filter(|queue| !fault.queues.contains(queue)).collect();
        others.push(Fault { queues: of_others, ..fault.clone() });
        faults.push(fault);
    }
    // A machine with more to do than it can answers after the deadline of a request, too, which leaves that in doubt.
    let copies = if is_full() { Copies::None } else { Copies::Possible };
    let judged = judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, copies).await;
    let others = Costs::of_pauses(&others, &judged.timeline, WITHIN).gaps;
    let [p50, p99] = [0.5, 0.99].map(|quantile| quantile_ms(&others, quantile));
    progress(&format!(
        "clock: the other senders' queues meanwhile: longest pause p50 {p50:?}, p99 {p99:?} ms"
    ));
    assert_eq!(moves, 0, "no queue moves for a clock");
}

/// P1, P2, P3, P5: row `clock-too-slow`. The pool pauses there with an alarm that names the clock, and its queues go to senders that
/// APNs does not refuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_an_hour_slow_is_named_and_its_queues_go_to_others() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let Some(library) = library() else { return };
    // Each host once: one that was refused before is the last to get queues again.
    let run = Run::new("clock-too-slow", 1, u64::from(SENDERS));
    let mut rig =
        Rig::start_with("clock-too-slow", Services::shared().await, run.seed, POLICY, SESSION_TIMEOUT).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for victim in 0..run.runs as usize {
        restart_with(&mut rig, victim, library, TOO_SLOW, Proof::Key).await;
        let queue = 0;
        rig.hand_over(queue, victim).await;
        let before = rig.owners().await;
        let fault = rig.fault(victim, vec![queue]);
        let told = async || rig.senders[victim].log().contains("check this machine's clock").then_some(());
        until("an alarm that names the clock", HAND_OVER_LIMIT, told).await.unwrap();
        let left = async || rig.queues_of(victim as u8).await.is_empty().then_some(());
        if until("its queues with others", HAND_OVER_LIMIT, left).await.is_err() {
            panic!("{:#?}; {}", rig.fleet_page().await, rig.senders[victim].log());
        }
        rig.taken_over(&load, &fault).await;
        moves += rig.moves_since(&before).await;
        faults.push(fault);
        // Its clock is set.
        rig.senders[victim].terminate();
        assert_eq!(rig.senders[victim].ended(END_LIMIT).await, Some(0));
        rig.senders[victim].start();
        rig.all_present().await;
        rig.at_rest().await;
    }
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}

/// The library; noted as skipped if there is none.
fn library() -> Option<&'static str> {
    let found = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        skipped::note(&skipped::this_test(), "libfaketime not installed");
    }
    found
}

/// Starts a sender again with a wrong clock: it comes back without queues.
async fn restart_with(rig: &mut Rig, victim: usize, library: &str, offset: &str, proof: Proof) {
    rig.senders[victim].terminate();
    assert_eq!(rig.senders[victim].ended(END_LIMIT).await, Some(0));
    if let Proof::Certificate = proof {
        give_certificate(&rig.site, &rig.senders[victim].name);
    }
    rig.senders[victim].start_with(&[
        ("LD_PRELOAD", library),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    // What does not reach the broker yet is given nothing, and the plan forgets who asked for that.
    rig.senders[victim].ready(START_LIMIT).await;
    let id = rig.member(victim);
    let reaches = |member: &Member| member.id == id && member.broker == Health::Healthy;
    let joined = async || rig.view().await?.members.iter().any(reaches).then_some(());
    until("a sender whom the broker answers", START_LIMIT, joined).await.unwrap();
    rig.all_present().await;
    rig.at_rest().await;
}

/// Has a sender's configuration name a certificate in place of the key.
fn give_certificate(site: &Site, sender: &str) {
    let spec = ClientCertificateSpec {
        bundle_id: TOPIC.into(),
        topics: vec![TOPIC.into()],
        sandbox: true,
        ..ClientCertificateSpec::default()
    };
    let pair = site.simulator.authority().client(&spec).unwrap();
    let folder = site.path("");
    keys::private_file(&folder, "push.pem", &format!("{}{}", pair.certificate, pair.key));
    let name = format!("{sender}.toml");
    let text = std::fs::read_to_string(site.path(&name)).unwrap();
    let line = text.lines().find(|line| line.starts_with("credential = ")).expect("a pool's credential");
    let text = text.replace(line, r#"credential = { kind = "certificate", file = "push.pem" }"#);
    site.write(&name, &text);
}
