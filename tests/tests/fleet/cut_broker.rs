//! The sender's sockets to the broker are reset while its process lives: it keeps its queues, or another has them soon.

use std::time::Duration;

use skein_tests::need;

use crate::{outcome::Measure, rounds::rounds};

/// How long after the reset a pause still counts as its doing.
const WITHIN: Duration = Duration::from_secs(2);

/// P1, P2, P3: row `cut-broker`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_whose_broker_sockets_are_reset_comes_back_or_is_succeeded() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("cut-broker", (4, 30), Measure::LongestPause(WITHIN), async |rig, _, _| {
        let victim = rig.busiest().await;
        let queues = rig.queues_of(victim as u8).await;
        let fault = rig.fault(victim, queues);
        rig.senders[victim].relays.broker.cut_all();
        rig.flowing(1_000).await;
        fault
    })
    .await;
}
