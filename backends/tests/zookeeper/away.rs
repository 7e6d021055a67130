//! ZooKeeper goes away and comes back.

use std::time::Instant;

use skein_core::fleet::Wanted;
use skein_core::seam::{Coordinator as _, CoordinatorError, FleetStore as _, Standing};
use skein_tests::need;
use skein_tests::services::ZooKeeper;

use crate::world::{LIMIT, World, give, life, queue, stored, until_view};

/// P7: whoever owns goes on; nobody changes anything; when it is back, everything is there and everybody too.
#[tokio::test]
async fn stopped_and_started_again() {
    need!("zookeeper");
    let mut server = ZooKeeper::start().await.unwrap();
    let world = World::of(&server, "away");
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let senders = [world.join(life("a", 1)).await, world.join(life("b", 1)).await];
    give(&store, &lead, &[(0, &life("a", 1).owner()), (1, &life("b", 1).owner())]).await;
    let before = [
        senders[0].owns(|assignment| !assignment.queues.is_empty()).await,
        senders[1].owns(|assignment| !assignment.queues.is_empty()).await,
    ];
    store.wish("ops", Wanted::Rebalance).await.unwrap();
    let stored_before = store.read().await.unwrap().queues;

    server.kill9();
    for (sender, before) in senders.iter().zip(&before) {
        sender.stands(|standing| matches!(standing, Standing::Away { .. })).await;
        assert_eq!(*sender.coordinator.assignment().borrow(), *before, "static mode");
        let claim = sender.reclaim(&before.queues[0].queue, 1, true).await;
        assert!(matches!(claim, Err(CoordinatorError::Away(_))), "{claim:?}");
    }
    // Longer than a session: all of them are over for the clients, and new ones are made.
    tokio::time::sleep(world.options.session_timeout * 3 / 2).await;
    server.start_again().await.unwrap();
    let back = Instant::now();
    for (sender, before) in senders.iter().zip(&before) {
        sender.stands(|standing| *standing == Standing::Joined).await;
        assert_eq!(*sender.coordinator.assignment().borrow(), *before);
    }
    println!("all senders have joined again {:?} after ZooKeeper is back", back.elapsed());
    let view = until_view(&store, |view| view.members.len() == 2).await;
    assert_eq!(view.queues, stored_before, "nothing is lost");
    assert_eq!(view.wishes.len(), 1);
    drop(lead);
    let lead = tokio::time::timeout(LIMIT, store.lead()).await.expect("in time").unwrap();
    give(&store, &lead, &[(0, &life("b", 1).owner())]).await;
    senders[1].owns(|assignment| assignment.queues.len() == 2).await;
    senders[0].owns(|assignment| assignment.queues.is_empty()).await;
}

/// A word that is said into silence ends, and soon enough for static mode.
#[tokio::test]
async fn a_silent_path_is_away_before_the_session_is_over() {
    need!("zookeeper");
    let world = World::shared("silent").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let sender = world.join(life("a", 1)).await;
    give(&store, &lead, &[(0, &life("a", 1).owner())]).await;
    sender.owns(|assignment| !assignment.queues.is_empty()).await;
    sender.relay.silence();
    let claim = tokio::time::timeout(LIMIT, sender.reclaim(&queue(0), 1, true)).await.expect("it ends");
    assert!(matches!(claim, Err(CoordinatorError::Away(_))), "{claim:?}");
    sender.stands(|standing| matches!(standing, Standing::Away { .. })).await;
    assert_eq!(stored(&store.read().await.unwrap(), 0).assignment.epoch, 1);
}
