//! The leader of an ensemble dies: ZooKeeper's, under load; nobody who sends notices.

use std::time::Duration;

use skein_test_site::run::Run;
use skein_tests::{need, services::ZooKeeper, until};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{REST_LIMIT, Rig, Services},
};

/// How long after the kill a pause still counts as its doing.
const WITHIN: Duration = Duration::from_secs(5);

/// P1, P2, P3, P7: row `ensembles`, the half of ZooKeeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeepers_leader_is_killed() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("ensemble-zookeeper", 1, 10);
    let mut ensemble = ZooKeeper::start_ensemble().await.unwrap();
    let zookeepers = ensemble.iter().map(|server| server.client()).collect();
    let services = Services { zookeepers, ..Services::shared().await };
    let rig = Rig::start("ensemble", services, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let before = rig.owners().await;
    for _ in 0..run.runs {
        rig.flowing(500).await;
        let leads = async || {
            for (number, server) in ensemble.iter().enumerate() {
                if server.leads().await.unwrap_or(false) {
                    return Some(number);
                }
            }
            None
        };
        let leader = until("a leading ZooKeeper", REST_LIMIT, leads).await.unwrap();
        for number in 0..rig.senders.len() {
            let queues = rig.queues_of(number as u8).await;
            faults.push(rig.fault(number, queues));
        }
        ensemble[leader].kill9();
        rig.flowing(2_000).await;
        ensemble[leader].start_again().await.unwrap();
        rig.all_present().await;
        rig.at_rest().await;
    }
    let moves = rig.moves_since(&before).await;
    judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, Copies::None).await;
    assert_eq!(moves, 0, "no queue moves for ZooKeeper's sake");
}
