//! A fresh chroot of a ZooKeeper, a relay in front of each sender, and raw hands on it.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_backends::zookeeper::{ZooKeeperCoordinator, ZooKeeperFleet, ZooKeeperLead, ZooKeeperOptions};
use skein_core::contract::fleet::{QUEUES, member};
use skein_core::fleet::{Cause, Change, Incarnation, Member, Owner};
use skein_core::seam::{
    Assignment, Coordinator, CoordinatorError, FleetStore as _, Lead as _, OwnedQueue, Planned,
};
use skein_core::seam::{FleetView, Standing, StoredQueue};
use skein_core::{PoolName, QueueName, SlotMap};
use skein_tests::relay::Relay;
use skein_tests::services::{ZooKeeper, ZooKeeperAddress};
use tokio::sync::watch;
use zookeeper_client::Client;

/// Bounds every wait.
pub const LIMIT: Duration = Duration::from_secs(60);
/// As short as the server of the tests allows with its ticks of 500 ms.
pub const SESSION: Duration = Duration::from_secs(4);

/// A sender and the relay that can cut it off.
pub struct Sender {
    pub coordinator: ZooKeeperCoordinator,
    pub relay: Relay,
    pub world: World,
}

impl Sender {
    pub fn set_away(&self, away: bool) {
        self.relay.set_refusing(away);
        if away {
            self.relay.cut_all();
        }
    }

    pub async fn stands(&self, wanted: impl FnMut(&Standing) -> bool) -> Standing {
        let mut standing = self.coordinator.standing();
        let waited = tokio::time::timeout(LIMIT, standing.wait_for(wanted)).await;
        waited.expect("in time").expect("a standing").clone()
    }

    pub async fn owns(&self, wanted: impl FnMut(&Assignment) -> bool) -> Assignment {
        let mut assignment = self.coordinator.assignment();
        let waited = tokio::time::timeout(LIMIT, assignment.wait_for(wanted)).await;
        waited.expect("in time").expect("an assignment").clone()
    }
}

impl Coordinator for Sender {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        self.coordinator.assignment()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.coordinator.standing()
    }

    fn describe(&self, member: Member) {
        self.coordinator.describe(member);
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.coordinator.settled(queue, epoch).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        self.coordinator.release(queue, epoch, clean).await
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        self.coordinator.reclaim(queue, epoch, dead).await
    }

    async fn leave(&self) {
        self.coordinator.leave().await;
    }
}

/// One cluster's place in a ZooKeeper.
#[derive(Clone)]
pub struct World {
    pub address: ZooKeeperAddress,
    pub options: ZooKeeperOptions,
}

impl World {
    pub async fn shared(name: &str) -> Self {
        Self::of(ZooKeeper::shared().await.unwrap(), name)
    }

    pub fn of(address: &ZooKeeperAddress, name: &str) -> Self {
        let chroot = address.chroot(name);
        let (server, path) = chroot.split_once('/').unwrap();
        let mut options = ZooKeeperOptions::new(vec![server.to_owned()], format!("/{path}"));
        options.session_timeout = SESSION;
        options.server_tick = Duration::from_millis(500);
        Self { address: address.clone(), options }
    }

    pub fn store(&self) -> ZooKeeperFleet {
        ZooKeeperFleet::connect(self.options.clone(), "monitor")
    }

    /// A handle, with the fleet made and its queues.
    pub async fn made(&self) -> ZooKeeperFleet {
        let store = self.store();
        store.init().await.unwrap();
        store.seed(&pool(), QUEUES, 100).await.unwrap();
        store
    }

    pub async fn join(&self, member: Member) -> Sender {
        self.join_after(member, Vec::new()).await
    }

    /// The same, with earlier lives that are dead for sure.
    pub async fn join_after(&self, member: Member, dead: Vec<Incarnation>) -> Sender {
        let relay = Relay::start(self.address.client()).await.unwrap();
        let options = ZooKeeperOptions { servers: vec![relay.address().to_string()], ..self.options.clone() };
        Sender {
            coordinator: ZooKeeperCoordinator::join_after(options, member, dead, slots(16)),
            relay,
            world: self.clone(),
        }
    }

    /// Raw hands, below the chroot.
    pub async fn raw(&self) -> Client {
        let client = Client::connect(&self.address.url()).await.unwrap();
        client.chroot(self.options.chroot.clone()).unwrap()
    }
}

pub fn pool() -> PoolName {
    PoolName::parse("im").unwrap()
}

pub fn slots(queues: u16) -> BTreeMap<PoolName, SlotMap> {
    BTreeMap::from([(pool(), SlotMap::even(queues))])
}

pub fn queue(number: u16) -> QueueName {
    QueueName { pool: pool(), number }
}

pub fn life(name: &str, life: u128) -> Member {
    member(name, life).unwrap()
}

pub fn assign(to: &Owner) -> Change {
    Change::Assign { to: to.clone(), cause: Cause::SessionGone, predecessor_dead: false, ended_ms: 0 }
}

/// What is stored of a queue.
pub fn stored(view: &FleetView, number: u16) -> StoredQueue {
    view.queues.iter().find(|stored| stored.assignment.queue == queue(number)).unwrap().clone()
}

/// The leader gives queues to owners, each as it is now.
pub async fn give(store: &ZooKeeperFleet, lead: &ZooKeeperLead, gifts: &[(u16, &Owner)]) -> Vec<StoredQueue> {
    let view = store.read().await.unwrap();
    let plan: Vec<Planned> =
        gifts.iter().map(|(number, to)| Planned { on: stored(&view, *number), change: assign(to) }).collect();
    let applied = lead.apply(&plan).await.unwrap();
    assert!(applied.stale.is_empty(), "{applied:?}");
    applied.changed
}

/// Reads at each change until the view is as wanted.
pub async fn until_view(store: &ZooKeeperFleet, wanted: impl Fn(&FleetView) -> bool) -> FleetView {
    let reading = async {
        loop {
            if let Ok(view) = store.read().await
                && wanted(&view)
            {
                return view;
            }
            store.changed().await;
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("in time")
}
