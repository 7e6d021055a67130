//! A sender is killed and does not come back: the monitor hears it from the broker and gives its queues to the others.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// P1, P2, P3: row `kill-gone`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queues_of_a_killed_sender_go_to_the_others() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("kill-gone", 3, 50);
    let mut rig = Rig::start("kill_gone", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let fault = rig.kill(victim).await;
        rig.taken_over(&load, &fault).await;
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
        faults.push(fault);
        rig.senders[victim].start();
        rig.all_present().await;
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}

/// P1, P2, P3: row `kill-gone-no-monitor`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_dies_with_the_leading_monitor() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("kill-gone-no-monitor", 1, 10);
    let mut rig = Rig::start("no_monitor", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let monitor = rig.kill_leader().await;
        let fault = rig.kill(victim).await;
        rig.taken_over(&load, &fault).await;
        rig.at_rest().await;
        assert_ne!(rig.leader().await, rig.monitors[monitor].name, "the other monitor leads");
        moves += rig.moves_since(&before).await;
        faults.push(fault);
        rig.start_monitor(monitor);
        rig.senders[victim].start();
        rig.all_present().await;
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}

/// P2: row `double-kill`: the second owner dies before the window that came back to it is through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_owner_dies_before_the_first_window_is_through() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("double-kill", 2, 30);
    let mut rig = Rig::start("double_kill", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = run.random.below(rig.senders.len());
        let before = rig.owners().await;
        let first = rig.kill(victim).await;
        rig.senders[victim].start();
        // As soon as the new life has written anything at all, whatever came back to it is under way.
        rig.any_taken_over(&load, &first).await;
        let second = rig.kill(victim).await;
        rig.senders[victim].start();
        rig.taken_over(&load, &second).await;
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
        faults.push(second);
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}
