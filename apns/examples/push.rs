//! Sends one push and prints what became of it.
//!
//! ```text
//! cargo run -p skein-apns --example push -- AuthKey_ABCDE12345.p8 ABCDE12345 TEAM567890 \
//!     sandbox com.example.app 0123…ef '{"aps":{"alert":"hello"}}' [PUSH_TYPE [PRIORITY]]
//! ```
//!
//! Push type as in `apns-push-type` (`alert` if left out), priority 10, 5 or 1 (10 if left out, 5 for `background`).
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

const USAGE: &str =
    "usage: push P8 KEY_ID TEAM_ID production|sandbox TOPIC TOKEN PAYLOAD [PUSH_TYPE [PRIORITY]]";

/// Push type and priority of the last arguments, or what they are if left out.
fn kind(arguments: &[String]) -> Result<(PushType, Priority), Box<dyn Error>> {
    let push_type = match arguments.first() {
        None => PushType::Alert,
        Some(text) => PushType::parse(text)
            .ok_or_else(|| format!("{text:?} is no push type; give one of {}", labels(&PushType::ALL)))?,
    };
    let priority = match arguments.get(1).map(String::as_str) {
        None if push_type == PushType::Background => Priority::PowerAware,
        None | Some("10") => Priority::Immediate,
        Some("5") => Priority::PowerAware,
        Some("1") => Priority::PowerFirst,
        Some(other) => return Err(format!("priority {other:?} is none of 10, 5 and 1").into()),
    };
    Ok((push_type, priority))
}

/// An answer for people; ids in the form that Apple's tools take.
fn told(answer: &Answer) -> String {
    let Answer::Reply { status, reason, timestamp_ms, apns_id, apns_unique_id, .. } = answer else {
        return format!("{answer:?}");
    };
    let reason = reason.as_ref().map(|reason| format!(" {}", reason.label()));
    let since = timestamp_ms.map(|ms| format!(", gone since {ms} ms"));
    let id = apns_id.map(|id| format!(", apns-id {}", uuid::Uuid::from_bytes(id)));
    let unique = apns_unique_id.as_ref().map(|id| format!(", apns-unique-id {id}"));
    [Some(status.to_string()), reason, since, id, unique].into_iter().flatten().collect()
}

fn labels(types: &[PushType]) -> String {
    types.iter().map(|push_type| push_type.label()).collect::<Vec<_>>().join(", ")
}

async fn push(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let ([p8, key_id, team_id, environment, topic, token, payload], more) =
        arguments.split_first_chunk().filter(|(_, more)| more.len() <= 2).ok_or(USAGE)?;
    let (push_type, priority) = kind(more)?;
    let environment = match environment.as_str() {
        "production" => Environment::Production,
        "sandbox" => Environment::Sandbox,
        other => return Err(format!("{other:?} is neither production nor sandbox").into()),
    };
    let credential = Credential::Token(TokenKey::from_p8(&std::fs::read(p8)?, key_id, team_id)?);
    credential.check(environment, &[topic], SystemTime::now())?;

    let mut client = Client::new(endpoint_and_roots(environment)?, credential);
    let id = uuid::Uuid::now_v7();
    println!("apns-id: {id}");
    let request = Request {
        key: 1,
        token: token_bytes(token)?,
        topic: topic.as_str().into(),
        push_type,
        priority,
        expiration: Expiration::NotStored,
        collapse_id: None,
        apns_id: id.into_bytes(),
        payload: Bytes::from(payload.clone()),
    };
    client.write(request).map_err(|_| "the client has no room")?;
    let mut answers = Vec::new();
    client.drain(Instant::now() + Duration::from_secs(30), &mut answers).await;
    for (_, answer) in &answers {
        println!("{}", told(answer));
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
