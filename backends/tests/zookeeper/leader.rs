//! One monitor leads, and who does not any more changes nothing.

use skein_backends::zookeeper::{ZooKeeperFleet, ZooKeeperOptions};
use skein_core::seam::{CoordinatorError, FleetStore as _, Lead as _, Planned};
use skein_tests::need;
use skein_tests::relay::Relay;

use crate::world::{LIMIT, World, assign, give, life, stored, until_view};

#[tokio::test]
async fn a_frozen_leader_is_not_certain_before_another_leads_and_writes_nothing_after() {
    need!("zookeeper");
    let world = World::shared("latch").await;
    let second = world.made().await;
    let relay = Relay::start(world.address.client()).await.unwrap();
    let servers = vec![relay.address().to_string()];
    let first = ZooKeeperFleet::connect(ZooKeeperOptions { servers, ..world.options.clone() }, "the first");
    let deposed = first.lead().await.unwrap();
    assert!(deposed.is_certain());
    let view = first.read().await.unwrap();
    let plan = [Planned { on: stored(&view, 0), change: assign(&life("a", 1).owner()) }];

    // A path that stalls: what was sent arrives later, as from a process that was frozen.
    relay.freeze();
    let late = tokio::time::timeout(std::time::Duration::from_millis(1), deposed.apply(&plan));
    assert!(late.await.is_err(), "nobody answers");
    let leading = tokio::time::timeout(LIMIT, second.lead()).await.expect("in time").unwrap();
    assert!(!deposed.is_certain(), "its own lease is over before its session is");
    assert!(leading.is_certain());
    let given = give(&second, &leading, &[(1, &life("b", 1).owner())]).await;
    relay.resume();
    tokio::time::timeout(LIMIT, deposed.lost()).await.expect("in time");
    assert!(!deposed.is_certain());
    match deposed.apply(&plan).await {
        Err(CoordinatorError::Overtaken(_) | CoordinatorError::Away(_)) => {}
        other => panic!("a deposed leader is heard: {other:?}"),
    }
    let view = second.read().await.unwrap();
    assert_eq!(stored(&view, 0).assignment.epoch, 0, "P2: neither its late word nor its new one counts");
    assert_eq!(stored(&view, 1), given[0]);
    // And it can lead again, in a new session, when the other gives it up.
    drop(leading);
    let again = tokio::time::timeout(LIMIT, first.lead()).await.expect("in time");
    assert!(again.unwrap().is_certain());
}

#[tokio::test]
async fn monitors_are_listed_in_their_order() {
    need!("zookeeper");
    let world = World::shared("monitors").await;
    let first = world.made().await;
    let second = ZooKeeperFleet::connect(world.options.clone(), "the second");
    let _leading = first.lead().await.unwrap();
    let waiting = tokio::spawn(async move { second.lead().await });
    let both = async {
        while first.monitors().await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, both).await.expect("in time");
    assert_eq!(first.monitors().await.unwrap(), ["monitor", "the second"]);
    waiting.abort();
}

/// More changes than fit into one transaction, some of them stale.
#[tokio::test]
async fn many_changes_go_in_bounded_transactions() {
    need!("zookeeper");
    let world = World::shared("many").await;
    let store = world.store();
    store.init().await.unwrap();
    store.seed(&crate::world::pool(), 300, 100).await.unwrap();
    let lead = store.lead().await.unwrap();
    let before = store.read().await.unwrap();
    assert_eq!(before.queues.len(), 300);
    let (a, b) = (life("a", 1).owner(), life("b", 1).owner());
    give(&store, &lead, &[(3, &b), (130, &b), (131, &b)]).await;
    let plan: Vec<Planned> =
        before.queues.iter().map(|on| Planned { on: on.clone(), change: assign(&a) }).collect();
    let began = std::time::Instant::now();
    let applied = lead.apply(&plan).await.unwrap();
    eprintln!("300 changes in {:?}", began.elapsed());
    let mut stale: Vec<String> = applied.stale.iter().map(ToString::to_string).collect();
    stale.sort();
    assert_eq!(
        (applied.changed.len(), stale),
        (297, vec!["im.q130".into(), "im.q131".into(), "im.q3".into()])
    );
    let began = std::time::Instant::now();
    let view = until_view(&store, |view| view.queues.iter().all(|q| q.assignment.epoch == 1)).await;
    eprintln!("300 queues read in {:?}", began.elapsed());
    for changed in &applied.changed {
        assert!(view.queues.contains(changed), "what is said to be stored is stored: {changed:?}");
    }
}

/// Level-based: of many moves to and fro each is seen by both, none is missed.
#[tokio::test]
async fn every_move_reaches_both_owners() {
    need!("zookeeper");
    let world = World::shared("moves").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let senders = [world.join(life("a", 1)).await, world.join(life("b", 1)).await];
    let owners = [life("a", 1).owner(), life("b", 1).owner()];
    until_view(&store, |view| view.members.len() == 2).await;
    let mut on = stored(&store.read().await.unwrap(), 0);
    let mut took = Vec::new();
    for epoch in 1..=100 {
        let to = epoch % 2;
        let began = std::time::Instant::now();
        let plan = [Planned { on, change: assign(&owners[to]) }];
        let applied = lead.apply(&plan).await.unwrap();
        on = applied.changed.into_iter().next().expect("not stale");
        let holds = |queues: &[skein_core::seam::OwnedQueue]| queues.iter().any(|q| q.epoch == epoch as u64);
        senders[to].owns(|assignment| holds(&assignment.queues)).await;
        took.push(began.elapsed());
        senders[1 - to].owns(|assignment| assignment.queues.is_empty()).await;
    }
    took.sort();
    eprintln!("from the plan to its owner: p50 {:?}, p99 {:?}, max {:?}", took[50], took[98], took[99]);
}
