//! `skein run sender`: the sender of a cluster.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use prometheus::Registry;
use skein_backends::postgres::PostgresLedger;
use skein_backends::rabbitmq::{
    Presence, RabbitBroker, RabbitOptions, SpooledLedger, Topology, declare_shared,
};
use skein_config::{Config, OwnershipMode};
use skein_core::seam::BrokerError;
use skein_gateway::{Part, ServeOptions, pages, serve};
use skein_producer::LinkOptions;
use skein_sender::Sender;
use skein_sender::status::Status;
use tokio::sync::oneshot;

use super::{bind, ledger_upkeep, reload};
use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals::Signals;
use crate::wiring::credentials::Credentials;
use crate::wiring::member::{Life, Seat};
use crate::{operator, wiring};

/// How long between attempts to declare while the broker is away.
const DECLARE_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the ledger's schema before the sender starts without it.
const SCHEMA_WAIT: Duration = Duration::from_secs(1);

/// Runs until it is asked to end, then leaves its queues by the one way.
pub async fn run(config: &Config, common: &Common, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let registry = Registry::new();
    let fleet = match config.ownership_mode() {
        OwnershipMode::Fleet => wiring::zookeeper::options(config),
        OwnershipMode::All | OwnershipMode::Listed => None,
    };
    let member = wiring::sender::member(config);
    let life = match fleet {
        Some(options) => tokio::select! {
            life = Life::begin(config) => Some((life?, options)),
            () = signals.ended() => return Ok(Exit::Done),
        },
        None => None,
    };
    let link_name = life.as_ref().map_or_else(|| member.clone(), |(life, _)| life.connection_name());
    let link = wiring::link(config, &link_name)?;
    let listener = bind(config.http.listen, "http.listen").await?;
    let address = listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let broker = RabbitBroker::new(RabbitOptions {
        max_length_bytes: config.broker.queue_bytes_max.bytes(),
        lease: config.sender.lease,
        round_trip: config.sender.round_trip,
        ..RabbitOptions::new(link.clone())
    });
    let database = wiring::postgres_ledger(config)?;
    let key = wiring::fingerprint_key(config)?;
    output.line(
        format!("sender {member}, its pages at http://{address}"),
        &serde_json::json!({"member": member, "pages": address}),
    );
    let metrics = wiring::credentials::metrics(&registry)?;
    let credentials = Credentials::start(config, &metrics)?;
    let shown = Arc::new(OnceLock::<Arc<Status>>::new());
    let undeclared = Arc::new(Mutex::new("not looked at yet".to_owned()));
    let ready = {
        let (shown, undeclared, database) = (Arc::clone(&shown), Arc::clone(&undeclared), database.clone());
        let kept = credentials.clone();
        move || readiness(Arc::clone(&shown), Arc::clone(&undeclared), database.clone(), kept.clone())
    };
    let routes = pages(registry.clone(), ready).merge(operator::routes(credentials.clone()));
    tokio::spawn(serve(listener, routes, pages_options(), std::future::pending()));
    // Joined early: a restart in place takes its queues again while the rest is made ready.
    let seat = match life {
        Some((life, options)) => {
            let backoff = (config.broker.backoff_min, config.broker.backoff_max);
            let presence = Presence::keep(&link, backoff);
            Some((Seat::join(config, options, life, &credentials)?, presence))
        }
        None => None,
    };
    let (tried, first_try) = oneshot::channel();
    let mut upkeep = std::pin::pin!(ledger_upkeep::keep(database.clone(), config.ledger.retention, tried));
    // A new database gets its tables before the first fact; one that is away is not waited for.
    let schema = async {
        tokio::select! {
            () = &mut upkeep => {}
            _ = tokio::time::timeout(SCHEMA_WAIT, first_try) => {}
        }
    };
    tokio::select! {
        (declared, ()) = async { tokio::join!(declare(config, &link, &undeclared), schema) } => declared?,
        () = signals.ended() => return Ok(Exit::Done),
    }
    // Not before its queue is declared.
    let ledger = SpooledLedger::new(database, broker.clone());
    let mut reloads = signals.clone();
    let Some((seat, presence)) = seat else {
        let ownership = wiring::sender::alone(config)?;
        let sender = wiring::sender::start(config, broker, ledger, key, metrics, &credentials, ownership)?;
        let _ = shown.set(sender.status());
        tokio::select! {
            () = signals.ended() => {}
            () = &mut upkeep => {}
            () = reload::credentials(&credentials, common, &mut reloads) => {}
        }
        return end(sender, config).await;
    };
    let ownership = seat.ownership();
    let measured = Arc::clone(&metrics);
    let sender = wiring::sender::start(config, broker, ledger, key, metrics, &credentials, ownership)?;
    let _ = shown.set(sender.status());
    let mut describing =
        std::pin::pin!(seat.describe(config, &presence, &credentials, sender.status(), measured));
    let replaced = tokio::select! {
        () = signals.ended() => None,
        () = &mut upkeep => None,
        () = reload::credentials(&credentials, common, &mut reloads) => None,
        () = &mut describing => None,
        other = seat.replaced() => Some(other),
    };
    seat.drain();
    let ended = tokio::select! {
        ended = end(sender, config) => ended?,
        () = &mut describing => Exit::Failed,
    };
    seat.leave().await;
    match replaced {
        None => Ok(ended),
        Some(other) => Err(Failure::Failed(anyhow::anyhow!(
            "another process named {member} has joined the fleet as {other}; each sender needs a sender.member of its own"
        ))),
    }
}

/// Leaves the queues within the deadline.
pub async fn end(sender: Sender, config: &Config) -> Result<Exit, Failure> {
    let deadline = config.sender.drain_deadline;
    if sender.drain(deadline).await {
        tracing::info!("every queue is left; nothing is under way");
        return Ok(Exit::Done);
    }
    tracing::warn!(
        ?deadline,
        "the drain deadline has passed: what is under way comes back to the next owner and may be sent twice"
    );
    Ok(Exit::Failed)
}

/// The bounds of the role pages, which an operator of this machine may ask more of.
pub fn pages_options() -> ServeOptions {
    ServeOptions { tell_peer: true, ..ServeOptions::default() }
}

/// What `/readyz` names.
pub fn parts(status: &Status, credentials: &Credentials) -> Vec<Part> {
    let view = status.view();
    let joined = |troubles: Vec<String>| if troubles.is_empty() { None } else { Some(troubles.join("; ")) };
    let named = |list: &std::collections::BTreeMap<String, Option<String>>| {
        joined(
            list.iter().filter_map(|(name, why)| why.as_ref().map(|why| format!("{name}: {why}"))).collect(),
        )
    };
    let mut paused = view.paused;
    // Why there is none says its keeper.
    paused.retain(|pool, _| !credentials.is_missing(pool));
    let refusals = named(&paused).into_iter().chain(credentials.trouble()).collect();
    let draining = view.draining.then(|| "draining".to_owned());
    vec![
        Part::new("broker", named(&view.queues)),
        Part::new("apns", named(&view.transports)),
        Part { name: "credentials", trouble: joined(refusals), note: credentials.note() },
        Part::new("ledger", view.ledger),
        Part::new("sender", draining),
    ]
}

/// What `/readyz` names: also a ledger that is away while its facts go to RabbitMQ, or while nothing is recorded.
async fn readiness(
    shown: Arc<OnceLock<Arc<Status>>>,
    undeclared: Arc<Mutex<String>>,
    database: PostgresLedger,
    credentials: Credentials,
) -> Vec<Part> {
    let Some(status) = shown.get() else { return not_declared(&undeclared) };
    let mut parts = parts(status, &credentials);
    if let Some(part) = parts.iter_mut().find(|part| part.name == "ledger" && part.trouble.is_none()) {
        part.trouble = ledger_upkeep::trouble(&database).await;
    }
    parts
}

fn not_declared(why: &Mutex<String>) -> Vec<Part> {
    let why = why.lock().unwrap_or_else(PoisonError::into_inner);
    vec![Part::new("broker", Some(format!("its exchanges and queues are not declared: {why}")))]
}

/// Declares what the pools need, as long as it takes; `undeclared` says why it is not done yet. Idempotent.
async fn declare(config: &Config, link: &LinkOptions, undeclared: &Mutex<String>) -> Result<(), Failure> {
    let bytes = config.broker.queue_bytes_max.bytes();
    let mut away = false;
    loop {
        match declare_once(config, link, bytes).await? {
            Ok(()) => return Ok(()),
            Err(BrokerError::Refused(why)) => {
                return Err(Failure::Usage(format!("the broker refuses: {why}")));
            }
            Err(BrokerError::Away(why)) => {
                if !away {
                    tracing::warn!(%why, "the broker is away; trying again");
                }
                away = true;
                *undeclared.lock().unwrap_or_else(PoisonError::into_inner) =
                    format!("the broker is away: {why}");
                tokio::time::sleep(DECLARE_PAUSE).await;
            }
        }
    }
}

async fn declare_once(
    config: &Config,
    link: &LinkOptions,
    bytes: u64,
) -> Result<Result<(), BrokerError>, Failure> {
    if let Err(error) = declare_shared(link, bytes).await {
        return Ok(Err(error));
    }
    for (pool, queues) in wiring::sender::pools(config)? {
        if let Err(error) = (Topology { pool, queues, max_length_bytes: bytes }).declare(link).await {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}
