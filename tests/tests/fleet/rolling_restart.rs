//! Every sender is restarted, one after the other, under load: its queues go to the others in order.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// P1, P2, P3: row `rolling-restart`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_restarted_without_a_copy() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("rolling-restart", 1, 5);
    let mut rig = Rig::start("rolling_restart", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        for number in 0..rig.senders.len() {
            rig.flowing(run.random.between(200, 700)).await;
            let before = rig.owners().await;
            let queues = rig.queues_of(number as u8).await;
            let fault = rig.fault(number, queues);
            rig.senders[number].terminate();
            let code = rig.senders[number].ended(crate::rig::END_LIMIT).await;
            assert_eq!(code, Some(0), "a drained sender ends with 0; its log: {}", rig.senders[number].log());
            rig.senders[number].start();
            rig.taken_over(&load, &fault).await;
            rig.all_present().await;
            rig.at_rest().await;
            moves += rig.moves_since(&before).await;
            faults.push(fault);
        }
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::None).await;
}
