//! Members that die, freeze or come back.

use std::process::Stdio;
use std::time::Instant;

use skein_backends::zookeeper::{ZooKeeperCoordinator, ZooKeeperOptions};
use skein_core::fleet::Change;
use skein_core::seam::{Coordinator as _, FleetStore as _, Lead as _, Planned, Standing, Tenure};
use skein_tests::need;
use tokio::process::Command;

use crate::world::{SESSION, World, give, life, queue, slots, stored, until_view};

const SERVER: &str = "SKEIN_MEMBER_SERVER";
const CHROOT: &str = "SKEIN_MEMBER_CHROOT";

/// Not a test of its own: the next one runs it in a process that it kills.
#[tokio::test]
async fn child() {
    let (Ok(server), Ok(chroot)) = (std::env::var(SERVER), std::env::var(CHROOT)) else { return };
    let options =
        ZooKeeperOptions { session_timeout: SESSION, ..ZooKeeperOptions::new(vec![server], chroot) };
    let _member = ZooKeeperCoordinator::join(options, life("s1", 1), slots(16));
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_member_is_gone_after_its_session_and_its_next_life_inherits_at_once() {
    need!("zookeeper");
    let world = World::shared("killed").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.kill_on_drop(true);
    command.args(["--exact", "membership::child", "--nocapture"]).stdout(Stdio::null());
    command.env(SERVER, &world.options.servers[0]).env(CHROOT, &world.options.chroot);
    let mut child = command.spawn().unwrap();
    until_view(&store, |view| view.members.len() == 1).await;
    give(&store, &lead, &[(0, &life("s1", 1).owner())]).await;
    child.kill().await.unwrap();
    let killed = Instant::now();

    let next = world.join(life("s1", 2)).await;
    let inherited = next.owns(|assignment| !assignment.queues.is_empty()).await;
    assert_eq!(inherited.queues[0].epoch, 1);
    assert!(matches!(inherited.queues[0].tenure, Tenure::Inherited(_)), "{inherited:?}");
    eprintln!("a killed member's next life inherits after {:?}", killed.elapsed());
    let claimed = next.reclaim(&queue(0), 1, true).await.unwrap();
    assert_eq!((claimed.epoch, claimed.tenure), (2, Tenure::Hold));
    let view = until_view(&store, |view| stored(view, 0).assignment.epoch == 2).await;
    assert_eq!(view.members[0].owner(), life("s1", 2).owner(), "the dead life's session no longer counts");

    // And without a next life: what survives it is told when its session is over.
    next.relay.silence();
    let cut = Instant::now();
    until_view(&store, |view| view.members.is_empty()).await;
    eprintln!("a silent member is gone after {:?} of a session of {SESSION:?}", cut.elapsed());
}

/// P2: only what the kernel vouches for is claimed with the place, and only what is to be attached to.
#[tokio::test]
async fn a_life_whose_predecessor_is_dead_claims_with_its_place() {
    need!("zookeeper");
    let world = World::shared("vouched").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let (dead, unknown, other) = (life("s1", 1).owner(), life("s1", 9).owner(), life("s2", 1).owner());
    let given = give(&store, &lead, &[(0, &dead), (1, &unknown), (2, &other), (3, &dead)]).await;
    let on = given.into_iter().find(|stored| stored.assignment.queue == queue(3)).unwrap();
    lead.apply(&[Planned { on, change: Change::Pause }]).await.unwrap();

    let next = world.join_after(life("s1", 2), vec![dead.incarnation]).await;
    let owned = next.owns(|assignment| assignment.queues.len() == 3).await;
    let of = |number| owned.queues.iter().find(|owned| owned.queue == queue(number)).unwrap();
    assert_eq!((of(0).epoch, &of(0).tenure), (2, &Tenure::Hold));
    assert_eq!((of(1).epoch, &of(1).tenure), (1, &Tenure::Inherited(unknown.incarnation)));
    assert_eq!((of(3).epoch, &of(3).tenure), (1, &Tenure::Inherited(dead.incarnation)), "it is paused");
    let view = until_view(&store, |view| view.members.len() == 1).await;
    let claimed = stored(&view, 0).assignment;
    assert_eq!((claimed.epoch, claimed.owner), (2, Some(life("s1", 2).owner())));
    assert_eq!(stored(&view, 2).assignment.owner, Some(other), "P2: nobody else's");
    let again = next.reclaim(&queue(0), 1, true).await.unwrap();
    assert_eq!(again.epoch, 2, "who has it gets it as it is");
}

#[tokio::test]
async fn a_member_whose_session_expired_joins_anew_and_keeps_its_queues() {
    need!("zookeeper");
    let world = World::shared("expired").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let sender = world.join(life("s1", 1)).await;
    give(&store, &lead, &[(0, &life("s1", 1).owner())]).await;
    let before = sender.owns(|assignment| !assignment.queues.is_empty()).await;
    sender.set_away(true);
    until_view(&store, |view| view.members.is_empty()).await;
    let Standing::Away { .. } = sender.stands(|s| matches!(s, Standing::Away { .. })).await else { return };
    assert_eq!(*sender.coordinator.assignment().borrow(), before, "P7: it stands");
    sender.set_away(false);
    until_view(&store, |view| view.members.len() == 1).await;
    sender.stands(|standing| *standing == Standing::Joined).await;
    assert_eq!(*sender.coordinator.assignment().borrow(), before);
    // Assigned elsewhere while it was away: told when it is back.
    sender.set_away(true);
    sender.stands(|s| matches!(s, Standing::Away { .. })).await;
    give(&store, &lead, &[(0, &life("s2", 1).owner())]).await;
    sender.set_away(false);
    sender.owns(|assignment| assignment.queues.is_empty()).await;
}

/// P2: the same process asks on several ways at once, each on the same reading.
#[tokio::test]
async fn of_many_claims_at_once_one_changes_the_epoch() {
    need!("zookeeper");
    let world = World::shared("claims").await;
    let store = world.made().await;
    let lead = store.lead().await.unwrap();
    let sender = world.join(life("s1", 1)).await;
    give(&store, &lead, &[(0, &life("s1", 1).owner())]).await;
    sender.owns(|assignment| !assignment.queues.is_empty()).await;
    for epoch in 1..6 {
        let name = queue(0);
        let claims = (0..8).map(|_| sender.reclaim(&name, epoch, true));
        for claim in futures_util::future::join_all(claims).await {
            assert_eq!(claim.unwrap().epoch, epoch + 1);
        }
        assert_eq!(stored(&store.read().await.unwrap(), 0).assignment.epoch, epoch + 1);
    }
}

#[tokio::test]
async fn who_joins_before_the_tree_is_made_says_what_to_do_and_joins_then() {
    need!("zookeeper");
    let world = World::shared("early").await;
    let sender = world.join(life("s1", 1)).await;
    sender.stands(|s| matches!(s, Standing::Away { why, .. } if why.contains("skein cluster init"))).await;
    let store = world.made().await;
    sender.stands(|standing| *standing == Standing::Joined).await;
    let member = until_view(&store, |view| !view.members.is_empty()).await.members.remove(0);
    assert_eq!(member, life("s1", 1));
}

/// A member that can't be read is not a member that is gone: the monitor is told that it is blind, and moves nothing.
#[tokio::test]
async fn an_unreadable_member_is_not_a_missing_one() {
    need!("zookeeper");
    let world = World::shared("unreadable").await;
    let store = world.made().await;
    let _sender = world.join(life("s1", 1)).await;
    until_view(&store, |view| view.members.len() == 1).await;
    let raw = world.raw().await;
    let open = zookeeper_client::CreateMode::Persistent.with_acls(zookeeper_client::Acls::anyone_all());
    raw.create("/members/s2", b"[]", &open).await.unwrap();
    let refused = store.read().await.unwrap_err();
    assert!(refused.to_string().contains("/members/s2 cannot be read"), "{refused}");
    raw.delete("/members/s2", None).await.unwrap();
    assert_eq!(store.read().await.unwrap().members.len(), 1);
}
