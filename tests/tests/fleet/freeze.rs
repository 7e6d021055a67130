//! A sender stands still for longer than its session, others take its queues, and it goes on without knowing.

use skein_tests::need;

use crate::{outcome::Measure, rounds::rounds};

/// P1, P2, P3: row `freeze`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_sender_is_succeeded_and_thaws_into_a_shut_gate() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("freeze", (2, 30), Measure::NextOwner, async |rig, load, random| {
        let victim = rig.busiest().await;
        let queues = rig.queues_of(victim as u8).await;
        let mut fault = rig.fault(victim, queues);
        fault.at_ns = rig.senders[victim].freeze();
        rig.taken_over(load, &fault).await;
        rig.flowing(random.between(50, 500)).await;
        rig.senders[victim].thaw();
        rig.all_present().await;
        fault
    })
    .await;
}
