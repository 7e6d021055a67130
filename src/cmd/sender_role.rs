//! `skein run sender`: the sender of a cluster.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prometheus::Registry;
use skein_backends::postgres::PostgresLedger;
use skein_backends::rabbitmq::{
    Presence, RabbitBroker, RabbitOptions, SpooledLedger, Topology, declare_shared,
};
use skein_config::{Config, Files, Live, OwnershipMode};
use skein_core::PoolName;
use skein_core::seam::BrokerError;
use skein_gateway::{Part, ServeOptions, pages, serve};
use skein_producer::LinkOptions;
use skein_sender::Sender;
use skein_sender::metrics::account::Counted;
use skein_sender::startup::Milestone;
use skein_sender::status::Status;
use tokio::sync::{oneshot, watch};

use super::reload::{Refusal, Reload};
use super::{bind, ledger_upkeep};
use crate::args::{Common, Succession};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals::Signals;
use crate::wiring::credentials::Credentials;
use crate::wiring::live::Notebook;
use crate::wiring::member::{Life, Seat};
use crate::{logging, operator, wiring};

/// How long between attempts to declare while the broker is away.
const DECLARE_PAUSE: Duration = Duration::from_secs(1);
/// How long after its start a sender follows the live settings. What it went by last it begins with; reading them and saying so are
/// disk writes of ZooKeeper's, and a restart in place waits for nothing it does not need.
const LIVE_AFTER: Duration = Duration::from_secs(1);
/// Longest wait for the ledger's schema before the sender starts without it.
const SCHEMA_WAIT: Duration = Duration::from_secs(1);

/// Runs until it is asked to end, then leaves its queues by the one way.
///
/// A restart in place is over when the first notification is written, so nothing waits here for what it does not need: the fleet,
/// the broker, the ledger and APNs are reached side by side, and queues are attached to once all is declared.
pub async fn run(
    config: &Config,
    common: &Common,
    live: Option<Live>,
    succession: &Succession,
    output: Output,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let registry = Registry::new();
    let fleet = match config.ownership_mode() {
        OwnershipMode::Fleet => wiring::zookeeper::options(config)?,
        OwnershipMode::All | OwnershipMode::Listed => None,
    };
    if succession.succeeds.is_some() && fleet.is_none() {
        return Err(Failure::Usage("--succeeds is for a fleet: set [coordinator] servers".to_owned()));
    }
    let member = wiring::sender::member(config);
    let life = match fleet {
        Some(options) => tokio::select! {
            life = Life::begin(config) => Some((life?, options)),
            () = signals.ended() => return Ok(Exit::Done),
        },
        None => None,
    };
    let locked = life.as_ref().map(|_| Instant::now());
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
    let (all_declared, declared) = watch::channel(false);
    let broker = broker.once(declared);
    let database = wiring::postgres_ledger(config)?;
    let key = wiring::fingerprint_key(config)?;
    output.line(
        format!("sender {member}, its pages at http://{address}"),
        &serde_json::json!({"member": member, "pages": address}),
    );
    let metrics = wiring::credentials::metrics(&registry, config)?;
    let credentials = Credentials::start(config, &metrics)?;
    let undeclared = Arc::new(Mutex::new(Some("not looked at yet".to_owned())));
    // The first of all to be on its way: ZooKeeper writes a new session to its disk.
    let seat = match life {
        Some((life, options)) => {
            let backoff = (config.broker.backoff_min, config.broker.backoff_max);
            let seat = Seat::join(config, options, life, &credentials, succession.succeeds.as_ref())?;
            Some((seat, Presence::keep(&link, backoff, all_declared.subscribe())))
        }
        None => None,
    };
    let ownership = match &seat {
        Some((seat, _)) => seat.ownership(),
        None => wiring::sender::alone(config)?,
    };
    let ledger = SpooledLedger::new(Counted::new(database.clone(), Arc::clone(&metrics)), broker.clone());
    let (seen, measured) = (broker.clone(), Arc::clone(&metrics));
    let sender = wiring::sender::start(config, broker, ledger, key, metrics, &credentials, ownership)?;
    let status = sender.status();
    status.startup.since(began, locked);
    let ready = {
        let (status, undeclared) = (Arc::clone(&status), Arc::clone(&undeclared));
        let (database, kept) = (database.clone(), credentials.clone());
        move || readiness(Arc::clone(&status), Arc::clone(&undeclared), database.clone(), kept.clone())
    };
    let routes = pages(registry.clone(), ready).merge(operator::routes(credentials.clone()));
    tokio::spawn(serve(listener, routes, pages_options(), std::future::pending()));
    let (tried, first_try) = oneshot::channel();
    let mut upkeep = std::pin::pin!(ledger_upkeep::keep(database.clone(), config.ledger.retention, tried));
    tokio::spawn(ledger_upkeep::watch_default_rows(database.clone(), Arc::clone(&measured)));
    tokio::spawn(ledger_upkeep::warm(database.clone(), config.ledger.connections.get()));
    let preparing = async {
        // A new database gets its tables before the first fact; one that is away is not waited for.
        let schema = tokio::time::timeout(SCHEMA_WAIT, first_try);
        let (declared, _) = tokio::join!(declare(config, &seen, &link, &undeclared), schema);
        declared?;
        *undeclared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        status.startup.reached(Milestone::Declared);
        all_declared.send_replace(true);
        std::future::pending::<Result<Infallible, Failure>>().await
    };
    let mut preparing = std::pin::pin!(preparing);
    let tuning = sender.tuning();
    let apply = async |old: &Config, new: &Config, cause| {
        credentials.reconfigure(old, new, cause).await?;
        wiring::sender::tune(new, &tuning).map_err(|failure| Refusal::of(&failure))?;
        logging::level(new.log.level);
        Ok(())
    };
    let reload = Reload::new(common, config, &signals, Files::SENDER).on_trial(credentials.trials());
    let Some((seat, presence)) = seat else {
        tokio::select! {
            () = signals.ended() => {}
            () = &mut upkeep => {}
            Err(refused) = &mut preparing => return Err(refused),
            () = reload.run(apply) => {}
        }
        return end(sender, config).await;
    };
    let following = async {
        tokio::time::sleep(LIVE_AFTER).await;
        reload.follow(seat.live()).keep(Notebook::of(config), live).run(apply).await;
    };
    let (shown, all_done) = (Arc::clone(&status), all_declared.subscribe());
    let mut describing =
        std::pin::pin!(seat.describe(config, &presence, &credentials, shown, measured, all_done));
    let mut is_succeeded = false;
    let replaced = tokio::select! {
        () = signals.ended() => None,
        () = &mut upkeep => None,
        Err(refused) = &mut preparing => return Err(refused),
        () = following => None,
        () = &mut describing => None,
        () = seat.succeeded() => { is_succeeded = true; None }
        other = seat.replaced() => Some(other),
    };
    seat.drain();
    let ended = tokio::select! {
        ended = end(sender, config) => ended?,
        () = &mut describing => Exit::Failed,
    };
    seat.leave().await;
    if is_succeeded && succession.stay_when_succeeded {
        tracing::info!("another has taken its place; it stays, and does nothing, until it is asked to end");
        signals.ended().await;
    }
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
    status: Arc<Status>,
    undeclared: Arc<Mutex<Option<String>>>,
    database: PostgresLedger,
    credentials: Credentials,
) -> Vec<Part> {
    let undeclared = undeclared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(why) = undeclared {
        let why = format!("its exchanges and queues are not declared: {why}");
        return vec![Part::new("broker", Some(why))];
    }
    let mut parts = parts(&status, &credentials);
    if let Some(part) = parts.iter_mut().find(|part| part.name == "ledger" && part.trouble.is_none()) {
        part.trouble = ledger_upkeep::ping(&database).await.err().map(|error| error.to_string());
    }
    parts
}

/// Declares what the pools need, as long as it takes; `undeclared` says why it is not done yet. Idempotent.
async fn declare(
    config: &Config,
    broker: &RabbitBroker,
    link: &LinkOptions,
    undeclared: &Mutex<Option<String>>,
) -> Result<(), Failure> {
    let pools = wiring::sender::pools(config)?;
    let bytes = config.broker.queue_bytes_max.bytes();
    let mut away = false;
    loop {
        match declare_once(&pools, broker, link, bytes).await {
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
                    Some(format!("the broker is away: {why}"));
                tokio::time::sleep(DECLARE_PAUSE).await;
            }
        }
    }
}

async fn declare_once(
    pools: &[(PoolName, u16)],
    broker: &RabbitBroker,
    link: &LinkOptions,
    max_length_bytes: u64,
) -> Result<(), BrokerError> {
    if broker.stands(pools).await? {
        return Ok(());
    }
    declare_shared(link, max_length_bytes).await?;
    for (pool, queues) in pools {
        let topology = Topology { pool: pool.clone(), queues: *queues, max_length_bytes };
        topology.declare(link).await?;
    }
    Ok(())
}
