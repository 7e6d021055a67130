//! Sends one push and prints what became of it.
//!
//! ```text
//! cargo run -p skein-apns --example push -- AuthKey_ABCDE12345.p8 ABCDE12345 TEAM567890 \
//!     sandbox com.example.app 0123…ef '{"aps":{"alert":"hello"}}'
//! ```
//!
//! `APNS_HOST`, `APNS_PORT` and `APNS_ROOTS` (a PEM file) point it at another server, such as a simulator.

#![allow(clippy::print_stdout, reason = "its answer is its output")]

use bytes::Bytes;
use skein_apns::{
    Answer, Client, ClientConfig, Credential, Endpoint, Environment, Expiration, Priority, PushType, Request,
    Roots, TokenKey,
};
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

fn endpoint_and_roots(environment: Environment) -> Result<ClientConfig, Box<dyn Error>> {
    let Ok(host) = std::env::var("APNS_HOST") else {
        return Ok(ClientConfig::new(Endpoint::apple(environment)));
    };
    let port = std::env::var("APNS_PORT").map_or(Ok(443), |port| port.parse())?;
    let mut config = ClientConfig::new(Endpoint::custom(&host, port, environment)?);
    if let Ok(path) = std::env::var("APNS_ROOTS") {
        config.roots = Roots::from_pem(&std::fs::read(path)?)?;
    }
    Ok(config)
}

fn token_bytes(hex: &str) -> Result<Bytes, Box<dyn Error>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return Err("the device token is not hexadecimal".into());
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    Ok(pairs.collect::<Result<Vec<u8>, _>>()?.into())
}

async fn push(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let [p8, key_id, team_id, environment, topic, token, payload] = arguments else {
        return Err("usage: push P8 KEY_ID TEAM_ID production|sandbox TOPIC TOKEN PAYLOAD".into());
    };
    let environment = match environment.as_str() {
        "production" => Environment::Production,
        "sandbox" => Environment::Sandbox,
        other => return Err(format!("{other:?} is neither production nor sandbox").into()),
    };
    let credential = Credential::Token(TokenKey::from_p8(&std::fs::read(p8)?, key_id, team_id)?);
    credential.check(environment, &[topic], SystemTime::now())?;

    let mut client = Client::new(endpoint_and_roots(environment)?, credential);
    let request = Request {
        key: 1,
        token: token_bytes(token)?,
        topic: topic.as_str().into(),
        push_type: PushType::Alert,
        priority: Priority::Immediate,
        expiration: Expiration::NotStored,
        collapse_id: None,
        apns_id: uuid::Uuid::now_v7().into_bytes(),
        payload: Bytes::from(payload.clone()),
    };
    client.write(request).map_err(|_| "the client has no room")?;
    let mut answers = Vec::new();
    client.drain(Instant::now() + Duration::from_secs(30), &mut answers).await;
    for (_, answer) in &answers {
        println!("{answer:?}");
    }
    if let Some(failure) = client.status().last_failure {
        println!("last failure to connect: {}: {}", failure.failure.label(), failure.detail);
    }
    Ok(matches!(answers[..], [(_, Answer::Reply { status: 200, .. })]))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    Ok(if push(&arguments).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
