//! Queues move in order: nothing is written twice, and the gap is short.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// P1, P2, P3: row `hand-over`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_moved_leaves_a_short_gap_and_no_copy() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("hand-over", 20, 200);
    let rig = Rig::start_calm("hand_over", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    for _ in 0..run.runs {
        rig.flowing(run.random.between(50, 250)).await;
        // Of who has most: each sender keeps some, and with them connections that the broker tells the monitors of.
        let from = rig.busiest().await;
        let queues = rig.queues_of(from as u8).await;
        let queue = queues[run.random.below(queues.len())];
        let to = (from + 1 + run.random.below(rig.senders.len() - 1)) % rig.senders.len();
        let fault = rig.hand_over(queue, to).await;
        rig.taken_over(&load, &fault).await;
        faults.push(fault);
    }
    rig.flowing(500).await;
    let moves = faults.len();
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::None).await;
}
