//! Two processes that want to be the same member.

use skein_test_site::run::Run;
use skein_tests::need;

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{END_LIMIT, Rig, Services},
};

/// P1, P2, P3: one that finds its member's lock held gives up; one that cannot see the lock takes the member's place in the fleet,
/// and the process that had it leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_has_one_process() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("one-place", 1, 1);
    let mut rig = Rig::start("one_place", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    rig.flowing(300).await;
    let before = rig.owners().await;

    let mut second = rig.senders[0].beside(&["sender.lock_wait=300ms"]);
    let code = second.wait_exit(END_LIMIT).await.unwrap().code();
    assert_eq!(code, Some(3), "the lock is held; its log: {}", second.log());
    assert!(second.log().contains("another sender named s0"), "{}", second.log());
    rig.flowing(300).await;
    assert_eq!(rig.moves_since(&before).await, 0, "it has touched nothing");

    let folder = format!("sender.state_folder={}", rig.site.path("elsewhere").display());
    let queues = rig.queues_of(0).await;
    let fault = rig.fault(0, queues);
    let mut first = rig.senders[0].replace(&[&folder]);
    let code = first.wait_exit(END_LIMIT).await.unwrap().code();
    assert_eq!(code, Some(1), "its place is taken; its log: {}", first.log());
    assert!(first.log().contains("another process named s0"), "{}", first.log());
    rig.senders[0].predecessor_has_ended(&first);
    rig.taken_over(&load, &fault).await;
    rig.all_present().await;
    rig.at_rest().await;
    let moves = rig.moves_since(&before).await;
    judge(rig, &run, load, &[fault], Measure::NextOwner, moves, Copies::Possible).await;
    assert_eq!(moves, 0, "the member keeps its queues");
}
