//! A leader dies under load: of ZooKeeper's ensemble, then of the queues in RabbitMQ's cluster.

use std::time::Duration;

use skein_core::fleet::Owner;
use skein_test_site::run::Run;
use skein_tests::{
    need,
    services::{RabbitMq, ZooKeeper},
    until,
};

use crate::{
    bounds::{Figure, compare},
    outcome::{Copies, Measure, judge},
    rig::{PRODUCER, QUEUES, REST_LIMIT, Rig, START_LIMIT, Services},
    takeover::{Costs, Fault, quantile_ms},
};

/// How long after the kill a pause still counts as its doing.
const WITHIN: Duration = Duration::from_secs(5);

/// P1, P2, P3, P7: row `ensembles`, the half of ZooKeeper: nobody who sends notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeepers_leader_is_killed() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("ensembles-zookeeper", 1, 10);
    let mut ensemble = ZooKeeper::start_ensemble().await.unwrap();
    let zookeepers = ensemble.iter().map(|server| server.client()).collect();
    let services = Services { zookeepers, ..Services::shared().await };
    let rig = Rig::start_calm("ensemble", services, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let before = rig.owners().await;
    for _ in 0..run.runs {
        rig.flowing(500).await;
        let leads = async || ZooKeeper::leader(&ensemble).await;
        let leader = until("a leading ZooKeeper", REST_LIMIT, leads).await.unwrap();
        for number in 0..rig.senders.len() {
            let queues = rig.queues_of(number as u8).await;
            faults.push(rig.fault(number, queues));
        }
        ensemble[leader].kill9();
        rig.flowing(2_000).await;
        ensemble[leader].start_again().await.unwrap();
        rig.all_present().await;
        rig.at_rest().await;
    }
    let moves = rig.moves_since(&before).await;
    judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, Copies::None).await;
    assert_eq!(moves, 0, "no queue moves for ZooKeeper's sake");
}

/// P1, P2, P3: row `ensembles`, the half of RabbitMQ: the node that leads most of the queues is killed, some of whose owners are
/// its clients and others are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_leads_the_queues_is_killed() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("ensembles-rabbitmq", 1, 10);
    let mut cluster = RabbitMq::start_cluster().await.unwrap();
    let brokers = cluster.iter().map(|node| (**node).clone()).collect();
    let services = Services { brokers, ..Services::shared().await };
    let rig = Rig::start_calm("cluster", services, run.seed).await;
    let load = rig.load(run.seed).await;
    let (mut its_clients, mut the_others) = (Vec::new(), Vec::new());
    let before = rig.owners().await;
    for round in 0..run.runs {
        whole(&cluster, &rig.vhost).await;
        rig.flowing(500).await;
        let clients = clients(&cluster).await;
        let producers = clients.iter().find(|client| client.name == PRODUCER).unwrap().node;
        // With and without the producer among the clients of the node, in turn.
        let dead = leads_most(&cluster, &rig.vhost, |node| (node == producers) == (round % 2 == 0)).await;
        cluster[dead].registered(&Rig::queue(0).on_broker()).await.unwrap();
        for number in 0..rig.senders.len() {
            let served =
                |queue: &u16| clients.iter().any(|client| client.node == dead && client.serves(*queue));
            let queues = rig.queues_of(number as u8).await.into_iter();
            let (near, far) = queues.partition(|queue| dead == producers || served(queue));
            its_clients.push(rig.fault(number, near));
            the_others.push(rig.fault(number, far));
        }
        cluster[dead].kill9();
        rig.flowing(2_000).await;
        rig.at_rest().await;
        cluster[dead].start_again().await.unwrap();
    }
    whole(&cluster, &rig.vhost).await;
    rig.flowing(500).await;
    let moves = rig.moves_since(&before).await;
    let faults: Vec<Fault> = its_clients.iter().chain(&the_others).cloned().collect();
    let judged =
        judge(rig, &run, load, &faults, Measure::LongestPause(WITHIN), moves, Copies::Possible).await;
    let gap_max =
        |faults: &[Fault]| quantile_ms(&Costs::of_pauses(faults, &judged.timeline, WITHIN).gaps, 1.0);
    let figures = [
        (Figure::GapMaxOfItsClients, gap_max(&its_clients)),
        (Figure::GapMaxOfTheOthers, gap_max(&the_others)),
    ];
    compare(run.row, &figures);
}

/// Waits until every node has a member of every queue.
async fn whole(cluster: &[RabbitMq; 3], vhost: &str) {
    let all = async || {
        let queues = cluster[0].quorums(vhost).await.ok()?;
        let whole = queues.iter().filter(|queue| queue.online == cluster.len()).count();
        (whole >= usize::from(QUEUES) && whole == queues.len()).then_some(())
    };
    until("every queue to have a member on every node", START_LIMIT, all).await.unwrap();
}

/// Of these nodes the one that leads most queues.
async fn leads_most(cluster: &[RabbitMq; 3], vhost: &str, of: impl Fn(usize) -> bool) -> usize {
    let queues = cluster[0].quorums(vhost).await.unwrap();
    let led = |node: &usize| queues.iter().filter(|queue| queue.leader == cluster[*node].node_name()).count();
    (0..cluster.len()).filter(|node| of(*node)).max_by_key(led).unwrap()
}

/// A connection: its node's number, and the name that its client gave it.
struct Client {
    node: usize,
    name: String,
}

impl Client {
    fn serves(&self, queue: u16) -> bool {
        let purpose = Rig::queue(queue).to_string();
        Owner::of_connection(&self.name).is_some_and(|(_, other)| other == purpose)
    }
}

/// All connections, once the listing knows the producer's and that of every queue's owner: it lags.
async fn clients(cluster: &[RabbitMq; 3]) -> Vec<Client> {
    let all = async || {
        let listed = cluster[0].manage("GET", "connections", None).await.ok()?.json().ok()?;
        let client = |connection: &serde_json::Value| {
            let node = cluster.iter().position(|node| connection["node"] == node.node_name())?;
            Some(Client { node, name: connection["user_provided_name"].as_str()?.to_owned() })
        };
        let clients: Vec<Client> = listed.as_array()?.iter().filter_map(client).collect();
        let owned = (0..QUEUES).all(|queue| clients.iter().any(|client| client.serves(queue)));
        (owned && clients.iter().any(|client| client.name == PRODUCER)).then_some(clients)
    };
    until("the broker to list its clients", START_LIMIT, all).await.unwrap()
}
