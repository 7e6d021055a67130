//! `skein channel create|read|delete|list|publish`

use std::fs;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use skein_apns::{
    Broadcast, ChannelError, Channels, ClientConfig, Endpoint, Expiration, Priority, Reason, Receipt,
    StoragePolicy,
};
use skein_config::Config;
use skein_core::Timestamp;
use skein_core::notification::problem_of_broadcast;

use super::small_runtime;
use crate::args::{App, Channel, Publish, Storage};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::wiring::apns::{checked_credential, client_config, environment};

/// Does what was asked for.
pub fn run(config: &Config, asked: &Channel, output: Output) -> Result<Exit, Failure> {
    small_runtime()?.block_on(async {
        match asked {
            Channel::Create(arguments) => {
                let (mut channels, bundle) = reach(config, &arguments.app)?;
                let storage = match arguments.storage {
                    Storage::None => StoragePolicy::NoStorage,
                    Storage::MostRecent => StoragePolicy::MostRecent,
                };
                let (id, receipt) = channels.create(&bundle, storage).await.map_err(failure)?;
                let value = json!({"channel": id, "bundle_id": bundle, "storage": storage.label(), "request_id": receipt.request_id});
                output.line(&id, &value);
            }
            Channel::Read(arguments) => {
                let (mut channels, bundle) = reach(config, &arguments.app)?;
                let (channel, receipt) = channels.read(&bundle, &arguments.channel).await.map_err(failure)?;
                let storage = channel.storage.map_or("unknown", StoragePolicy::label);
                let value = json!({"channel": arguments.channel, "bundle_id": bundle, "storage": storage,
                    "push_type": channel.push_type, "request_id": receipt.request_id});
                output.line(format!("storage {storage}, push type {}", channel.push_type), &value);
            }
            Channel::Delete(arguments) => {
                let (mut channels, bundle) = reach(config, &arguments.app)?;
                let receipt = channels.delete(&bundle, &arguments.channel).await.map_err(failure)?;
                let value = json!({"channel": arguments.channel, "deleted": true, "request_id": receipt.request_id});
                output.line("deleted", &value);
            }
            Channel::List(app) => {
                let (mut channels, bundle) = reach(config, app)?;
                let (ids, _) = channels.list(&bundle).await.map_err(failure)?;
                let rows: Vec<[String; 1]> = ids.iter().map(|id| [id.clone()]).collect();
                let values: Vec<Value> = ids.iter().map(|id| json!({"channel": id})).collect();
                output.table(["channel"], &rows, &values);
            }
            Channel::Publish(arguments) => {
                let broadcast = broadcast(arguments)?;
                let (mut channels, bundle) = reach(config, &arguments.app)?;
                let receipt = channels.publish(&bundle, &broadcast).await.map_err(failure)?;
                output.line(accepted(&receipt), &json!({"accepted": true, "request_id": receipt.request_id, "unique_id": receipt.unique_id}));
            }
        }
        Ok(Exit::Done)
    })
}

fn accepted(receipt: &Receipt) -> String {
    let id = receipt.request_id.as_deref().unwrap_or("without an id");
    format!("accepted by apns, request {id}")
}

/// The channels of a pool's credential, and the bundle id that is meant.
fn reach(config: &Config, app: &App) -> Result<(Channels, String), Failure> {
    let pools: Vec<&str> = config.pools.keys().map(String::as_str).collect();
    let unknown =
        || Failure::Usage(format!("there is no pool {:?}; there are: {}", app.pool, pools.join(", ")));
    let pool = config.pools.get(&app.pool).ok_or_else(unknown)?;
    let bundle = match (&app.bundle_id, pool.topics.as_slice()) {
        (Some(id), _) => id.clone(),
        (None, [one]) => one.clone(),
        (None, _) => {
            return Err(Failure::Usage(format!(
                "pool {:?} has several topics; name one with --bundle-id",
                app.pool
            )));
        }
    };
    let credential = checked_credential(&app.pool, pool)?;
    let way = client_config(config, &app.pool, pool)?;
    let endpoint = |(host, port): (String, u16)| {
        let endpoint = Endpoint::custom(&host, port, environment(pool));
        endpoint.map_err(|error| Failure::Usage(format!("pools.{}: {error}", app.pool)))
    };
    let way = ClientConfig { endpoint: endpoint(pool.broadcast_host_and_port())?, ..way };
    Ok((Channels::new(way, endpoint(pool.channels_host_and_port())?, credential), bundle))
}

fn broadcast(arguments: &Publish) -> Result<Broadcast, Failure> {
    let payload = match arguments.payload.strip_prefix('@') {
        Some(path) => fs::read(path)
            .with_context(|| format!("cannot read {path}"))
            .map_err(|e| Failure::Usage(format!("{e:#}")))?,
        None => arguments.payload.clone().into_bytes(),
    };
    if let Some(problem) = problem_of_broadcast(&payload) {
        return Err(Failure::Usage(format!("the payload: {problem}")));
    }
    let expiration = if arguments.expires_at == "0" {
        Expiration::NotStored
    } else {
        let at = Timestamp::parse(&arguments.expires_at).ok_or_else(|| {
            Failure::Usage("--expires-at is neither 0 nor a time such as 2026-11-21T12:00:00Z".into())
        })?;
        Expiration::At(u64::try_from(at.as_secs()).unwrap_or(1).max(1))
    };
    let priority = match arguments.priority {
        10 => Priority::Immediate,
        5 => Priority::PowerAware,
        _ => return Err(Failure::Usage("a broadcast has priority 10 or 5".into())),
    };
    Ok(Broadcast {
        channel_id: arguments.channel.clone(),
        expiration,
        priority,
        payload: Bytes::from(payload),
    })
}

fn failure(error: ChannelError) -> Failure {
    match error {
        ChannelError::Invalid(why) => Failure::Usage(why.to_owned()),
        ChannelError::Unreachable(_) | ChannelError::NotSent(_) => Failure::Away(error.to_string()),
        ChannelError::Refused { status: 429 | 500.., .. } => Failure::Away(error.to_string()),
        ChannelError::Refused { reason: Some(ref reason), .. } => match advice(reason) {
            Some(advice) => Failure::Failed(anyhow!("{error}: {advice}")),
            None => Failure::Failed(anyhow!(error)),
        },
        _ => Failure::Failed(anyhow!(error)),
    }
}

/// What to do about a refusal.
fn advice(reason: &Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ChannelNotRegistered => "there is no such channel; see `skein channel list`",
        Reason::BadChannelId => "give the id as `skein channel create` printed it",
        Reason::BadExpirationDate => "a channel without storage takes no --expires-at but 0",
        Reason::TopicMismatch | Reason::TopicDisallowed => {
            "the credential does not cover the bundle id; name another with --bundle-id, without a suffix"
        }
        Reason::FeatureNotEnabled => "enable broadcasts for the app id on Apple's developer site",
        Reason::CannotCreateChannelConfig => "the app has as many channels as it may; delete unused ones",
        _ => return None,
    })
}
