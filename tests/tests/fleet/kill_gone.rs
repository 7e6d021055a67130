//! A sender is killed and does not come back: the monitor hears it from the broker and gives its queues to the others.

use skein_tests::need;

use crate::{outcome::Measure, rounds::rounds};

/// P1, P2, P3: row `kill-gone`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queues_of_a_killed_sender_go_to_the_others() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("kill-gone", (3, 50), Measure::NextOwner, async |rig, load, _| {
        let victim = rig.busiest().await;
        let fault = rig.kill(victim).await;
        rig.taken_over(load, &fault).await;
        fault
    })
    .await;
}

/// P1, P2, P3: row `kill-gone-no-monitor`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_dies_with_the_leading_monitor() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("kill-gone-no-monitor", (1, 10), Measure::NextOwner, async |rig, load, _| {
        let victim = rig.busiest().await;
        let monitor = rig.kill_leader().await;
        let fault = rig.kill(victim).await;
        rig.taken_over(load, &fault).await;
        rig.at_rest().await;
        assert_ne!(rig.leader().await, rig.monitors[monitor].name, "the other monitor leads");
        fault
    })
    .await;
}

/// P2: row `double-kill`: the second owner dies before the window that came back to it is through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_owner_dies_before_the_first_window_is_through() {
    need!("rabbitmq", "zookeeper", "postgresql");
    rounds("double-kill", (2, 30), Measure::NextOwner, async |rig, load, random| {
        let victim = random.below(rig.senders.len());
        let first = rig.kill(victim).await;
        rig.senders[victim].start();
        // As soon as the new life has written anything at all, whatever came back to it is under way.
        rig.any_taken_over(load, &first).await;
        let second = rig.kill(victim).await;
        rig.senders[victim].start();
        rig.taken_over(load, &second).await;
        second
    })
    .await;
}
