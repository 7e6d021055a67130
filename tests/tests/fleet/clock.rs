//! The wall clock of one host is wrong: nobody moves anything, and nothing pauses; unless it is so slow that APNs refuses the provider
//! tokens that are made by it.

use std::{path::Path, time::Duration};

use skein_test_site::run::Run;
use skein_tests::{need, skipped, until};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{END_LIMIT, REST_LIMIT, Rig, Services},
};

/// What sets one process's wall clock, from the package `libfaketime`.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
const OFFSETS: [&str; 2] = ["+1h", "-30m"];
/// Provider tokens made then are an hour old, which APNs refuses.
const TOO_SLOW: &str = "-1h";
/// How long each clock is looked at.
const WITHIN: Duration = Duration::from_secs(6);

/// P1, P2, P3: row `clock`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_wall_clock_moves_nothing() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let Some(library) = library() else { return };
    let run = Run::new("clock", 2, 2);
    let mut rig = Rig::start("clock", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for (victim, offset) in OFFSETS.into_iter().enumerate() {
        restart_with(&mut rig, victim, library, offset).await;
        // What another owns now comes to it: it is the one under test.
        for queue in rig.queues_of(2).await {
            rig.hand_over(queue, victim).await;
        }
        rig.at_rest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        let fault = rig.fault(victim, queues);
        rig.until_after(fault.at_ns, WITHIN).await;
        moves += rig.moves_since(&before).await;
        faults.push(fault);
    }
    judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, Copies::None).await;
    assert_eq!(moves, 0, "no queue moves for a clock");
}

/// P1, P2, P3, P5: row `clock-too-slow`. The pool pauses there with an alarm that names the clock, and its queue goes to a sender that
/// APNs does not refuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_an_hour_slow_is_named_and_its_queue_goes_to_another() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let Some(library) = library() else { return };
    let run = Run::new("clock-too-slow", 1, 1);
    let mut rig = Rig::start("clock-too-slow", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    restart_with(&mut rig, 2, library, TOO_SLOW).await;
    let queue = rig.queues_of(0).await[0];
    rig.hand_over(queue, 2).await;
    let before = rig.owners().await;
    let fault = rig.fault(2, vec![queue]);
    let told = async || rig.senders[2].log().contains("check this machine's clock").then_some(());
    until("an alarm that names the clock", REST_LIMIT, told).await.unwrap();
    let left = async || (rig.queues_of(2).await.is_empty()).then_some(());
    until("its queue with another", REST_LIMIT, left).await.unwrap();
    let moves = rig.moves_since(&before).await;
    rig.senders[2].terminate();
    assert_eq!(rig.senders[2].ended(END_LIMIT).await, Some(0));
    rig.senders[2].start();
    rig.all_present().await;
    rig.at_rest().await;
    judge(rig, &run, load, &[fault], Measure::NextOwner, moves, Copies::Possible).await;
    assert_eq!(moves, 1, "the refused sender's queue, and no other");
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
async fn restart_with(rig: &mut Rig, victim: usize, library: &str, offset: &str) {
    rig.senders[victim].terminate();
    assert_eq!(rig.senders[victim].ended(END_LIMIT).await, Some(0));
    rig.senders[victim].start_with(&[
        ("LD_PRELOAD", library),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    rig.all_present().await;
    rig.at_rest().await;
}
