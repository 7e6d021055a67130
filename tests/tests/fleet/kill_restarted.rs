//! A sender is killed and started again in its place at once: its queues stay, and it need not wait.

use skein_tests::need;

use crate::{outcome::Measure, rounds::rounds};

/// P1, P2, P3: row `kill-restarted`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_that_is_started_again_keeps_its_queues() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("kill-restarted", (5, 100), Measure::NextOwner, async |rig, load, random| {
        let victim = random.below(rig.senders.len());
        let fault = rig.kill(victim).await;
        rig.senders[victim].start();
        rig.taken_over(load, &fault).await;
        fault
    })
    .await;
}
