use std::sync::Arc;

use skein_core::notification::Draft;
use skein_core::{NotificationId, aps::Payload};
use tokio::sync::Semaphore;

use super::*;
use crate::link::LinkOptions;

type Outcome = oneshot::Receiver<Result<(), SubmitError>>;

fn parcel(tokens: &[&str], wait: Wait) -> (Parcel, Outcome) {
    let devices = tokens.iter().map(|t| ((*t).to_owned(), None));
    let built = Draft::new("", "t")
        .payload(&Payload::alert("a", "b"))
        .build_for(devices, NotificationId::now().at())
        .unwrap();
    let group = crate::plan::plan(built).remove(0);
    let envelope = Envelope::seal("skein.im".into(), &group).unwrap();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let (reply, outcome) = oneshot::channel();
    (Parcel::new(envelope, wait, false, reply, permit), outcome)
}

fn options() -> ProducerOptions {
    ProducerOptions::new(LinkOptions::new(Vec::new(), "test"), Vec::new())
}

fn published(parcels: &mut Parcels) -> Vec<(Seq, bool)> {
    std::iter::from_fn(|| parcels.next().map(|(seq, p)| (seq, p.repeat))).collect()
}

const FOREVER: Wait = Wait::Forever;

#[test]
fn nothing_of_a_token_passes_a_nacked_one() {
    let mut parcels = Parcels::default();
    for tokens in [&["aa"][..], &["aa", "bb"], &["cc"]] {
        parcels.enter(parcel(tokens, FOREVER).0);
    }
    assert_eq!(published(&mut parcels), [(1, false), (3, false)]);
    let now = Instant::now();
    parcels.nacked(1, &options(), now);
    parcels.acked(3);
    assert!(published(&mut parcels).is_empty(), "P2");
    parcels.tick(Way::Open, Duration::from_secs(60), now + Duration::from_secs(5));
    assert_eq!(published(&mut parcels), [(1, true)], "P2: the nacked one first, marked");
    parcels.acked(1);
    assert_eq!(published(&mut parcels), [(2, false)]);
}

#[test]
fn a_lost_connection_repeats_in_order_and_marked() {
    let mut parcels = Parcels::default();
    for token in ["aa", "bb", "cc", "aa"] {
        parcels.enter(parcel(&[token], FOREVER).0);
    }
    assert_eq!(published(&mut parcels).len(), 3);
    parcels.acked(2);
    assert!(parcels.repeats().is_none());
    parcels.lost();
    assert!(parcels.repeats().is_some());
    assert_eq!(published(&mut parcels), [(1, true), (3, true)], "P3");
    parcels.acked(1);
    assert_eq!(published(&mut parcels), [(4, false)]);
}

#[test]
fn who_does_not_wait_is_told_at_once() {
    let mut parcels = Parcels::default();
    let (single, mut single_outcome) = parcel(&["aa"], Wait::No);
    let (batch, mut batch_outcome) = parcel(&["bb", "cc"], Wait::No);
    parcels.enter(single);
    parcels.enter(batch);
    published(&mut parcels);
    parcels.nacked(1, &options(), Instant::now());
    parcels.nacked(2, &options(), Instant::now());
    assert_eq!(single_outcome.try_recv().unwrap(), Err(SubmitError::BackPressure(QUEUE_FULL)), "P8");
    assert_eq!(batch_outcome.try_recv().unwrap(), Err(SubmitError::Unknown), "P1: some queues may have it");
    assert!(parcels.is_empty());

    let (late, mut late_outcome) = parcel(&["dd"], Wait::No);
    parcels.enter(late);
    parcels.tick(Way::Blocked, Duration::from_secs(60), Instant::now());
    assert_eq!(late_outcome.try_recv().unwrap(), Err(SubmitError::BackPressure(BLOCKED)), "P8");
}

#[test]
fn an_unknown_outcome_is_remembered() {
    let mut parcels = Parcels::default();
    let (first, mut outcome) = parcel(&["aa"], FOREVER);
    let key = first.envelope.keys[0];
    parcels.enter(first);
    published(&mut parcels);
    let limit = Duration::from_secs(60);
    parcels.tick(Way::Open, limit, Instant::now() + limit);
    assert_eq!(outcome.try_recv().unwrap(), Err(SubmitError::Unknown));

    let (mut again, _outcome) = parcel(&["aa"], FOREVER);
    again.envelope.keys[0] = key;
    parcels.enter(again);
    assert_eq!(published(&mut parcels), [(2, true)], "P3: submitted again, it is marked");
}

#[test]
fn a_returned_message_is_not_confirmed() {
    let mut parcels = Parcels::default();
    let (one, mut outcome) = parcel(&["aa"], FOREVER);
    let id = one.envelope.keys[0].id.to_string();
    let (other, mut other_outcome) = parcel(&["bb"], FOREVER);
    parcels.enter(one);
    parcels.enter(other);
    published(&mut parcels);
    parcels.returned(&id);
    parcels.acked(2);
    parcels.acked(1);
    assert!(matches!(outcome.try_recv().unwrap(), Err(SubmitError::Rejected(_))), "P1");
    assert_eq!(other_outcome.try_recv().unwrap(), Ok(()));
}
