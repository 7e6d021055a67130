//! A sender stands still for longer than its session, others take its queues, and it goes on without knowing.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// P1, P2, P3: row `freeze`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_sender_is_succeeded_and_thaws_into_a_shut_gate() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("freeze", 2, 30);
    let mut rig = Rig::start("freeze", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        let mut fault = rig.fault(victim, queues);
        fault.at_ns = rig.senders[victim].freeze();
        rig.taken_over(&load, &fault).await;
        rig.flowing(run.random.between(50, 500)).await;
        rig.senders[victim].thaw();
        rig.all_present().await;
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
        faults.push(fault);
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}
