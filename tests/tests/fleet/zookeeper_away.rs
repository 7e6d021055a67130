//! ZooKeeper is stopped under load, a sender is killed and started again meanwhile, and ZooKeeper comes back.

use std::time::Duration;

use skein_apns_sim::clock::monotonic_ns;
use skein_test_site::run::{Run, is_full};
use skein_tests::{need, services::ZooKeeper};

use crate::{
    bounds::{Figure, compare},
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// What APNs has read so soon after it was made is in time.
const SOON: Duration = Duration::from_secs(1);

/// P1, P2, P3, P7: row `zookeeper-away`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_goes_on_without_zookeeper() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let away = Duration::from_secs(if is_full() { 60 } else { 12 });
    let run = Run::new("zookeeper-away", 1, 1);
    let mut zookeeper = ZooKeeper::start().await.unwrap();
    let services = Services { zookeepers: vec![zookeeper.client()], ..Services::shared().await };
    let mut rig = Rig::start("zk_away", services, run.seed).await;
    let load = rig.load(run.seed).await;
    rig.flowing(500).await;
    let before = rig.owners().await;
    let queues = rig.queues_of(1).await;
    let stopped = monotonic_ns();
    zookeeper.stop().await.unwrap();
    rig.until_after(stopped, away / 2).await;
    let mut fault = rig.fault(1, queues);
    fault.at_ns = rig.senders[1].kill();
    rig.senders[1].start();
    rig.until_after(stopped, away).await;
    zookeeper.start_again().await.unwrap();
    let back = monotonic_ns();
    rig.taken_over(&load, &fault).await;
    rig.all_present().await;
    rig.at_rest().await;
    let healed_ms = (monotonic_ns() - back) as f64 / 1e6;
    let moves = rig.moves_since(&before).await;
    rig.flowing(500).await;
    let faults = [fault];
    let judged = judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
    let killed = |queue: u16| faults[0].queues.contains(&queue);
    let figures = [
        (Figure::InTime, judged.in_time_percent(stopped, back, SOON, |_| true)),
        (Figure::InTimeOfTheOthers, judged.in_time_percent(stopped, back, SOON, |queue| !killed(queue))),
        (Figure::Heals, Some(healed_ms)),
    ];
    compare(run.row, &figures);
    assert_eq!(moves, 0, "P7: nobody moves anything without ZooKeeper, and all are there when it is back");
}
