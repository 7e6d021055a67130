//! What the leading monitor does about members that die, freeze and come back.

use std::time::Duration;

use skein_core::fleet::Cause;
use skein_core::seam::Coordinator as _;

use crate::stage::{QUEUES, Stage, member, pass, queue};

const SECOND: Duration = Duration::from_secs(1);

/// Two members that share the queues, each attached to its own.
macro_rules! two_members {
    ($stage:ident, $a:ident, $b:ident, $monitor:ident) => {
        let $stage = Stage::new().await;
        let ($a, $b) = ($stage.fleet.join(member("a", 1)), $stage.fleet.join(member("b", 2)));
        let $monitor = $stage.monitor("first");
        pass(SECOND * 10).await;
        assert_eq!(($stage.share("a"), $stage.share("b")), (2, 2));
        for owner in [$a.me(), $b.me()] {
            $stage.broker.opens(owner, "presence");
            for number in 0..QUEUES {
                if $stage.assignment(number).is_owned_by(owner) {
                    $stage.broker.opens(owner, &queue(number).to_string());
                    let one = if owner == $a.me() { &$a } else { &$b };
                    one.settled(&queue(number), 1).await.unwrap();
                }
            }
        }
        pass(SECOND).await;
    };
}

#[tokio::test(start_paused = true)]
async fn a_member_that_dies_is_replaced_without_waiting_for_its_session() {
    two_members!(stage, a, b, monitor);
    let dead = b.me().clone();
    for number in (0..QUEUES).filter(|n| stage.assignment(*n).is_owned_by(&dead)).collect::<Vec<_>>() {
        stage.broker.closes(&dead, &queue(number).to_string());
    }
    stage.broker.closes(&dead, "presence");
    pass(Duration::from_millis(490)).await;
    assert_eq!(stage.share("b"), 2, "it may be restarting in place");
    pass(Duration::from_millis(60)).await;
    assert_eq!((stage.share("a"), stage.share("b")), (4, 0));
    let moved = (0..QUEUES).map(|n| stage.assignment(n)).find(|q| q.cause == Cause::BrokerDead).unwrap();
    assert!(
        (500..560).contains(&moved.ended_ms),
        "the grace counts from the broker's word: {}",
        moved.ended_ms
    );
    assert!(!moved.predecessor_gone, "P2: it is not proven");
    assert!(stage.broker.closed.lock().unwrap().is_empty(), "nothing is open");
    let fleet = monitor.shown.fleet();
    assert!(fleet.done.iter().any(|done| done.change.cause == Some(Cause::BrokerDead)), "{:?}", fleet.done);
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_member_is_cut_only_after_its_queues_are_assigned() {
    two_members!(stage, a, b, monitor);
    let frozen = b.me().clone();
    b.set_away(true);
    stage.fleet.expire(&frozen.member);
    pass(SECOND * 3).await;
    assert_eq!((stage.share("a"), stage.share("b")), (4, 0));
    let closed = stage.broker.closed.lock().unwrap().clone();
    let names: Vec<&str> = closed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 2, "its attachments, and nothing else: {names:?}");
    for (name, owners) in &closed {
        assert!(name.starts_with(&frozen.connection_name()) && !name.ends_with("presence"), "{name}");
        let number = name.rsplit(".q").next().unwrap().parse::<usize>().unwrap();
        let owner = owners[number].as_ref().map(|owner| owner.member.as_str());
        assert_eq!(owner, Some("a"), "P2: closed before the queue was another's");
    }
    drop((a, monitor));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_says_it_is_cut_off_is_believed() {
    two_members!(stage, a, b, monitor);
    let cut = skein_core::fleet::Member { broker: skein_core::fleet::Health::CutOff, ..member("b", 2) };
    b.describe(cut);
    pass(SECOND).await;
    assert_eq!((stage.share("a"), stage.share("b")), (4, 0));
    let moved = (0..QUEUES).map(|n| stage.assignment(n)).find(|q| q.cause == Cause::BrokerDead).unwrap();
    assert_eq!(moved.ended_ms, 0, "P2: the broker has not said so: the whole grace is waited");
    assert_eq!(stage.broker.closed.lock().unwrap().len(), 2, "the broker still holds its attachments");
    drop((a, monitor));
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_broker_moves_nothing() {
    two_members!(stage, a, b, monitor);
    for owner in [a.me(), b.me()] {
        stage.broker.closes(owner, "presence");
        for number in (0..QUEUES).filter(|n| stage.assignment(*n).is_owned_by(owner)).collect::<Vec<_>>() {
            stage.broker.closes(owner, &queue(number).to_string());
        }
    }
    pass(SECOND * 3).await;
    for owner in [a.me(), b.me()] {
        stage.broker.opens(owner, "presence");
    }
    pass(SECOND * 20).await;
    assert!((0..QUEUES).all(|n| stage.assignment(n).epoch == 1), "nothing has moved");
    drop(monitor);
}
