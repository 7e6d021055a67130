//! A sender loses one of the four it speaks to, without a word: no packet passes, and no socket closes.

use std::time::Duration;

use skein_tests::{need, relay::Relay};

use crate::{member::Relays, outcome::Measure, rounds::rounds};

/// From whom it is cut off, and whether another takes over.
struct Cut {
    row: &'static str,
    relay: fn(&Relays) -> &Relay,
    /// How long it is cut off, if nobody is to take over; else it is until the queues are seen to stay where they went.
    nobody_for: Option<Duration>,
}

/// Heartbeats tell the broker after two to three of them; then its queues move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_rabbitmq() {
    check(Cut { row: "cut-silent-rabbitmq", relay: |r| &r.broker, nobody_for: None }).await;
}

/// Its session ends; its queues move, and it is closed out at the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_zookeeper() {
    check(Cut { row: "cut-silent-zookeeper", relay: |r| &r.zookeeper, nobody_for: None }).await;
}

/// It holds what it has and says so; its queues move to who is not cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_apns() {
    check(Cut { row: "cut-silent-apns", relay: |r| &r.apns, nobody_for: None }).await;
}

/// Facts go to the broker meanwhile; nothing moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_postgresql() {
    let lasts = Duration::from_secs(12);
    check(Cut { row: "cut-silent-postgresql", relay: |r| &r.ledger, nobody_for: Some(lasts) }).await;
}

/// P1, P2, P3.
async fn check(cut: Cut) {
    need!("rabbitmq", "zookeeper", "postgresql");
    let measure = cut.nobody_for.map_or(Measure::NextOwner, Measure::LongestPause);
    rounds(cut.row, (1, 10), measure, async |rig, load, _| {
        let victim = rig.busiest().await;
        let before = rig.owners().await;
        let queues = rig.queues_of(victim as u8).await;
        let fault = rig.fault(victim, queues);
        let relay = (cut.relay)(&rig.senders[victim].relays);
        relay.silence();
        match cut.nobody_for {
            Some(lasts) => rig.until_after(fault.at_ns, lasts).await,
            None => {
                rig.taken_over(load, &fault).await;
                rig.flowing(1_000).await;
            }
        }
        let moved = rig.moves_since(&before).await;
        relay.resume();
        rig.all_present().await;
        rig.at_rest().await;
        rig.flowing(500).await;
        assert_eq!(moved, rig.moves_since(&before).await, "no queue goes back when the cut is over");
        let due = if cut.nobody_for.is_none() { fault.queues.len() } else { 0 };
        assert_eq!(moved, due, "moves of {:?}", fault.queues);
        fault
    })
    .await;
}
