//! The suites of the seams.

use std::cell::{Cell, RefCell};

use bytes::Bytes;

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use skein_backends::clock::SystemClock;
use skein_backends::rabbitmq::{FACTS_QUEUE, RabbitBroker, RabbitInbox, SpooledLedger};
use skein_core::contract::{broker, ledger, submit};
use skein_core::lease::BootMillis;
use skein_core::memory::MemoryLedger;
use skein_core::seam::Clock as _;
use skein_core::{PoolName, QueueName};
use skein_producer::Producer;
use skein_tests::{need, until};

use crate::world::{LIMIT, World, header, pool};

struct Attachments {
    world: World,
    used: Cell<u16>,
}

const QUEUES: u16 = 40;

impl broker::BrokerHarness for Attachments {
    type Broker = RabbitBroker;

    fn broker(&self) -> RabbitBroker {
        self.world.broker()
    }

    fn boot(&self) -> BootMillis {
        SystemClock.boot()
    }

    async fn fresh_queue(&self) -> QueueName {
        self.used.set(self.used.get() + 1);
        assert!(self.used.get() <= QUEUES);
        QueueName { pool: pool("contract"), number: self.used.get() - 1 }
    }

    async fn publish(&self, queue: &QueueName, body: &[u8], repeat: bool) {
        self.world.publish(queue, body, repeat).await;
    }

    async fn cut(&self, _queue: &QueueName, _inbox: &mut RabbitInbox) {
        self.world.relay.cut_all();
        let all_cut = async || (self.world.relay.open() == 0).then_some(());
        until("the relay to have cut", LIMIT, all_cut).await.unwrap();
    }

    async fn dead_letters(&self, queue: &QueueName) -> Vec<Bytes> {
        let letters = self.world.dead_letters().await;
        let from = letters.into_iter().filter(|d| header(d, "x-skein-queue") == Some(queue.to_string()));
        from.map(|d| d.data.into()).collect()
    }
}

#[tokio::test]
async fn the_broker_keeps_its_promises() {
    need!("rabbitmq");
    let world = World::new("broker").await;
    world.declare("contract", QUEUES).await;
    let harness = Attachments { world, used: Cell::new(0) };
    let outcomes = broker::each(&harness).await;
    let broken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

struct Submissions {
    world: World,
    producer: Producer,
    used: Cell<usize>,
}

const POOLS: [&str; 8] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];

impl submit::SubmitHarness for Submissions {
    type Submit = Producer;
    type Broker = RabbitBroker;

    fn submit(&self) -> Producer {
        self.producer.clone()
    }

    fn broker(&self) -> RabbitBroker {
        self.world.broker()
    }

    async fn fresh_pool(&self, queues: u16) -> PoolName {
        assert_eq!(queues, 4);
        self.used.set(self.used.get() + 1);
        pool(POOLS[self.used.get() - 1])
    }
}

#[tokio::test]
async fn the_producer_keeps_its_promises() {
    need!("rabbitmq");
    let world = World::new("submit").await;
    for name in POOLS {
        world.declare(name, 4).await;
    }
    let producer = world.producer(&POOLS).await;
    let harness = Submissions { world, producer, used: Cell::new(0) };
    let outcomes = submit::each(&harness).await;
    let broken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

struct Spooled {
    world: World,
    used: Cell<u32>,
    /// Holds the facts queue, as a process does that has facts of it in hand.
    holding: RefCell<Option<(Channel, Consumer)>>,
}

impl ledger::LedgerHarness for Spooled {
    type Ledger = SpooledLedger<MemoryLedger>;
    /// It never is: that is what the facts queue is for (`facts.rs`).
    const CAN_BE_AWAY: bool = false;

    async fn fresh(&self) -> (Self::Ledger, PoolName) {
        self.used.set(self.used.get() + 1);
        let ledger = SpooledLedger::new(MemoryLedger::new(), self.world.broker());
        (ledger, pool(&format!("p{}", self.used.get())))
    }

    async fn reopen(&self, ledger: Self::Ledger) -> Self::Ledger {
        ledger
    }

    async fn set_away(&self, _ledger: &Self::Ledger, _away: bool) {}

    const CAN_BE_BEHIND: bool = true;

    async fn set_behind(&self, _ledger: &Self::Ledger, behind: bool) {
        let held = self.holding.take();
        if behind {
            let channel = self.world.channel().await;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume(FACTS_QUEUE.into(), "".into(), options, none).await.unwrap();
            self.holding.replace(Some((channel, consumer)));
        } else if let Some((channel, _)) = held {
            channel.close(200, "done".into()).await.unwrap();
        }
        let told = async || (self.world.consumers(FACTS_QUEUE).await == u32::from(behind)).then_some(());
        until("the broker to count that", LIMIT, told).await.unwrap();
    }
}

#[tokio::test]
async fn the_spooled_ledger_keeps_the_promises_of_the_one_inside() {
    need!("rabbitmq");
    let harness =
        Spooled { world: World::new("ledger").await, used: Cell::new(0), holding: RefCell::default() };
    let outcomes = ledger::each(&harness).await;
    let broken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
