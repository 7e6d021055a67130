//! What APNs says no to: the credential, the settings, one device too often, everything for a while.

use std::time::Duration;

use skein_core::answer::{Answer, InDoubt, Reply};
use skein_core::memory::{Reaction, ScriptedTransport};
use skein_core::seam::{Ledger, Submit};
use skein_core::{FinalVerdict, Notification, Reason, Slot, Timestamp};

use crate::fleet::*;

fn refusing(status: u16, reason: Reason) -> ScriptedTransport {
    ScriptedTransport::new(move |_| Answer::Reply(Reply::refusal(status, reason.clone())).into())
}

fn spread(fleet: &Fleet, count: u64) -> Vec<Notification> {
    (0..count).map(|n| fleet.notification(n as u8, n)).collect()
}

#[test]
fn p5_a_refused_credential_pauses_the_pool_and_keeps_its_queue() {
    local(async {
        let transport = ScriptedTransport::new(|_| {
            Answer::Reply(Reply::refusal(403, Reason::InvalidProviderToken)).into()
        });
        let fleet = start(transport, 1000, 50);
        let many: Vec<Notification> = (0..40).map(|n| fleet.notification(n as u8, n)).collect();
        fleet.broker.submit(&fleet.pool, many).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let writes = fleet.transport.writes().len();
        assert!(writes < 60, "a paused pool only probes, yet it wrote {writes} times in two minutes");
        let depth = fleet.broker.pool_depth(&fleet.pool);
        assert_eq!(depth.ready + depth.unsettled, 40);
        assert!(!fleet.shard.status.view().troubles().is_empty());
    });
}

#[test]
fn p5_a_wrong_environment_stops_the_pool_and_prunes_nothing() {
    local(async {
        let fleet = start(refusing(400, Reason::BadDeviceToken), 1000, 500);
        fleet.broker.submit(&fleet.pool, spread(&fleet, 250)).await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        let failed = tally.of(FinalVerdict::Failed);
        assert_eq!(failed, 31, "those before it was noticed; with the 32nd the pool stops");
        assert_eq!(tally.total(), failed, "no token is given up");
        let depth = fleet.broker.pool_depth(&fleet.pool);
        assert_eq!((depth.ready + depth.unsettled) as u64, 250 - failed, "the queue is kept");
        let troubles = fleet.shard.status.view().troubles();
        assert!(troubles.iter().any(|line| line.contains("BadDeviceToken")), "{troubles:?}");
        let slots: Vec<Slot> = (0..1024).filter_map(Slot::new).collect();
        let gone = fleet.ledger.gone(&fleet.pool, &slots).await.unwrap();
        assert!(gone.is_empty());
    });
}

#[test]
fn p5_what_was_kept_is_written_when_the_settings_are_right_again() {
    local(async {
        let wrong = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let is_wrong = wrong.clone();
        let transport = ScriptedTransport::new(move |_| {
            let refused = Answer::Reply(Reply::refusal(400, Reason::BadDeviceToken));
            let wrong = is_wrong.load(std::sync::atomic::Ordering::Relaxed);
            (if wrong { refused } else { Answer::Reply(Reply::bare(200)) }).into()
        });
        let fleet = start(transport, 1000, 500);
        fleet.broker.submit(&fleet.pool, spread(&fleet, 250)).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        wrong.store(false, std::sync::atomic::Ordering::Relaxed);
        fleet.settled(0).await;
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!((tally.of(FinalVerdict::Failed), tally.of(FinalVerdict::Accepted)), (31, 219));
        assert!(fleet.shard.status.view().troubles().is_empty());
    });
}

#[test]
fn a_throttled_device_waits_alone() {
    local(async {
        let transport = ScriptedTransport::new(|write| {
            let throttled = write.token.as_bytes() == [7];
            let busy = Answer::Reply(Reply::refusal(429, Reason::TooManyRequests));
            (if throttled { busy } else { Answer::Reply(Reply::bare(200)) }).into()
        });
        let fleet = start(transport, 1000, 500);
        fleet.broker.submit(&fleet.pool, spread(&fleet, 200)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!(tally.of(FinalVerdict::Accepted), 199, "other lanes flow");
        fleet.settled(0).await;
        let writes = fleet.transport.writes().iter().filter(|write| write.token.as_bytes() == [7]).count();
        assert_eq!(writes, 6, "the first, and one for each pause of the schedule");
    });
}

#[test]
fn retries_stay_within_the_pool_s_budget() {
    local(async {
        let transport = ScriptedTransport::new(|_| {
            let lost = Answer::InDoubt(InDoubt::ConnectionLost);
            Reaction::Answer(Duration::from_millis(1), lost)
        });
        let fleet = start(transport, 5000, 5000);
        let many: Vec<Notification> =
            (0..1500_u64).map(|n| fleet.notification_of(&format!("{n:04x}"), n)).collect();
        fleet.broker.submit(&fleet.pool, many).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let writes = fleet.transport.writes().len();
        let allowed = 1500 + 1000 + 150 + 60 * 10;
        assert!(writes > 1500 && writes <= allowed + 20, "{writes} writes; allowed are {allowed}");
    });
}

#[test]
fn after_a_fault_of_the_service_one_early_try_then_apple_s_quarter_of_an_hour() {
    local(async {
        let fleet = start(refusing(500, Reason::InternalServerError), 1000, 500);
        fleet.broker.submit(&fleet.pool, vec![fleet.notification(1, 0)]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(fleet.transport.writes().len(), 2);
        tokio::time::sleep(Duration::from_secs(14 * 60)).await;
        assert_eq!(fleet.transport.writes().len(), 2);
        fleet.settled(0).await;
        assert_eq!(fleet.transport.writes().len(), 3);
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!(tally.of(FinalVerdict::Failed), 1);
    });
}

#[test]
fn p4_p8_more_gone_tokens_than_fit_are_looked_up_and_not_written_to() {
    local(async {
        let gone = |write: &skein_core::seam::Write| write.token.as_bytes()[0] < 20;
        let transport = ScriptedTransport::new(move |write| {
            let refusal = Reply { timestamp: None, ..Reply::refusal(410, Reason::Unregistered) };
            Answer::Reply(if gone(write) { refusal } else { Reply::bare(200) }).into()
        });
        let fleet = start(transport, 1000, 500);
        fleet.shard.work.borrow_mut().gone = skein_sender::gone::Gone::of_at_most(4);
        for _ in 0..3 {
            fleet.broker.submit(&fleet.pool, spread(&fleet, 40)).await;
            fleet.settled(0).await;
        }
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        let ended = [FinalVerdict::TokenInvalid, FinalVerdict::Suppressed, FinalVerdict::Accepted];
        assert_eq!(ended.map(|verdict| tally.of(verdict)), [20, 40, 60], "each is found gone once");
    });
}
