//! How many pushes a second reach a server that is far away and gives small windows, and on how many connections:
//! `cargo run --release -p skein-apns --example far -- ROUND_TRIP_MS PAYLOAD_BYTES IN_FLIGHT SECONDS CONNECTIONS_MAX`.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

use bytes::Bytes;
use rcgen::KeyPair;
use rustix::time::{ClockId, clock_gettime};
use skein_apns::{
    Answer, Client, ClientConfig, Credential, Endpoint, Environment, Expiration, Priority, PushType, Request,
    Roots, TokenKey,
};
use skein_apns_sim::log::LogMode;
use skein_apns_sim::{Simulator, SimulatorConfig};
use std::time::{Duration, Instant};

fn argument(n: usize, default: u64) -> u64 {
    std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn thread_cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn request(key: u64, payload: &Bytes) -> Request {
    let mut token = [0xab; 32];
    token[..8].copy_from_slice(&(key % 100_000).to_be_bytes());
    Request {
        key,
        token: Bytes::copy_from_slice(&token),
        topic: "com.example.im".into(),
        push_type: PushType::Alert,
        priority: Priority::Immediate,
        expiration: Expiration::At(1_900_000_000),
        collapse_id: None,
        apns_id: u128::from(key).to_be_bytes(),
        payload: payload.clone(),
    }
}

/// Writes what there is room for until `until`; counts the accepted.
async fn push(client: &mut Client, key: &mut u64, payload: &Bytes, in_flight: usize, until: Instant) -> u64 {
    let (mut accepted, mut answers) = (0, Vec::new());
    while Instant::now() < until {
        let open = client.in_flight() + client.status().held;
        for _ in 0..client.room().min(in_flight.saturating_sub(open)) {
            client.write(request(*key, payload)).expect("there was room");
            *key += 1;
        }
        client.progress(&mut answers).await;
        for (_, answer) in answers.drain(..) {
            assert!(matches!(answer, Answer::Reply { status: 200, .. }), "{answer:?}");
            accepted += 1;
        }
    }
    accepted
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rtt_ms = argument(1, 150);
    let payload = format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "x".repeat(argument(2, 1_500) as usize - 20));
    let payload = Bytes::from(payload);
    let (in_flight, seconds) = (argument(3, 20_000) as usize, argument(4, 10));
    let simulator = Simulator::start(SimulatorConfig {
        rtt_ms,
        log: LogMode::Off,
        devices: false,
        ..SimulatorConfig::default()
    })
    .expect("a simulator");
    let address = simulator.addr();
    let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox)
        .expect("an address");
    let p8 = KeyPair::generate().expect("a key").serialize_pem();
    let key = TokenKey::from_p8(p8.as_bytes(), "ABCDE12345", "TEAM567890").expect("a key");
    let config = ClientConfig {
        roots: Roots::from_pem(simulator.ca_pem().as_bytes()).expect("roots"),
        connections_max: argument(5, 256) as usize,
        ..ClientConfig::new(endpoint)
    };
    let mut client = Client::new(config, Credential::Token(key));
    let mut key = 0;
    for second in 1..=seconds {
        let (began, cpu) = (Instant::now(), thread_cpu_us());
        let until = began + Duration::from_secs(1);
        let accepted = push(&mut client, &mut key, &payload, in_flight, until).await;
        let status = client.status();
        println!(
            "second {second}: {:.0}/s on {} connections, {} connecting, {} in flight, {} held, {:.2} us of the client's thread each",
            accepted as f64 / began.elapsed().as_secs_f64(),
            status.open,
            status.connecting,
            status.in_flight,
            status.held,
            (thread_cpu_us() - cpu) / accepted.max(1) as f64,
        );
    }
    client.drain(Instant::now() + Duration::from_secs(5), &mut Vec::new()).await;
}
