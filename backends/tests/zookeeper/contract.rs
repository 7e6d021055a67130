//! The suites of the seam.

use skein_backends::zookeeper::{ZooKeeperFleet, ZooKeeperLead};
use skein_core::contract::{coordinator, fleet};
use skein_core::fleet::{
    Because, Decision, Member, MemberId, Policy, Quarantine, QueueAssignment, Wanted, WishId,
};
use skein_core::seam::{Assignment, CoordinatorError, FleetStore, FleetView};
use skein_core::{PoolName, QueueName};
use skein_tests::need;
use zookeeper_client::{Acls, CreateMode};

use crate::world::{Sender, World, life};

/// A handle that knows its place.
struct Placed {
    world: World,
    store: ZooKeeperFleet,
}

impl FleetStore for Placed {
    type Lead = ZooKeeperLead;

    async fn lead(&self) -> Result<ZooKeeperLead, CoordinatorError> {
        self.store.lead().await
    }

    async fn read(&self) -> Result<FleetView, CoordinatorError> {
        self.store.read().await
    }

    async fn changed(&self) {
        self.store.changed().await;
    }

    async fn init(&self) -> Result<(), CoordinatorError> {
        self.store.init().await
    }

    async fn seed(&self, pool: &PoolName, queues: u16, prefetch: u16) -> Result<(), CoordinatorError> {
        self.store.seed(pool, queues, prefetch).await
    }

    async fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> Result<WishId, CoordinatorError> {
        self.store.wish(because, wanted).await
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), CoordinatorError> {
        self.store.quarantine(quarantine).await
    }

    async fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> Result<(), CoordinatorError> {
        self.store.lift(member, because).await
    }

    async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        self.store.decisions().await
    }

    async fn set_policy(&self, policy: &Policy) -> Result<(), CoordinatorError> {
        self.store.set_policy(policy).await
    }
}

struct Fleets;

impl fleet::FleetHarness for Fleets {
    type Coordinator = Sender;
    type Store = Placed;

    async fn fresh(&self) -> Placed {
        let world = World::shared("fleet").await;
        let store = world.store();
        store.init().await.unwrap();
        Placed { world, store }
    }

    async fn another(&self, placed: &Placed) -> Placed {
        Placed { world: placed.world.clone(), store: placed.world.store() }
    }

    async fn join(&self, placed: &Placed, member: Member) -> Sender {
        placed.world.join(member).await
    }

    async fn set_away(&self, sender: &Sender, away: bool) {
        sender.set_away(away);
    }

    async fn depose(&self, placed: &Placed) {
        let raw = placed.world.raw().await;
        let mut latches = raw.list_children("/monitors").await.unwrap();
        latches.sort_by_key(|latch| latch.rsplit('-').next().unwrap_or_default().to_owned());
        raw.delete(&format!("/monitors/{}", latches[0]), None).await.unwrap();
    }
}

#[tokio::test]
async fn the_fleet_keeps_its_promises() {
    need!("zookeeper");
    let outcomes = fleet::each(&Fleets).await;
    let broken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A sender whose records are written by hand.
struct Hand;

impl coordinator::CoordinatorHarness for Hand {
    type Coordinator = Sender;

    async fn owning(&self, assignment: Assignment) -> Sender {
        let world = World::shared("owning").await;
        world.store().init().await.unwrap();
        write(&world, &assignment).await;
        world.join(life("s1", 1)).await
    }

    async fn assign(&self, sender: &Sender, assignment: Assignment) {
        write(&sender.world, &assignment).await;
    }
}

/// Makes the records say that `s1` owns exactly this, in one transaction, and calls it.
async fn write(world: &World, assignment: &Assignment) {
    let raw = world.raw().await;
    let open = || CreateMode::Persistent.with_acls(Acls::anyone_all());
    let there = raw.list_children("/queues").await.unwrap();
    let mut writer = raw.new_multi_writer();
    for name in &there {
        let record = QueueAssignment::new(QueueName::parse(name).unwrap(), 100);
        if assignment.queues.iter().all(|owned| owned.queue != record.queue) {
            writer.add_set_data(&format!("/queues/{name}"), &json(&record), None).unwrap();
        }
    }
    for owned in &assignment.queues {
        let record = QueueAssignment {
            epoch: owned.epoch,
            owner: Some(life("s1", 1).owner()),
            predecessor_gone: owned.predecessor_gone,
            ..QueueAssignment::new(owned.queue.clone(), owned.prefetch)
        };
        let path = format!("/queues/{}", owned.queue);
        if there.contains(&owned.queue.to_string()) {
            writer.add_set_data(&path, &json(&record), None).unwrap();
        } else {
            writer.add_create(&path, &json(&record), &open()).unwrap();
        }
    }
    if raw.check_stat("/calls/s1").await.unwrap().is_some() {
        writer.add_set_data("/calls/s1", b"", None).unwrap();
    }
    writer.commit().await.unwrap();
}

fn json(record: &QueueAssignment) -> Vec<u8> {
    serde_json::to_vec(record).unwrap()
}

#[tokio::test]
async fn the_coordinator_keeps_its_promises() {
    need!("zookeeper");
    let outcomes = coordinator::each(&Hand).await;
    let broken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
