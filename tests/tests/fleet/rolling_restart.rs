//! Every sender is restarted, one after the other, under load: its successor starts first and is given its queues, and nobody else
//! any.

use skein_test_site::run::Run;
use skein_tests::{need, until};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{END_LIMIT, QUEUES, REST_LIMIT, Rig, SENDERS, Services},
};

/// Where whatever ends is started again, who is succeeded must not end: it would join anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stays_when_it_is_succeeded_is_out_of_the_fleet_and_ends_when_asked() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut rig = Rig::start("stays", Services::shared().await, 7).await;
    let load = rig.load(7).await;
    let name = rig.senders[0].name.clone();
    rig.kill(0).await;
    rig.senders[0].start_as(&["--stay-when-succeeded"], &[]);
    rig.all_present().await;
    rig.at_rest().await;
    rig.add_sender(SENDERS, &["--succeeds", &name]).await;
    let left = async || {
        let members = rig.view().await?.members;
        let is_there = |name: &str| members.iter().any(|member| member.id.as_str() == name);
        (!is_there(&name) && is_there(&rig.senders[usize::from(SENDERS)].name)).then_some(())
    };
    until("the succeeded one to leave", REST_LIMIT, left).await.unwrap();
    rig.flowing(1_000).await;
    let first = &mut rig.senders[0];
    let status = first.child().exit_status();
    assert_eq!(status, None, "it stays; its log: {}", first.log());
    first.child().terminate();
    assert_eq!(first.ended(END_LIMIT).await, Some(0));
    load.finish().await;
}

/// P1, P2, P3: row `rolling-restart`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_restarted_without_a_copy() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new("rolling-restart", 1, 5);
    let mut rig = Rig::start_calm("rolling_restart", Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut running: Vec<usize> = (0..usize::from(SENDERS)).collect();
    // A claim anew raises the epoch, too: only another owner is a move.
    let (mut before, mut moves) = (rig.owners().await, 0);
    for _ in 0..run.runs {
        for place in &mut running {
            rig.flowing(run.random.between(200, 700)).await;
            let queues = rig.queues_of(*place as u8).await;
            let fault = rig.fault(*place, queues.clone());
            let name = rig.senders[*place].name.clone();
            let number = rig.senders.len() as u8;
            let successor = rig.add_sender(number, &["--succeeds", &name]).await;
            let code = rig.senders[*place].ended(END_LIMIT).await;
            assert_eq!(code, Some(0), "who is succeeded ends with 0; its log: {}", rig.senders[*place].log());
            let theirs = async || (rig.queues_of(number).await == queues).then_some(());
            until("the successor to own what its predecessor did", REST_LIMIT, theirs).await.unwrap();
            rig.taken_over(&load, &fault).await;
            rig.all_present().await;
            rig.at_rest().await;
            faults.push(fault);
            *place = successor;
            moves += rig.moves_since(&before).await;
            before = rig.owners().await;
        }
    }
    rig.flowing(500).await;
    moves += rig.moves_since(&before).await;
    assert_eq!(moves as u64, run.runs * u64::from(QUEUES), "each queue moves once a round");
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::None).await;
}
