//! Whose the nodes are.

use skein_backends::zookeeper::{Login, ZooKeeperFleet};
use skein_core::fleet::Wanted;
use skein_core::seam::{CoordinatorError, FleetStore as _, Lead as _};
use skein_tests::need;
use zookeeper_client::Error;

use crate::world::{World, give, life, until_view};

#[tokio::test]
async fn strangers_neither_read_nor_write() {
    need!("zookeeper");
    let anonymous = World::shared("rights").await;
    let mut owner = anonymous.clone();
    owner.options.login = Some(Login::new("skein", "a secret"));
    let store = owner.made().await;
    let lead = store.lead().await.unwrap();
    let sender = owner.join(life("a", 1)).await;
    until_view(&store, |view| view.members.len() == 1).await;
    give(&store, &lead, &[(0, &life("a", 1).owner())]).await;
    sender.owns(|assignment| !assignment.queues.is_empty()).await;
    store.wish("ops", Wanted::Rebalance).await.unwrap();

    let mut wrong = anonymous.clone();
    wrong.options.login = Some(Login::new("skein", "a guess"));
    for stranger in [&anonymous, &wrong] {
        let raw = match stranger.options.login {
            None => stranger.raw().await,
            Some(_) => {
                let connector = zookeeper_client::Client::connector().with_auth("digest", b"skein:a guess");
                let client = connector.connect(&stranger.address.url()).await.unwrap();
                client.chroot(stranger.options.chroot.clone()).unwrap()
            }
        };
        for path in ["/queues", "/queues/im.q0", "/members/a", "/bell", "/wishes", "/policy", "/monitors"] {
            assert_eq!(raw.get_data(path).await.unwrap_err(), Error::NoAuth, "{path}");
            assert_eq!(raw.set_data(path, b"{}", None).await.unwrap_err(), Error::NoAuth, "{path}");
        }
        assert_eq!(raw.delete("/members/a", None).await.unwrap_err(), Error::NoAuth);
        let store: ZooKeeperFleet = stranger.store();
        for refused in [store.read().await.map(drop), store.wish("eve", Wanted::Rebalance).await.map(drop)] {
            let Err(CoordinatorError::Refused(why)) = refused else { panic!("{refused:?}") };
            assert!(why.contains("coordinator.username"), "it says what to do: {why}");
        }
    }
    let view = store.read().await.unwrap();
    assert_eq!((view.members.len(), view.wishes.len()), (1, 1));
    assert!(lead.is_certain());
}
