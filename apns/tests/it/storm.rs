//! A server that ends connections early is not stormed; one that ends them after much work is not waited for.

use crate::server::{request, token};
use skein_apns::*;
use skein_apns_sim::faults::ConnectionFaults;
use skein_apns_sim::{Faults, Handle, Simulator, SimulatorConfig};
use std::collections::VecDeque;
use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A server that ends each connection after so many requests, and a client of it.
fn ending_every(requests: u64) -> (Handle, Client) {
    let connection = ConnectionFaults { goaway_every: requests, ..ConnectionFaults::default() };
    let faults = Faults { connection, ..Faults::default() };
    let simulator = Simulator::start(SimulatorConfig { faults, ..SimulatorConfig::default() }).unwrap();
    let address = simulator.addr();
    let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox).unwrap();
    let config = ClientConfig {
        roots: Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap(),
        connect_interval_min: Duration::from_millis(1),
        backoff_min: PAUSE_MIN,
        backoff_max: PAUSE_MAX,
        ..ClientConfig::new(endpoint)
    };
    (simulator, Client::new(config, token()))
}

/// Pushes `count`, each until it is accepted.
async fn push_all(client: &mut Client, count: u64) {
    let mut waiting: VecDeque<u64> = (1..=count).collect();
    let (mut answers, mut accepted) = (Vec::new(), 0);
    while accepted < count {
        while client.room() > 0
            && let Some(key) = waiting.pop_front()
        {
            client.write(Request { apns_id: u128::from(key).to_be_bytes(), ..request(key) }).unwrap();
        }
        client.progress(&mut answers).await;
        for (key, answer) in answers.drain(..) {
            match answer {
                Answer::Reply { status: 200, .. } => accepted += 1,
                _ => waiting.push_back(key),
            }
        }
    }
}

#[tokio::test]
async fn connections_that_end_at_once_are_made_ever_more_rarely() {
    let (_simulator, mut client) = ending_every(2);
    let window = Duration::from_secs(3);
    let in_vain = tokio::time::timeout(window, push_all(&mut client, 1_000_000)).await;
    assert!(in_vain.is_err());
    let (health, status) = (client.health(), client.status());
    // After six that double, half the longest pause apart at least.
    let most = 6 + (window.as_millis() / (PAUSE_MAX / 2).as_millis()) as u64 + 2;
    assert!((3..=most).contains(&health.connects), "{health:?}");
    assert!(status.failures_in_row >= 3, "{status:?}");
    assert!(health.connections.accepted > 0);
}

#[tokio::test]
async fn connections_that_end_after_much_work_are_followed_at_once() {
    let (_simulator, mut client) = ending_every(200);
    push_all(&mut client, 4_000).await;
    let (health, status) = (client.health(), client.status());
    assert!(health.connects >= 20, "{health:?}");
    assert_eq!(status.failures_in_row, 0, "{status:?}");
}
