//! The faults on demand do what they say.

use std::time::Duration;

use super::*;
use crate::contract::ledger::Sample;
use crate::notification::{Draft, Notification};
use crate::pool::{PoolName, QueueName};
use crate::seam::{Broker, BrokerError, Inbox, Ledger, LookUp, Submit, SubmitError};
use crate::verdict::FinalVerdict;
use crate::{NotificationId, wire};

fn pool() -> PoolName {
    PoolName::parse("im").unwrap()
}

fn queue() -> QueueName {
    QueueName { pool: pool(), number: 0 }
}

fn notification() -> Notification {
    Draft::new("ab", "com.example.im").payload_json("{}").build(NotificationId::now().at()).unwrap()
}

async fn submit(broker: &MemoryBroker) -> Result<(), SubmitError> {
    broker.submit(&pool(), vec![notification()]).await.remove(0).map(drop)
}

#[tokio::test(start_paused = true)]
async fn p3_a_lost_confirmation_is_stored_and_its_copy_is_marked() {
    let broker = MemoryBroker::new([(&pool(), 1)]);
    let one = notification();
    broker.lose_confirms(1);
    assert_eq!(broker.submit(&pool(), vec![one.clone()]).await, [Err(SubmitError::Unknown)]);
    broker.repeat(&pool(), std::slice::from_ref(&one)).unwrap();
    let taken = broker.attach(&queue(), 10).await.unwrap().take(10).await.unwrap();
    assert_eq!(taken.iter().map(|d| d.repeat).collect::<Vec<_>>(), [false, true]);
    for delivery in &taken {
        let decoded = wire::decode(&delivery.kind, &delivery.body, one.id.at(), |_| true).unwrap();
        assert_eq!(decoded.items[0].id, one.id);
    }
}

#[tokio::test(start_paused = true)]
async fn p8_a_full_queue_is_back_pressure_and_stores_nothing() {
    let broker = MemoryBroker::new([(&pool(), 1)]);
    broker.set_messages_max(1);
    submit(&broker).await.unwrap();
    assert!(matches!(submit(&broker).await, Err(SubmitError::BackPressure(_))));
    assert_eq!(broker.pool_depth(&pool()), Depth { ready: 1, unsettled: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_goes_away_ends_all_and_keeps_what_it_stored() {
    let broker = MemoryBroker::new([(&pool(), 1)]);
    submit(&broker).await.unwrap();
    let mut inbox = broker.attach(&queue(), 10).await.unwrap();
    let same_queue = queue();
    let waiting = broker.attach(&same_queue, 10);
    let away = async { broker.set_away(true) };
    let (waited, ()) = tokio::join!(biased; waiting, away);
    assert!(matches!(waited, Err(BrokerError::Away(_))));
    assert!(inbox.take(1).await.is_err());
    assert!(matches!(broker.attach(&queue(), 10).await, Err(BrokerError::Away(_))));
    assert!(matches!(submit(&broker).await, Err(SubmitError::Away { .. })));
    broker.set_away(false);
    drop(inbox);
    assert!(broker.attach(&queue(), 10).await.unwrap().take(1).await.unwrap()[0].redelivered);
    let nowhere = QueueName { number: 1, ..queue() };
    assert!(matches!(broker.attach(&nowhere, 10).await, Err(BrokerError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn p1_a_ledger_fails_before_or_after_its_commit() {
    let (ledger, sample) = (MemoryLedger::new(), Sample::new(&pool()));
    let facts = [sample.ends(FinalVerdict::Failed)];
    ledger.fail_next(1);
    assert!(ledger.record(&facts).await.is_err());
    assert_eq!(ledger.facts(), []);
    ledger.lose_answers(1);
    assert!(ledger.record(&facts).await.is_err());
    assert_eq!(ledger.facts(), facts);
    assert_eq!(ledger.record(&facts).await.unwrap().late, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_behind_answers_no_question_and_records() {
    let (ledger, sample) = (MemoryLedger::new(), Sample::new(&pool()));
    let asked = [LookUp { key: sample.key, token: sample.fingerprint() }];
    ledger.set_behind(true);
    ledger.record(&[sample.ends(FinalVerdict::Failed)]).await.unwrap();
    assert!(ledger.look_up(&asked).await.is_err());
    assert!(ledger.gone(&pool(), &[]).await.is_err(), "P4");
    assert!(ledger.repeats(&pool(), sample.at).await.is_err(), "P3");
    ledger.set_behind(false);
    assert_eq!(ledger.look_up(&asked).await.unwrap()[0].verdict, Some(FinalVerdict::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_slow_ledger_whose_caller_gives_up_records_nothing() {
    let (ledger, sample) = (MemoryLedger::new(), Sample::new(&pool()));
    ledger.set_delay(Duration::from_secs(3));
    let facts = [sample.ends(FinalVerdict::Failed)];
    assert!(tokio::time::timeout(Duration::from_secs(2), ledger.record(&facts)).await.is_err());
    assert_eq!(ledger.facts(), []);
    ledger.record(&facts).await.unwrap();
    assert_eq!(ledger.facts(), facts);
}
