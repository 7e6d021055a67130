//! `skein run monitor`: watches the fleet, and says which sender owns which queue.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus::Registry;
use skein_backends::clock::SystemClock;
use skein_backends::zookeeper::{LiveVersion, ZooKeeperFleet};
use skein_config::{Config, Files, Live};
use skein_core::fleet::Policy;
use skein_core::seam::{CoordinatorError, FleetStore as _};
use skein_gateway::{Part, pages, serve};
use skein_health_monitor::{Events, FleetMetrics, Monitor, Shown, routes};

use super::reload::{Refusal, Reload};
use super::sender_role::pages_options;
use super::{bind, load_with};
use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals::Signals;
use crate::{logging, wiring};

/// How long between attempts to make the tree while ZooKeeper is away.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs until it is asked to end; then another monitor leads.
pub async fn run(config: &Config, common: &Common, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let Some(options) = wiring::zookeeper::options(config)? else {
        let why = "coordinator.servers is not set; a monitor needs ZooKeeper";
        return Err(Failure::Usage(why.to_owned()));
    };
    let registry = Registry::new();
    let name = wiring::monitor::name(config);
    let events = Events::new(&registry).context("the metrics cannot be registered")?;
    let front = bind(config.monitor.listen, "monitor.listen").await?;
    let role_pages = bind(config.http.listen, "http.listen").await?;
    let address =
        |listener: &tokio::net::TcpListener| listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    output.line(
        format!(
            "monitor {name}: the fleet at http://{}, its pages at http://{}",
            address(&front),
            address(&role_pages)
        ),
        &serde_json::json!({"monitor": name, "fleet": address(&front), "pages": address(&role_pages)}),
    );
    let store = Arc::new(ZooKeeperFleet::connect(options, name.clone()));
    let shown = Arc::new(Shown::default());
    FleetMetrics::register(&registry, Arc::clone(&shown)).context("the metrics cannot be registered")?;
    let ready = {
        let shown = Arc::clone(&shown);
        move || std::future::ready(readiness(&shown))
    };
    let role = pages(registry.clone(), ready.clone());
    tokio::spawn(serve(role_pages, role.clone(), pages_options(), std::future::pending()));
    let api = role.merge(routes(Arc::clone(&shown)));
    tokio::spawn(serve(front, api, pages_options(), std::future::pending()));
    let broker = Arc::new(wiring::monitor::watch(config)?);
    let monitor = Monitor {
        name,
        store: Arc::clone(&store),
        broker,
        clock: SystemClock,
        events: Arc::new(events),
        shown,
    };
    let running = async {
        prepare(&store, config, common).await?;
        monitor.run().await;
        Ok::<(), Failure>(())
    };
    let reload = Reload::new(common, config, &signals, Files::NONE).follow(store.live());
    let reloading = reload.run(async |_, new, _| {
        let written = write_policy(&store, &wiring::monitor::policy(new)).await;
        written.map_err(|error| Refusal { why: error.to_string(), again: true })?;
        logging::level(new.log.level);
        Ok(())
    });
    let ending = signals.clone();
    tokio::select! {
        ended = running => ended?,
        () = reloading => {}
        () = ending.ended() => {}
    }
    Ok(Exit::Done)
}

/// Makes what the fleet needs in ZooKeeper, as long as it takes. Idempotent.
async fn prepare(store: &ZooKeeperFleet, config: &Config, common: &Common) -> Result<(), Failure> {
    let pools = wiring::sender::pools(config)?;
    let prefetch = config.broker.prefetch.get();
    let mut told = false;
    loop {
        let made = async {
            store.init().await?;
            for (pool, queues) in &pools {
                store.seed(pool, *queues, prefetch).await?;
            }
            Ok::<(), CoordinatorError>(())
        };
        match made.await {
            Ok(()) => break,
            Err(CoordinatorError::Refused(why)) => {
                return Err(Failure::Usage(format!("ZooKeeper refuses: {why}")));
            }
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "ZooKeeper is away; trying again");
                    told = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    if let Err(error) = write_policy(store, &first_policy(store, config, common).await).await {
        tracing::warn!(%error, "the plan's numbers are not written; what is stored stands");
    }
    Ok(())
}

/// The numbers of the plan by the configuration and the live settings: a monitor that starts must not undo these.
async fn first_policy(store: &ZooKeeperFleet, config: &Config, common: &Common) -> Policy {
    let files = wiring::monitor::policy(config);
    let Ok(LiveVersion { version, document: Ok(document) }) = store.live_version().await else {
        return files;
    };
    let live = Live { version, settings: document.settings, files: Files::NONE };
    load_with(common, Some(live)).map_or(files, |loaded| wiring::monitor::policy(&loaded.config))
}

/// Stores the numbers of the plan, if others are stored.
async fn write_policy(store: &ZooKeeperFleet, policy: &Policy) -> Result<(), CoordinatorError> {
    if store.read().await?.policy != *policy {
        store.set_policy(policy).await?;
        tracing::info!(?policy, "the plan goes by the numbers of this monitor's configuration");
    }
    Ok(())
}

/// What `/readyz` names.
fn readiness(shown: &Shown) -> Vec<Part> {
    let fleet = shown.fleet();
    let coordinator = match fleet.monitor.passes {
        0 => Some("not read yet".to_owned()),
        _ => fleet.coordinator.trouble.clone(),
    };
    let broker = &fleet.broker;
    let broker = (broker.state == "away").then(|| broker.events_trouble.clone().unwrap_or_default());
    vec![Part::new("coordinator", coordinator), Part::new("broker", broker)]
}
