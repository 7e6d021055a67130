//! ZooKeeper goes away and comes back.

use std::time::{Duration, Instant};

use skein_backends::zookeeper::ZooKeeperCoordinator;
use skein_core::fleet::Wanted;
use skein_core::seam::{Coordinator as _, CoordinatorError, FleetStore as _, Lead as _, Planned, Standing};
use skein_tests::services::ZooKeeper;
use skein_tests::{need, until};

use crate::world::{LIMIT, World, assign, give, life, queue, slots, stored, until_view};

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
    eprintln!("all senders have joined again {:?} after ZooKeeper is back", back.elapsed());
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

/// The ensemble's leader dies: whoever is connected elsewhere stays, the others move on; sessions, assignments and leadership live.
#[tokio::test]
async fn an_ensemble_that_loses_its_leader_keeps_every_session() {
    need!("zookeeper");
    let mut servers = ZooKeeper::start_ensemble().await.unwrap();
    let mut world = World::of(&servers[0], "ensemble");
    world.options.servers = servers.iter().map(|server| server.url()).collect();
    // None is to end, however long a busy machine takes to elect.
    world.options.session_timeout = Duration::from_secs(20);
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let join = |name| ZooKeeperCoordinator::join(world.options.clone(), life(name, 1), slots(16));
    let senders = ["a", "b", "c", "d"].map(join);
    let view = until_view(&store, |view| view.members.len() == 4).await;
    let owners: Vec<_> = view.members.iter().map(|member| member.owner()).collect();
    give(&store, &lead, &[(0, &owners[0]), (1, &owners[1]), (2, &owners[2]), (3, &owners[3])]).await;
    for sender in &senders {
        owned(sender, 1).await;
    }

    let leads = async || ZooKeeper::leader(&servers).await;
    let leader = until("a leading server", LIMIT, leads).await.unwrap();
    let killed = Instant::now();
    servers[leader].kill9();
    let on = until_view(&store, |view| view.members.len() == 4).await;
    let change = Planned { on: stored(&on, 0), change: assign(&owners[1]) };
    let applying = async {
        loop {
            // Away while the ensemble elects; whether it was done is seen by reading.
            match lead.apply(std::slice::from_ref(&change)).await {
                Ok(applied) => return applied,
                Err(CoordinatorError::Away(_)) => store.changed().await,
                Err(other) => panic!("leadership is lost: {other}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, applying).await.expect("in time");
    eprintln!("a change is stored {:?} after the ensemble's leader was killed", killed.elapsed());
    let view = until_view(&store, |view| stored(view, 0).assignment.epoch == 2).await;
    assert_eq!(view.members.len(), 4, "no session is lost");
    owned(&senders[1], 2).await;
    owned(&senders[0], 0).await;
    eprintln!("and its owner knows after {:?}", killed.elapsed());
}

async fn owned(sender: &ZooKeeperCoordinator, queues: usize) {
    let mut assignment = sender.assignment();
    let waiting = assignment.wait_for(|assignment| assignment.queues.len() == queues);
    tokio::time::timeout(LIMIT, waiting).await.expect("in time").unwrap();
}
