//! A sender loses one of the four it speaks to, without a word: no packet passes, and no socket closes.

use std::time::Duration;

use skein_test_site::run::Run;
use skein_tests::{need, relay::Relay};

use crate::{
    member::Relays,
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
};

/// From whom it is cut off, for how long, and whether another takes over.
struct Cut {
    row: &'static str,
    name: &'static str,
    relay: fn(&Relays) -> &Relay,
    lasts: Duration,
    moves: bool,
}

/// Heartbeats tell the broker after two to three of them; then its queues move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_rabbitmq() {
    let lasts = Duration::from_secs(20);
    check(Cut {
        row: "cut-silent-rabbitmq",
        name: "silent_rabbitmq",
        relay: |r| &r.broker,
        lasts,
        moves: true,
    })
    .await;
}

/// Its session ends; its queues move, and it is closed out at the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_zookeeper() {
    let lasts = Duration::from_secs(10);
    check(Cut {
        row: "cut-silent-zookeeper",
        name: "silent_zookeeper",
        relay: |r| &r.zookeeper,
        lasts,
        moves: true,
    })
    .await;
}

/// It holds what it has and says so; its queues move to who is not cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_apns() {
    let lasts = Duration::from_secs(25);
    check(Cut { row: "cut-silent-apns", name: "silent_apns", relay: |r| &r.apns, lasts, moves: true }).await;
}

/// Facts go to the broker meanwhile; nothing moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_postgresql() {
    let lasts = Duration::from_secs(12);
    check(Cut {
        row: "cut-silent-postgresql",
        name: "silent_ledger",
        relay: |r| &r.ledger,
        lasts,
        moves: false,
    })
    .await;
}

/// P1, P2, P3.
async fn check(cut: Cut) {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut run = Run::new(cut.row, 1, 10);
    let rig = Rig::start(cut.name, Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        let fault = rig.fault(victim, queues);
        let relay = (cut.relay)(&rig.senders[victim].relays);
        relay.silence();
        if cut.moves {
            rig.taken_over(&load, &fault).await;
        }
        rig.until_after(fault.at_ns, cut.lasts).await;
        let during = rig.moves_since(&before).await;
        relay.resume();
        rig.all_present().await;
        rig.at_rest().await;
        rig.flowing(500).await;
        assert_eq!(during, rig.moves_since(&before).await, "no queue goes back when the cut is over");
        assert_eq!(during, if cut.moves { fault.queues.len() } else { 0 }, "moves of {:?}", fault.queues);
        moves += during;
        faults.push(fault);
    }
    let measure = if cut.moves { Measure::NextOwner } else { Measure::LongestPause(cut.lasts) };
    judge(rig, &run, load, &faults, measure, moves, Copies::Possible).await;
}
