//! The two ways in: through a running gateway, or to the broker itself.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::Bytes;
use hyper::Method;
use serde::Serialize;
use serde_json::Value;
use skein_config::Config;
use skein_core::seam::{Confirmation, Submit, SubmitError};
use skein_core::wire::{encode, encode_batch};
use skein_core::{Notification, NotificationId, PoolName};
use skein_producer::{Producer, Wait};

use crate::args::Door;
use crate::exit::Failure;
use crate::gateway_client::{Answer, GatewayClient};
use crate::{output, wiring};

/// How long one request is repeated while the gateway or its engine is away or full.
const REPEAT_LIMIT: Duration = Duration::from_secs(60);
/// The pause before a repeat where the gateway names none.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// A way in.
pub enum Way {
    /// Over HTTP.
    Gateway(GatewayClient, PoolName),
    /// Over AMQP, to a pool that sends for these topics.
    Broker(Producer, PoolName, Vec<String>),
}

/// What became of one notification.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Its id.
    pub id: NotificationId,
    /// In a word.
    pub outcome: Outcome,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Something that is needed is away.
    #[serde(skip)]
    pub away: bool,
}

/// The outcome of one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stored durably.
    Accepted,
    /// Not stored.
    NotAccepted,
    /// Nobody knows; submit it again with the same id.
    Unknown,
}

impl Outcome {
    /// The word for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NotAccepted => "not accepted",
            Self::Unknown => "unknown",
        }
    }
}

impl Told {
    fn all(notifications: &[Notification], outcome: Outcome, problem: &str, away: bool) -> Vec<Self> {
        let told = |n: &Notification| Self { id: n.id, outcome, problem: Some(problem.to_owned()), away };
        notifications.iter().map(told).collect()
    }
}

impl Way {
    /// Through a running gateway.
    ///
    /// # Errors
    /// It is not there.
    pub async fn gateway(config: &Config, door: &Door, pool: PoolName) -> Result<Self, Failure> {
        let mut gateway = GatewayClient::new(config, door)?;
        gateway.reach().await?;
        Ok(Self::Gateway(gateway, pool))
    }

    /// To the broker itself.
    ///
    /// # Errors
    /// It is not there, or refuses.
    pub async fn broker(config: &Config, pool: PoolName) -> Result<Self, Failure> {
        let producer = wiring::producer(config, "skein-submit")?;
        if let Err(error) = producer.ready(config.broker.connect_timeout).await {
            let trouble = producer.trouble().unwrap_or_default();
            return Err(Failure::Away(format!("{error}: {trouble}")));
        }
        let topics =
            config.pools.get(pool.as_str()).map(|settings| settings.topics.clone()).unwrap_or_default();
        Ok(Self::Broker(producer, pool, topics))
    }

    /// Submits what shares its content, or has contents of its own; one answer each, in order.
    ///
    /// # Errors
    /// [`Failure::Usage`]: neither these nor any other would be accepted (a wrong key, an unknown pool).
    pub async fn submit(&mut self, notifications: &[Notification]) -> Result<Vec<Told>, Failure> {
        match self {
            Self::Broker(producer, pool, topics) => {
                let ours = |n: &&Notification| topics.iter().any(|topic| **topic == *n.content.topic);
                // Contents are shared: this copies no payload.
                let sent: Vec<Notification> = notifications.iter().filter(ours).cloned().collect();
                let mut outcomes = to_broker(producer, pool, &sent).await.into_iter();
                let foreign = format!("topic: not one of pool {pool}; it sends for {}", topics.join(", "));
                let told = |n: &Notification| match ours(&n) {
                    true => told(n.id, outcomes.next().unwrap_or(Err(SubmitError::Unknown))),
                    false => refused(n.id, &foreign),
                };
                Ok(notifications.iter().map(told).collect())
            }
            Self::Gateway(gateway, pool) => through_gateway(gateway, pool, notifications).await,
        }
    }
}

/// Publishes; what nobody knows of is published once more, marked, so that none is sent twice without need.
async fn to_broker(
    producer: &Producer,
    pool: &PoolName,
    notifications: &[Notification],
) -> Vec<Result<Confirmation, SubmitError>> {
    let mut outcomes = Submit::submit(producer, pool, notifications.to_vec()).await;
    let unknown: Vec<usize> =
        (0..outcomes.len()).filter(|n| outcomes[*n] == Err(SubmitError::Unknown)).collect();
    if unknown.is_empty() {
        return outcomes;
    }
    output::note(&format!("the outcome of {} is unknown; publishing them again, marked", unknown.len()));
    let again = unknown.iter().map(|n| notifications[*n].clone()).collect();
    let second = producer.submit_again(pool, again, Wait::For(REPEAT_LIMIT)).await;
    for (n, outcome) in unknown.into_iter().zip(second) {
        // Still not accepted: what the first publication came to stays unknown.
        outcomes[n] = outcome.map_err(|_| SubmitError::Unknown);
    }
    outcomes
}

fn refused(id: NotificationId, problem: &str) -> Told {
    Told { id, outcome: Outcome::NotAccepted, problem: Some(problem.to_owned()), away: false }
}

fn told(id: NotificationId, outcome: Result<Confirmation, SubmitError>) -> Told {
    match outcome {
        Ok(_) => Told { id, outcome: Outcome::Accepted, problem: None, away: false },
        Err(error) => {
            let unknown = matches!(error, SubmitError::Unknown);
            let outcome = if unknown { Outcome::Unknown } else { Outcome::NotAccepted };
            let away = matches!(error, SubmitError::Away { .. } | SubmitError::BackPressure(_));
            Told { id, outcome, problem: Some(error.to_string()), away }
        }
    }
}

async fn through_gateway(
    gateway: &mut GatewayClient,
    pool: &PoolName,
    notifications: &[Notification],
) -> Result<Vec<Told>, Failure> {
    match request(gateway, pool, notifications).await {
        // One refusal would hide its neighbours: each by itself.
        Ok(answer) if matches!(answer.status, 413 | 422) && notifications.len() > 1 => {
            let mut all = Vec::with_capacity(notifications.len());
            for alone in notifications.chunks(1) {
                all.extend(match request(gateway, pool, alone).await {
                    Ok(answer) => read(&answer, alone)?,
                    Err(failure) => lost(failure, alone)?,
                });
            }
            Ok(all)
        }
        Ok(answer) => read(&answer, notifications),
        Err(failure) => lost(failure, notifications),
    }
}

/// Sends one request, again and again while that may help. The same key makes a repeat go on where it stopped.
async fn request(
    gateway: &mut GatewayClient,
    pool: &PoolName,
    notifications: &[Notification],
) -> Result<Answer, Failure> {
    let body = Bytes::from(body(notifications).map_err(|error| Failure::Failed(anyhow!(error)))?);
    let path = format!("/v1/notifications?pool={pool}");
    let key = NotificationId::now().to_string();
    let began = Instant::now();
    let mut noted = false;
    loop {
        let answer = gateway.ask(Method::POST, &path, &[("idempotency-key", &key)], body.clone()).await;
        let pause = match &answer {
            Ok(answer) if matches!(answer.status, 429 | 503) => answer.retry_after.unwrap_or(REPEAT_PAUSE),
            Ok(answer) if answer.status == 207 && answer.body["unknown"].as_u64() > Some(0) => REPEAT_PAUSE,
            Err(Failure::Away(_)) => REPEAT_PAUSE,
            _ => return answer,
        };
        if began.elapsed() + pause > REPEAT_LIMIT {
            return answer;
        }
        if !noted {
            noted = true;
            let why = match &answer {
                Ok(answer) => answer.problem(),
                Err(Failure::Away(why)) => why.clone(),
                Err(_) => String::new(),
            };
            output::note(&format!("{why}; trying again for up to {REPEAT_LIMIT:?}"));
        }
        tokio::time::sleep(pause).await;
    }
}

fn body(notifications: &[Notification]) -> Result<Vec<u8>, serde_json::Error> {
    match notifications {
        [one] => encode(one),
        [first, rest @ ..] if rest.iter().all(|n| std::sync::Arc::ptr_eq(&n.content, &first.content)) => {
            encode_batch(notifications)
        }
        many => {
            let mut body = vec![b'['];
            for (n, notification) in many.iter().enumerate() {
                if n > 0 {
                    body.push(b',');
                }
                body.extend(encode(notification)?);
            }
            body.push(b']');
            Ok(body)
        }
    }
}

fn read(answer: &Answer, notifications: &[Notification]) -> Result<Vec<Told>, Failure> {
    if matches!(answer.status, 401 | 403 | 404) {
        return Err(Failure::Usage(answer.problem()));
    }
    let Some(items) = answer.body["items"].as_array().filter(|items| items.len() == notifications.len())
    else {
        return Ok(Told::all(notifications, Outcome::NotAccepted, &answer.problem(), answer.status == 503));
    };
    let told = |n: &Notification, item: &Value| {
        let outcome = match item["outcome"].as_str() {
            Some("accepted") => Outcome::Accepted,
            Some("unknown") => Outcome::Unknown,
            _ => Outcome::NotAccepted,
        };
        let accepted = outcome == Outcome::Accepted;
        let problem = item["problem"].as_str().map_or_else(|| answer.problem(), str::to_owned);
        Told { id: n.id, outcome, problem: (!accepted).then_some(problem), away: answer.status == 503 }
    };
    Ok(notifications.iter().zip(items).map(|(n, item)| told(n, item)).collect())
}

/// Without an answer nobody knows; without a connection too, since an earlier try may have come through.
fn lost(failure: Failure, notifications: &[Notification]) -> Result<Vec<Told>, Failure> {
    match failure {
        Failure::Away(why) => Ok(Told::all(notifications, Outcome::Unknown, &why, true)),
        other => Err(other),
    }
}
