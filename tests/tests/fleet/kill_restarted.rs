//! A sender is killed and started again in its place at once: its queues stay, and it need not wait.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// P1, P2, P3: row `kill-restarted`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_that_is_started_again_keeps_its_queues() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("kill-restarted", 5, 100);
    let mut rig = Rig::start("kill_restarted", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = run.random.below(rig.senders.len());
        let before = rig.owners().await;
        let fault = rig.kill(victim).await;
        rig.senders[victim].start();
        rig.taken_over(&load, &fault).await;
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
        faults.push(fault);
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}
