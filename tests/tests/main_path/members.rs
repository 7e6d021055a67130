//! P1–P3 when one of two senders of a fleet dies for good: the other takes its queues over, as the monitor says.

use std::net::Ipv4Addr;

use skein_tests::{
    http, need,
    ports::Port,
    relay::Relay,
    services::{PostgreSql, RabbitMq, ZooKeeper},
    until,
};

use crate::{
    fleet::{FLOW_LIMIT, Fleet, Services},
    load::Load,
    scenario::Scenario,
    site::{POOL, bad_day},
};

const PER_SECOND: u32 = 500;
const QUEUES: usize = 4;
/// Where the simulator sees the one that is killed.
const ITS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// P1, P2, P3: killed under load, and not started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_sender_takes_over() {
    need!("rabbitmq", "postgresql", "zookeeper");
    let scenario = Scenario::new("one of two senders killed for good", 1, 1);
    let (broker, zookeeper) = (RabbitMq::shared().await.unwrap(), ZooKeeper::shared().await.unwrap());
    let services = Services::direct(broker, PostgreSql::shared().await.unwrap());
    let mut fleet = Fleet::prepare("members", services, bad_day(scenario.seed)).await;
    let chroot = zookeeper.chroot("members");
    let (servers, chroot) = chroot.split_once('/').unwrap();
    let management = broker.management_url().replace("guest:guest@", "");
    fleet.engine.push_str(&format!(
        r#"
[coordinator]
servers = ["{servers}"]
chroot = "/{chroot}"
session_timeout = "4s"
server_tick = "500ms"

[monitor]
management_url = "{management}"

[monitor.policy]
join_debounce = "1s"
"#
    ));
    // The configuration of the fleet's own sender, written anew.
    fleet.site.config(&fleet.engine);
    let (api, state) = (Port::claim(), fleet.site.path("state"));
    let (listen, state) = (format!("monitor.listen=127.0.0.1:{api}"), state.display().to_string());
    let (mut monitor, _pages) = fleet.start_role(&["run", "monitor", "--set", &listen]);
    let folder = format!("sender.state_folder={state}");
    let apns = Relay::start_from(fleet.site.simulator.addr(), ITS_ADDRESS).await.unwrap();
    let endpoint = format!("pools.{POOL}.endpoint={}", apns.address());
    let second = ["run", "sender", "--set", "sender.member=sender-2", "--set", &folder, "--set", &endpoint];
    let (mut second, _second_pages) = fleet.start_role(&second);
    fleet.start_sender();
    let page = format!("http://127.0.0.1:{api}/v1/fleet");
    owned(&page, &[("sender-1", QUEUES / 2), ("sender-2", QUEUES / 2)]).await;
    // A sender is a member before it has declared; what is published before that has no queue.
    fleet.sender_ready().await;
    let load = Load::start(fleet.producer(None), scenario.seed, PER_SECOND);
    fleet.flowing(1_000).await;
    // Nobody takes over until it is counted what the dead one may have written.
    monitor.pause();
    second.kill9();
    let read_out = async || {
        let connections = fleet.site.simulator.log().connections;
        let its = connections.iter().filter(|connection| connection.peer.ip() == ITS_ADDRESS);
        let mut ended = its.map(|connection| connection.closed_ns.is_some()).peekable();
        (ended.peek().is_some() && ended.all(|ended| ended)).then_some(())
    };
    until("what the dead one had written to be read", FLOW_LIMIT, read_out).await.unwrap();
    fleet.count_at_risk().await;
    monitor.resume();
    owned(&page, &[("sender-1", QUEUES), ("sender-2", 0)]).await;
    fleet.flowing(1_000).await;
    let verdict = scenario.check(fleet, load).await;
    assert!(verdict.accepted > 0);
}

/// Waits until the monitor's page says who owns how many queues.
async fn owned(page: &str, wanted: &[(&str, usize)]) {
    let is = async || {
        let fleet = http::get(page).await.ok()?.json().ok()?;
        let queues = fleet["queues"].as_array()?;
        let count = |member: &str| queues.iter().filter(|queue| queue["owner"] == member).count();
        wanted.iter().all(|(member, queues)| count(member) == *queues).then_some(())
    };
    if until("the queues to be owned so", FLOW_LIMIT, is).await.is_err() {
        panic!("not {wanted:?}: {:?}", http::get(page).await);
    }
}
