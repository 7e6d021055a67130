//! The wall clock of one host is wrong: nobody moves anything, and nothing pauses. A clock so slow that APNs refuses the provider tokens
//! made by it is a case of the wire tests.

use std::{path::Path, time::Duration};

use skein_test_site::run::Run;
use skein_tests::{need, skipped};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{END_LIMIT, Rig, Services},
};

/// What sets one process's wall clock, from the package `libfaketime`.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
const OFFSETS: [&str; 2] = ["+1h", "-30m"];
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
