//! From the configuration to a sender's options and coordinator, and the sender itself on any engine's seams.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use skein_apns::ClientConfig;
use skein_backends::clock::SystemClock;
use skein_config::{Config, Engine, OwnershipMode, Retry};
use skein_core::memory::StaticCoordinator;
use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::{Broker, Ledger};
use skein_core::{FingerprintKey, PoolName, QueueName, SlotMap};
use skein_sender::apns_transport::ApnsTransport;
use skein_sender::connection_metrics::ConnectionMetrics;
use skein_sender::credential::slot::Slot;
use skein_sender::metrics::Metrics;
use skein_sender::spans::Spans;
use skein_sender::{Options, PoolOptions, Seams, Sender, Tuning};

use super::credentials::Credentials;
use super::member::{Coordinating, Ownership};
use super::spans::Collector;
use super::{apns, named};
use crate::exit::Failure;

/// How many sending threads there are.
pub fn shards(config: &Config) -> usize {
    match config.sender.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => usize::from(some),
    }
}

/// The sender's stable name in the fleet: the setting, or the host's name.
pub fn member(config: &Config) -> String {
    config.sender.member.clone().unwrap_or_else(|| {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if name.is_empty() { "sender".to_owned() } else { name }
    })
}

/// Each pool with its number of queues.
pub fn pools(config: &Config) -> Result<Vec<(PoolName, u16)>, Failure> {
    let queues = |pool: &skein_config::Pool| pool.queues.unwrap_or(config.broker.queues).get();
    config.pools.iter().map(|(name, pool)| Ok((named(name)?, queues(pool)))).collect()
}

fn options(config: &Config, fingerprint_key: FingerprintKey) -> Result<Options, Failure> {
    let (sender, retry) = (&config.sender, &config.retry);
    Ok(Options {
        member: member(config).into(),
        shards: shards(config),
        held_max: sender.held_max,
        held_bytes_max: usize::try_from(sender.held_bytes_max.bytes()).unwrap_or(usize::MAX),
        retry: schedule(retry),
        grace: sender.grace,
        away_hold: config.ledger.away_hold,
        id_memory: sender.id_memory,
        id_memory_max: sender.id_memory_max,
        state_folder: sender.state_folder.clone(),
        quarantine_after: sender.quarantine_after.get(),
        retry_budget: (retry.budget_share, retry.budget_floor),
        backoff: (config.broker.backoff_min, config.broker.backoff_max),
        record_rows_max: config.ledger.batch_rows_max,
        pools: pool_options(config)?,
        fingerprint_key,
        spans: Collector::of(config, &member(config))?.map(|collector| Arc::new(collector) as Arc<dyn Spans>),
    })
}

fn pool_options(config: &Config) -> Result<Vec<PoolOptions>, Failure> {
    let pools = config.pools.iter().map(|(name, pool)| {
        let windows = Some(apns::windows(config, pool));
        Ok(PoolOptions { name: named(name)?, topics: pool.topics.clone(), collapse: pool.collapse, windows })
    });
    pools.collect()
}

fn schedule(retry: &Retry) -> RetrySchedule {
    RetrySchedule {
        service: retry.service.clone(),
        transport: retry.transport.clone(),
        throttle: retry.throttle.clone(),
        credential: retry.credential,
        hold_max: retry.hold_max,
        attempts_max: u16::try_from(retry.attempts_max.get()).unwrap_or(u16::MAX),
    }
}

/// What the configuration says of a running sender that can change while it runs.
pub fn tune(config: &Config, tuning: &Tuning) -> Result<(), Failure> {
    let (sender, retry) = (&config.sender, &config.retry);
    let pools = pool_options(config)?;
    tuning.change(|options| {
        options.retry = schedule(retry);
        options.retry_budget = (retry.budget_share, retry.budget_floor);
        options.held_max = sender.held_max;
        options.held_bytes_max = super::bytes(sender.held_bytes_max.bytes());
        options.away_hold = config.ledger.away_hold;
        options.quarantine_after = sender.quarantine_after.get();
        options.backoff = (config.broker.backoff_min, config.broker.backoff_max);
        options.pools = pools;
    });
    Ok(())
}

/// Which queues this process owns, by its configuration alone.
fn static_coordinator(config: &Config) -> Result<StaticCoordinator, Failure> {
    let pools = pools(config)?;
    let prefetch = config.broker.prefetch.get();
    let sole = config.engine == Engine::Embedded;
    let mode = config.ownership_mode();
    if sole && mode == OwnershipMode::All {
        return Ok(StaticCoordinator::owns_all(pools.iter().map(|(name, queues)| (name, *queues)), prefetch));
    }
    let all = pools
        .iter()
        .flat_map(|(name, queues)| (0..*queues).map(|n| QueueName { pool: name.clone(), number: n }));
    let owned: Vec<QueueName> = match (mode, &config.ownership.queues) {
        (OwnershipMode::Listed, Some(listed)) => {
            let parsed = listed.iter().map(|text| {
                QueueName::parse(text)
                    .ok_or_else(|| Failure::Usage(format!("ownership.queues: {text} is no queue")))
            });
            parsed.collect::<Result<_, _>>()?
        }
        _ => all.collect(),
    };
    let maps: BTreeMap<&PoolName, SlotMap> =
        pools.iter().map(|(name, queues)| (name, SlotMap::even(*queues))).collect();
    let mut listed = Vec::new();
    for queue in owned {
        let Some(map) = maps.get(&queue.pool) else {
            return Err(Failure::Usage(format!(
                "ownership.queues: {queue}: there is no such pool in [pools]"
            )));
        };
        if map.slots(queue.number).next().is_none() {
            return Err(Failure::Usage(format!("ownership.queues: {queue}: its pool has fewer queues")));
        }
        listed.push((queue, map.clone()));
    }
    Ok(StaticCoordinator::owns_listed(listed, prefetch))
}

/// What a process owns without a fleet.
pub fn alone(config: &Config) -> Result<Ownership, Failure> {
    let coordinator = Coordinating::Alone(static_coordinator(config)?);
    Ok(Ownership { coordinator, dead_lives: Vec::new() })
}

/// Starts a sender over an engine's broker and ledger. Needs a runtime.
pub fn start<B: Broker, L: Ledger>(
    config: &Config,
    broker: B,
    ledger: L,
    fingerprint_key: FingerprintKey,
    metrics: Arc<Metrics>,
    credentials: &Credentials,
    ownership: Ownership,
) -> Result<Sender, Failure> {
    let mut clients = BTreeMap::new();
    for (name, pool) in &config.pools {
        let name_of_pool = named(name)?;
        if let Some(slot) = credentials.slot(&name_of_pool) {
            clients.insert(name_of_pool, (apns::client_config(config, name, pool)?, slot));
        }
    }
    let clients: Arc<BTreeMap<PoolName, (ClientConfig, Arc<Slot>)>> = Arc::new(clients);
    let seams = Seams {
        broker,
        ledger,
        coordinator: ownership.coordinator,
        clock: SystemClock,
        dead_lives: ownership.dead_lives,
    };
    let measured = Arc::clone(&metrics);
    let connect = move |pool: &PoolName| {
        let (config, slot) = &clients[pool];
        let transport = ApnsTransport::new(config.clone(), Arc::clone(slot));
        transport.measured(ConnectionMetrics::new(&measured, pool))
    };
    Ok(Sender::start(options(config, fingerprint_key)?, seams, metrics, connect)
        .context("cannot start a thread")?)
}
