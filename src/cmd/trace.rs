//! `skein trace`

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use skein_config::{Config, Engine};
use skein_core::NotificationId;
use skein_core::seam::{Ledger as _, LedgerError};

use super::small_runtime;
use crate::args::Trace;
use crate::exit::{Exit, Failure};
use crate::gateway_client::GatewayClient;
use crate::output::Output;
use crate::wiring;

/// Shows an id's events, oldest first: from the ledger itself in a cluster, else from a running gateway.
pub fn run(config: &Config, arguments: &Trace, output: Output) -> Result<Exit, Failure> {
    let id = NotificationId::parse(&arguments.id).map_err(|error| Failure::Usage(error.to_string()))?;
    let from_ledger = config.engine == Engine::Cluster && arguments.door.url.is_none();
    let runtime = small_runtime()?;
    let events: Vec<Value> = runtime.block_on(async {
        if from_ledger {
            from_the_ledger(config, id).await
        } else {
            from_a_gateway(config, arguments, id).await
        }
    })?;
    if events.is_empty() {
        output.line(
            format!("the ledger knows nothing of {id}: it was never submitted, or has no verdict yet"),
            &json!({"id": id, "events": []}),
        );
        return Ok(Exit::Failed);
    }
    if output.is_json() {
        output.line("", &json!({"id": id, "events": events}));
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 7]> = events.iter().map(row).collect();
    output.table(["at", "what", "gen", "pool", "cause", "attempt", "notes"], &rows, &events);
    Ok(Exit::Done)
}

async fn from_the_ledger(config: &Config, id: NotificationId) -> Result<Vec<Value>, Failure> {
    let trace = wiring::postgres_ledger(config)?.trace(id).await.map_err(|error| match error {
        LedgerError::Away(_) => Failure::Away(error.to_string()),
        LedgerError::Refused(_) => Failure::Failed(error.into()),
    })?;
    let values = trace.events.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(values.context("the trace is no JSON")?)
}

async fn from_a_gateway(
    config: &Config,
    arguments: &Trace,
    id: NotificationId,
) -> Result<Vec<Value>, Failure> {
    let mut gateway = GatewayClient::new(config, &arguments.door)?;
    let path = format!("/v1/notifications/{id}");
    let answer = gateway.ask(Method::GET, &path, &[], Bytes::new()).await?;
    match answer.status {
        200 => Ok(answer.body["events"].as_array().cloned().unwrap_or_default()),
        404 => Ok(Vec::new()),
        _ => Err(answer.failure()),
    }
}

fn row(event: &Value) -> [String; 7] {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| event[name].as_u64().unwrap_or_default();
    let mut cause = text("cause");
    if number("status") > 0 {
        cause = format!("{cause} {}", number("status")).trim_start().to_owned();
    }
    let mut notes = Vec::new();
    if event["possible_copy"] == true {
        notes.push("possible copy".to_owned());
    }
    if let Some(until) = event["until"].as_str() {
        notes.push(format!("again at {until}"));
    }
    let known = [("token", "token"), ("sender", "by"), ("ref", "ref"), ("app", "app")];
    notes.extend(known.iter().filter_map(|(name, word)| Some(format!("{word} {}", event[*name].as_str()?))));
    [
        text("at"),
        text("what"),
        number("generation").to_string(),
        text("pool"),
        cause,
        number("attempt").to_string(),
        notes.join(", "),
    ]
}
