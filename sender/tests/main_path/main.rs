//! The main path on in-memory seams in paused time: drain, gone tokens, expiry, superseding; in `refusals` what APNs says no to;
//! and, in `seeds`, everything at once.

mod fleet;
mod refusals;
mod seeds;

use std::time::Duration;

use skein_core::answer::{Answer, Reply};
use skein_core::fact::Fact;
use skein_core::memory::{Reaction, ScriptedTransport};
use skein_core::notification::Draft;
use skein_core::seam::{Clock, Ledger, Submit};
use skein_core::{FinalVerdict, Notification, NotificationId, QueueName, Reason, Timestamp};

use crate::fleet::*;

#[test]
fn a_drain_settles_what_has_begun_and_returns_the_rest_in_order() {
    local(async {
        let transport = ScriptedTransport::new(|_| {
            Reaction::Answer(Duration::from_millis(50), Answer::Reply(Reply::bare(200)))
        });
        let fleet = start(transport, 1000, 50);
        let many: Vec<Notification> = (0..100).map(|n| fleet.notification(1, n)).collect();
        fleet.broker.submit(&fleet.pool, many.clone()).await.into_iter().for_each(|o| {
            o.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(520)).await;
        fleet.stop.send(true).unwrap();
        for session in fleet.sessions {
            session.await.unwrap();
        }
        let written = fleet.transport.writes().len();
        assert!(written > 3 && written < 20, "{written}");
        let depth = fleet.broker.pool_depth(&fleet.pool);
        assert_eq!(
            (depth.ready, depth.unsettled),
            (100 - written, 0),
            "what was written is settled, the rest returned"
        );
        let finals = fleet.ledger.facts().iter().filter(|f| matches!(f, Fact::Final(_))).count();
        assert_eq!(finals, written);
    });
}

#[test]
fn a_stop_is_answered_at_once_in_the_grace_and_while_nothing_can_be_looked_up() {
    for (predecessor_gone, ledger_away) in [(false, false), (true, true)] {
        local(async {
            let accepts = |_: &_| Reaction::Answer(Duration::ZERO, Answer::Reply(Reply::bare(200)));
            let fleet = start_after(ScriptedTransport::new(accepts), 1000, 50, predecessor_gone);
            fleet.ledger.set_away(ledger_away);
            let one = vec![fleet.notification(1, 0)];
            fleet.broker.submit(&fleet.pool, one).await.remove(0).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let told = tokio::time::Instant::now();
            fleet.stop.send(true).unwrap();
            for session in fleet.sessions {
                session.await.unwrap();
            }
            assert!(told.elapsed() < Duration::from_millis(200), "after {:?}", told.elapsed());
            assert!(fleet.transport.writes().is_empty());
            let depth = fleet.broker.pool_depth(&fleet.pool);
            assert_eq!((depth.ready, depth.unsettled), (1, 0), "P1: it came back");
        });
    }
}

#[test]
fn p4_nothing_is_written_to_a_token_that_is_gone() {
    local(async {
        let gone = Reply {
            timestamp: Some(Timestamp::from_secs(4_000_000_000)),
            ..Reply::refusal(410, Reason::Unregistered)
        };
        let transport = ScriptedTransport::new(move |_| {
            Reaction::Answer(Duration::from_millis(20), Answer::Reply(gone.clone()))
        });
        let fleet = start(transport, 1000, 50);
        let many: Vec<Notification> = (0..5).map(|n| fleet.notification(1, n)).collect();
        fleet.broker.submit(&fleet.pool, many).await;
        fleet.settled(0).await;
        let late = vec![fleet.notification(1, 9)];
        fleet.broker.submit(&fleet.pool, late).await;
        fleet.settled(0).await;
        assert_eq!(fleet.transport.writes().len(), 1);
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!((tally.of(FinalVerdict::TokenInvalid), tally.of(FinalVerdict::Suppressed)), (1, 5));
    });
}

#[test]
fn p3_the_original_of_a_copy_whose_verdict_was_durable_late_is_not_written() {
    local(async {
        let dead = start(ScriptedTransport::accepting(), 1000, 50);
        let some = vec![dead.notification(1, 0)];
        dead.broker.repeat(&dead.pool, &some).unwrap();
        dead.settled(0).await;
        let fleet = start(ScriptedTransport::accepting(), 1000, 50);
        // It has loaded what must be known before its first write.
        tokio::time::sleep(Duration::from_secs(1)).await;
        fleet.ledger.record(&dead.ledger.facts()).await.unwrap();
        fleet.broker.repeat(&fleet.pool, &some).unwrap();
        fleet.settled(0).await;
        fleet.broker.submit(&fleet.pool, some).await.remove(0).unwrap();
        fleet.settled(0).await;
        assert_eq!((dead.transport.writes().len(), fleet.transport.writes().len()), (1, 0));
    });
}

#[test]
fn what_waits_expires_and_what_cannot_be_read_is_buried() {
    local(async {
        let transport = ScriptedTransport::accepting();
        transport.set_room(0);
        let fleet = start(transport, 1000, 50);
        let soon = fleet.clock.now().plus(Duration::from_secs(5));
        let draft = Draft::new("aa", "com.example.im")
            .payload_json("{}")
            .expiration(skein_core::Expiration::At(soon));
        fleet.broker.submit(&fleet.pool, vec![draft.build(fleet.clock.now()).unwrap()]).await;
        let queue = QueueName { pool: fleet.pool.clone(), number: 0 };
        let bad = skein_core::memory::Message {
            kind: "skein.notification.v1".into(),
            body: bytes::Bytes::from_static(b"{\"id\":"),
            repeat: false,
        };
        fleet.broker.inject(&queue, bad).unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        fleet.transport.set_room(10);
        fleet.settled(0).await;
        assert_eq!(fleet.transport.writes().len(), 0);
        assert_eq!(fleet.broker.dead_letters()[0].reason, "not_json");
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!(tally.of(FinalVerdict::Expired), 1);
    });
}

#[test]
fn p5_a_foreign_topic_ends_alone_and_is_not_sent() {
    local(async {
        let fleet = start(ScriptedTransport::accepting(), 1000, 50);
        let draft = |token: &str, topic: &str| Draft::new(token, topic).payload_json("{}");
        let now = fleet.clock.now();
        let voip = draft("bb", "com.example.im.voip").push_type(skein_core::PushType::Voip);
        let many =
            [draft("aa", "com.other"), voip, draft("cc", "com.example.im")].map(|d| d.build(now).unwrap());
        fleet.broker.submit(&fleet.pool, many.to_vec()).await;
        fleet.settled(0).await;
        assert_eq!(fleet.transport.writes().len(), 2);
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!((tally.of(FinalVerdict::Failed), tally.of(FinalVerdict::Accepted)), (1, 2));
    });
}

#[test]
fn p2_what_supersedes_waits_until_that_is_durable() {
    local(async {
        let transport = ScriptedTransport::accepting();
        let fleet = start(transport, 1000, 50);
        fleet.broker.submit(&fleet.pool, vec![fleet.notification(0xaa, 0)]).await;
        fleet.settled(0).await;
        fleet.transport.set_room(0);
        fleet.ledger.set_delay(Duration::from_secs(5));
        let draft = |body: &str| {
            Draft::new("aa", "com.example.im").payload_json(format!("{{\"a\":\"{body}\"}}")).collapse_id("c")
        };
        let now = fleet.clock.now();
        let many = ["older", "newer"].map(|body| draft(body).build(now).unwrap());
        fleet.broker.submit(&fleet.pool, many.to_vec()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        fleet.transport.set_room(10);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(fleet.transport.writes().len(), 1, "the verdict of the older one is not durable yet");
        fleet.settled(0).await;
        let written: Vec<NotificationId> = fleet.transport.writes().iter().map(|w| w.id).collect();
        assert_eq!(written[1..], [many[1].id]);
        let tally = fleet.ledger.tally(&fleet.pool, Timestamp::default()).await.unwrap();
        assert_eq!((tally.of(FinalVerdict::Superseded), tally.of(FinalVerdict::Accepted)), (1, 2));
    });
}
