//! With those rights and no more each role does its work.

use std::time::Duration;

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_backends::rabbitmq::{RabbitBroker, RabbitOptions, Topology, declare_shared};
use skein_backends::token_cipher::TokenCipher;
use skein_backends::zookeeper::{
    LiveDocument, Login, ZooKeeperFleet, ZooKeeperLive, ZooKeeperOptions, ZooKeeperRole,
};
use skein_core::contract::ledger::Sample;
use skein_core::fact::Fact;
use skein_core::fleet::Wanted;
use skein_core::seam::{Broker as _, DeadLetter, FleetStore as _, Inbox as _, Lead as _, Ledger as _};
use skein_core::{NotificationId, QueueName};
use skein_producer::LinkOptions;
use skein_provision::Service;
use skein_tests::{need, until};

use crate::site::{QUEUES, Site};

/// How long anything that is waited for may take.
const LIMIT: Duration = Duration::from_secs(60);

impl Site {
    fn link_as(&self, user: &str) -> LinkOptions {
        let user = format!("{}-{user}", self.cluster.prefix);
        let password = self.credentials.find(Service::RabbitMq, &user).unwrap().unwrap();
        let brokers = self.link.brokers.iter().map(|broker| broker.with_login(&user, &password));
        LinkOptions { brokers: brokers.collect(), ..self.link.clone() }
    }

    fn ledger_as(&self, user: &str) -> PostgresLedger {
        let user = format!("{}-{user}", self.cluster.prefix);
        let password = self.credentials.find(Service::PostgreSql, &user).unwrap().unwrap();
        let options = PostgresOptions {
            username: Some(user),
            password: Some(password.to_string()),
            ..self.postgres.clone()
        };
        PostgresLedger::new(options).unwrap()
    }

    fn zookeeper_as(&self, role: ZooKeeperRole) -> ZooKeeperOptions {
        let user = self.cluster.zookeeper_user(role);
        let password = self.credentials.find(Service::ZooKeeper, &user).unwrap().unwrap();
        ZooKeeperOptions { login: Some(Login::new(user, &password)), ..self.zookeeper.clone() }
    }

    fn fleet_as(&self, role: ZooKeeperRole) -> ZooKeeperFleet {
        ZooKeeperFleet::connect(self.zookeeper_as(role), role.label())
    }
}

#[tokio::test]
async fn a_sender_takes_buries_and_settles() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::ready("provision_sender").await;
    let pool = site.cluster.pools[0].name.clone();
    let link = site.link_as("sender-s0");
    let bytes = site.cluster.queue_bytes_max;
    declare_shared(&link, bytes).await.expect("what is there need not be declared");
    let topology = Topology { pool: pool.clone(), queues: QUEUES, max_length_bytes: bytes };
    topology.declare(&link).await.expect("what is there need not be declared");
    let options = RabbitOptions { max_length_bytes: bytes, ..RabbitOptions::new(link) };
    let broker = RabbitBroker::new(options);
    let publish = site.link_as("producer-chat");
    let queue = QueueName { pool: pool.clone(), number: 0 };
    publish_one(&publish, &pool.exchange()).await;
    let mut inbox = broker.attach(&queue, 10).await.expect("attached");
    let taken = inbox.take(1).await.expect("a delivery");
    let letter = DeadLetter {
        queue: queue.clone(),
        kind: taken[0].kind.clone(),
        id: None,
        reason: "malformed",
        detail: "a test".to_owned(),
        body: taken[0].body.clone(),
    };
    inbox.bury(letter).await.expect("buried");
}

async fn publish_one(link: &LinkOptions, exchange: &str) {
    use lapin::BasicProperties;
    use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
    let link = skein_producer::link::Link::connect(link, 0).await.unwrap();
    let channel = link.connection().create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange.into(), "0".into(), options, b"x", BasicProperties::default());
    assert!(sent.await.unwrap().await.unwrap().is_ack());
}

#[tokio::test]
async fn a_sender_records_and_a_gateway_registers() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::ready("provision_ledger").await;
    let sample = Sample::new(&site.cluster.pools[0].name);
    let sender = site.ledger_as("sender-s0");
    let now = NotificationId::now().at();
    sender.migrate(now).await.expect("the schema is there: nothing to make but days");
    sender.record(&[Fact::Final(Box::new(sample.accepted()))]).await.expect("recorded");
    sender.drop_before(now.minus(Duration::from_secs(30 * 86_400))).await.expect("retention");
    sender.drop_before(now).await.expect_err("P1: nobody clears the ledger");
    sender.register(&[sample.registration(now)]).await.expect_err("P9: it has no key for them");
    let gateway = site.ledger_as("gateway").sealing(TokenCipher::new([7; 32]));
    gateway.register(&[sample.registration(now)]).await.expect("registered");
    gateway.ping().await.expect("there");
    let support = site.ledger_as("support");
    assert!(!support.trace(sample.key.id).await.expect("read").events.is_empty());
}

#[tokio::test]
async fn a_monitor_leads_and_an_operator_wishes() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::ready("provision_fleet").await;
    let monitor = site.fleet_as(ZooKeeperRole::Monitor);
    monitor.init().await.expect("it is there");
    monitor.seed(&site.cluster.pools[0].name, QUEUES, 100).await.expect("it is there");
    let lead = monitor.lead().await.expect("a leader");
    let operator = site.fleet_as(ZooKeeperRole::Operator);
    let wish = operator.wish("ops", Wanted::Rebalance).await.expect("a wish");
    let view = monitor.read().await.expect("a view");
    assert_eq!((view.wishes.len(), view.queues.len()), (1, usize::from(QUEUES)));
    lead.fulfilled(&[wish]).await.expect("fulfilled");
    let policy = view.policy.clone();
    monitor.set_policy(&policy).await.expect("its policy");
    operator.set_policy(&policy).await.expect_err("the monitor's");
}

/// What an operator sets live reaches a gateway, whose word reaches the operator; and neither goes the other way.
#[tokio::test]
async fn a_gateway_is_told_what_is_live_and_says_so() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::ready("provision_live").await;
    let operator = ZooKeeperLive::connect(site.zookeeper_as(ZooKeeperRole::Operator));
    let live = ZooKeeperLive::connect(site.zookeeper_as(ZooKeeperRole::Gateway));
    let document = LiveDocument {
        settings: [("gateway.rate_max".to_owned(), "7".to_owned())].into(),
        ..LiveDocument::default()
    };
    let version = operator.write(0, &document).await.expect("the operator's");
    live.write(version, &document).await.expect_err("not the front door's");
    live.in_force().await.expect_err("what others go by is not its business");
    let says = async |version| {
        let said = operator.in_force().await.ok()?;
        let [one] = said.as_slice() else { return None };
        (one.role == "gateway" && one.name == "door-1" && one.version == version).then_some(())
    };
    // Twice: who comes back before its session has ended takes its own place.
    for _ in 0..2 {
        let mut watch = live.watch("gateway", "door-1");
        let told = tokio::time::timeout(LIMIT, watch.changed()).await.expect("told");
        assert_eq!((told.version, told.document), (version, Ok(document.clone())));
        watch.say(version, None);
        until("its word", LIMIT, async || says(version).await).await.unwrap();
        watch.say(version + 1, None);
        until("its next word", LIMIT, async || says(version + 1).await).await.unwrap();
    }
}
