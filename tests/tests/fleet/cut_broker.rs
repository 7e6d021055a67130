//! The sender's sockets to the broker are reset while its process lives: it keeps its queues, or another has them soon.

use std::time::Duration;

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// How long after the reset a pause still counts as its doing.
const WITHIN: Duration = Duration::from_secs(2);

/// P1, P2, P3: row `cut-broker`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_whose_broker_sockets_are_reset_comes_back_or_is_succeeded() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("cut-broker", 4, 30);
    let rig = Rig::start("cut_broker", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        faults.push(rig.fault(victim, queues));
        rig.senders[victim].relays.broker.cut_all();
        rig.flowing(1_000).await;
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, Copies::Possible).await;
}
