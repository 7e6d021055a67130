//! A fleet in memory with a monitor over it, and a broker that only tells what it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use skein_core::fleet::{Incarnation, Member, MemberId, Owner, QueueAssignment};
use skein_core::memory::{MemoryFleet, PausedClock};
use skein_core::plan::BrokerSeen;
use skein_core::seam::{Clock as _, FleetStore};
use skein_core::{PoolName, QueueName, Timestamp};
use skein_health_monitor::broker::{BrokerView, BrokerWatch};
use skein_health_monitor::{Events, Monitor, Shown};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A broker that says what the test says, and remembers what was closed when.
pub struct ToldBroker {
    clock: PausedClock,
    view: Mutex<BrokerView>,
    news: Notify,
    fleet: MemoryFleet,
    /// Each connection that was closed, with the queues' owners at that moment.
    pub closed: Mutex<Vec<(String, Vec<Option<Owner>>)>>,
}

impl ToldBroker {
    pub fn new(clock: PausedClock, fleet: MemoryFleet) -> Self {
        let view = BrokerView { seen: BrokerSeen::Up, ..BrokerView::default() };
        Self { clock, view: Mutex::new(view), news: Notify::new(), fleet, closed: Mutex::default() }
    }

    fn change(&self, change: impl FnOnce(&mut BrokerView)) {
        change(&mut self.view.lock().unwrap());
        self.news.notify_one();
    }

    /// A life attaches to a queue, or to anything.
    pub fn opens(&self, owner: &Owner, purpose: &str) {
        let name = format!("{}/{purpose}", owner.connection_name());
        let at = self.clock.boot();
        self.change(|view| view.connections.opened(&name, &name, at));
    }

    pub fn closes(&self, owner: &Owner, purpose: &str) {
        let name = format!("{}/{purpose}", owner.connection_name());
        let at = self.clock.boot();
        self.change(|view| view.connections.closed(&name, &name, at));
    }
}

impl BrokerWatch for ToldBroker {
    fn view(&self) -> BrokerView {
        self.view.lock().unwrap().clone()
    }

    async fn changed(&self) {
        self.news.notified().await;
    }

    async fn close(&self, connection: &str) -> Result<(), String> {
        let owners = (0..QUEUES).map(|n| self.fleet.queue(&queue(n)).and_then(|a| a.owner));
        self.closed.lock().unwrap().push((connection.to_owned(), owners.collect()));
        let at = self.clock.boot();
        let name = connection.to_owned();
        self.change(|view| view.connections.closed(&name, &name, at));
        Ok(())
    }
}

pub const QUEUES: u16 = 4;

pub struct Stage {
    pub fleet: MemoryFleet,
    pub broker: Arc<ToldBroker>,
    pub clock: PausedClock,
}

impl Stage {
    /// A fleet without members, its queues known.
    pub async fn new() -> Self {
        let fleet = MemoryFleet::new();
        let clock = PausedClock::starting_at(Timestamp::from_secs(1_800_000_000));
        fleet.seed(&pool(), QUEUES, 100).await.unwrap();
        let broker = Arc::new(ToldBroker::new(clock.clone(), fleet.clone()));
        Self { fleet, broker, clock }
    }

    /// A monitor begins.
    pub fn monitor(&self, name: &str) -> Running {
        let shown = Arc::new(Shown::default());
        let monitor = Monitor {
            name: name.to_owned(),
            store: Arc::new(self.fleet.clone()),
            broker: Arc::clone(&self.broker),
            clock: self.clock.clone(),
            events: Arc::new(Events::new(&Registry::new()).unwrap()),
            shown: Arc::clone(&shown),
        };
        Running { task: tokio::spawn(monitor.run()), shown }
    }

    pub fn assignment(&self, number: u16) -> QueueAssignment {
        self.fleet.queue(&queue(number)).unwrap()
    }

    pub fn owners(&self) -> Vec<Option<String>> {
        let name = |n| self.assignment(n).owner.map(|owner| owner.member.to_string());
        (0..QUEUES).map(name).collect()
    }

    /// How many queues a member owns.
    pub fn share(&self, member: &str) -> usize {
        self.owners().into_iter().filter(|owner| owner.as_deref() == Some(member)).count()
    }
}

/// A running monitor.
pub struct Running {
    pub task: JoinHandle<()>,
    pub shown: Arc<Shown>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets the paused clock go on.
pub async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub fn pool() -> PoolName {
    PoolName::parse("im").unwrap()
}

pub fn queue(number: u16) -> QueueName {
    QueueName { pool: pool(), number }
}

pub fn member(name: &str, life: u128) -> Member {
    let owner =
        Owner { member: MemberId::parse(name).unwrap(), incarnation: Incarnation(Uuid::from_u128(life)) };
    serde_json::from_value(serde_json::json!({
        "id": name, "incarnation": owner.incarnation, "host": name, "version": "1", "pools": [{"pool": "im"}],
        "connection_prefix": owner.connection_name(), "since": "2026-11-21T12:00:00Z",
    }))
    .unwrap()
}
