//! A paced producer, so that there is something to be seen.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use skein_config::Config;
use skein_core::Notification;
use skein_core::notification::Draft;
use skein_core::seam::SubmitError;
use tokio::time::MissedTickBehavior;

use super::site::{POOL, TOPIC, example_token};
use crate::args::DevCluster;
use crate::exit::Failure;
use crate::wiring;

/// How often a few are submitted.
const TICK: Duration = Duration::from_millis(50);
/// Most submissions that wait for their confirmation; beyond it the load pauses.
const WAITING_MAX: usize = 5000;

/// Submits at the wished rate, for as long as it is polled. Never returns but with an error.
pub async fn run(config: &Config, arguments: &DevCluster) -> Result<(), Failure> {
    if arguments.load == 0 {
        return std::future::pending().await;
    }
    let producer = wiring::producer(config, "skein-dev-load")?;
    let pool = wiring::named(POOL)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut waiting = FuturesUnordered::new();
    let (mut owed, mut number) = (0.0, 0u64);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Some(outcome) = waiting.next() => {
                if let Err(error) = outcome {
                    let error: SubmitError = error;
                    tracing::warn!(%error, "a notification of the load is not accepted");
                }
                continue;
            }
        }
        owed += f64::from(arguments.load) * TICK.as_secs_f64();
        while owed >= 1.0 && waiting.len() < WAITING_MAX {
            owed -= 1.0;
            let made = notification(number, arguments)?;
            number += 1;
            match producer.try_submit(&pool, made) {
                Ok(taken) => waiting.push(taken.outcome()),
                Err(_) => break,
            }
        }
        // What could not be submitted is left out, not saved up for a burst.
        owed = owed.min(f64::from(arguments.load));
    }
}

fn notification(number: u64, arguments: &DevCluster) -> Result<Notification, Failure> {
    let devices = u64::from(arguments.devices);
    let (device, sequence) = (number % devices, number / devices);
    let payload = format!(
        "{{\"aps\":{{\"alert\":{{\"title\":\"Conversation {device}\",\"body\":\"message {sequence}\"}}}},\"skein_seq\":{sequence}}}"
    );
    let draft = Draft::new(example_token(device), TOPIC).payload_json(payload).app("dev");
    let built = draft.build(wiring::now()).map_err(|faults| anyhow::anyhow!("{faults:?}"));
    Ok(built.context("the load's own notification is faulty")?)
}
