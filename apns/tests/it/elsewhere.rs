//! After a 500, another connection is opened and preferred: what met a fault of one server is tried on another.

use crate::server::{request, token};
use skein_apns::*;
use skein_apns_sim::faults::RequestFaults;
use skein_apns_sim::{Faults, Simulator, SimulatorConfig};
use std::time::Duration;

/// Pushes one; the connection that answered, and the status.
async fn push(client: &mut Client, key: u64) -> (u64, u16) {
    client.write(Request { apns_id: u128::from(key).to_be_bytes(), ..request(key) }).unwrap();
    let mut answers = Vec::new();
    while answers.is_empty() {
        client.progress(&mut answers).await;
    }
    let Answer::Reply { status, evidence, .. } = &answers[0].1 else { panic!("{answers:?}") };
    (evidence.connection, *status)
}

async fn until_open(client: &mut Client, connections: usize) {
    let mut answers = Vec::new();
    while client.status().open < connections {
        // Resolves only with an answer or with room: what it does meanwhile is waited for.
        let _ = tokio::time::timeout(Duration::from_millis(5), client.progress(&mut answers)).await;
    }
    assert!(answers.is_empty());
}

#[tokio::test]
async fn a_push_that_met_a_500_is_tried_on_another_connection() {
    let request =
        RequestFaults { internal_server_error: 1.0, faults_per_id_max: 1, ..RequestFaults::default() };
    let faults = Faults { request, ..Faults::default() };
    let simulator = Simulator::start(SimulatorConfig { faults, ..SimulatorConfig::default() }).unwrap();
    let address = simulator.addr();
    let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox).unwrap();
    let config = ClientConfig {
        roots: Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap(),
        connect_interval_min: Duration::from_millis(1),
        // Nothing else asks for another connection.
        grow_after: Duration::from_secs(60),
        ..ClientConfig::new(endpoint)
    };
    let mut client = Client::new(config, token());
    until_open(&mut client, 1).await;
    assert_eq!(client.status().connecting, 0, "one is enough");
    for key in 1..=20 {
        let (connection, status) = push(&mut client, key).await;
        assert_eq!(status, 500);
        until_open(&mut client, 2).await;
        let (other, status) = push(&mut client, key).await;
        assert_eq!(status, 200);
        assert_ne!(connection, other, "the early try is on another connection");
    }
    let health = client.health();
    assert_eq!((health.connects, health.connections.faults), (2, 20), "one more, not one for each");
}
