//! `skein standalone`: the embedded engine with its front door, in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus::Registry;
use skein_backends::clock::SystemClock;
use skein_backends::sqlite::EmbeddedLedger;
use skein_config::{Config, Engine, Files, Loaded};
use skein_gateway::{Gateway, pages, serve};
use skein_sender::metrics::account::Counted;

use super::reload::{Refusal, Reload};
use super::{bind, sender_role};
use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals::Signals;
use crate::wiring::credentials::Credentials;
use crate::{logging, operator, wiring};

/// How long between looks at what is older than the retention.
const KEEP_PAUSE: Duration = Duration::from_secs(3600);

/// Runs until it is asked to end.
pub fn run(loaded: &Loaded, common: &Common, output: Output) -> Result<Exit, Failure> {
    loaded.require_pool()?;
    if loaded.config.engine != Engine::Embedded {
        let why = "standalone is the embedded engine; for engine = \"cluster\" start `skein run sender` and `skein run gateway`";
        return Err(Failure::Usage(why.to_owned()));
    }
    logging::start(&loaded.config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(serve_all(&loaded.config, common, output))
}

async fn serve_all(config: &Config, common: &Common, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let registry = Registry::new();
    let engine = wiring::embedded::open(config).await?;
    let gateway = Gateway::new(
        wiring::gateway_options(config),
        wiring::access(config)?,
        engine.embedded.submit(),
        engine.embedded.ledger(),
        SystemClock,
        engine.fingerprint_key.clone(),
        wiring::idempotency_store(config),
        &registry,
    )
    .context("the metrics cannot be registered")?;
    let front = bind(config.gateway.listen, "gateway.listen").await?;
    let role_pages = bind(config.http.listen, "http.listen").await?;
    let address =
        |listener: &tokio::net::TcpListener| listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let (broker, ledger) = (engine.embedded.broker(), engine.embedded.ledger());
    let metrics = wiring::credentials::metrics(&registry, config)?;
    let credentials = Credentials::start(config, &metrics)?;
    let ledger = Counted::new(ledger, Arc::clone(&metrics));
    let key = engine.fingerprint_key.clone();
    let sender = wiring::sender::start(
        config,
        broker,
        ledger,
        key,
        metrics,
        &credentials,
        wiring::sender::alone(config)?,
    )?;
    output.line(
        format!("standalone: submit at {}, its pages at http://{}", address(&front), address(&role_pages)),
        &serde_json::json!({"listening": address(&front), "pages": address(&role_pages)}),
    );
    let status = sender.status();
    let (ready, kept) = {
        let kept = credentials.clone();
        (move || std::future::ready(sender_role::parts(&status, &kept)), credentials.clone())
    };
    let routes = pages(registry, ready).merge(operator::routes(kept));
    tokio::spawn(serve(role_pages, routes, sender_role::pages_options(), std::future::pending()));
    let ending = signals.clone();
    let door =
        serve(front, gateway.router(), wiring::front_door(config)?, async move { ending.ended().await });
    let tuning = sender.tuning();
    let reload = Reload::new(common, config, &signals, Files::ALL).on_trial(credentials.trials());
    let reloading = reload.run(async |old, new, cause| {
        credentials.reconfigure(old, new, cause).await?;
        let changed = wiring::take_up(&gateway, new).and_then(|()| wiring::sender::tune(new, &tuning));
        changed.map_err(|failure| Refusal::of(&failure))?;
        logging::level(new.log.level);
        Ok(())
    });
    tokio::select! {
        ended = door => ended.context("the front door ended")?,
        () = reloading => {}
        () = keep(engine.embedded.ledger(), config) => {}
    }
    let exit = sender_role::end(sender, config).await?;
    if exit == Exit::Done {
        engine.embedded.close().await;
    }
    Ok(exit)
}

/// Drops what is older than the retention, every hour. Never returns.
async fn keep(ledger: EmbeddedLedger, config: &Config) {
    loop {
        if let Err(error) = ledger.drop_before(wiring::now().minus(config.ledger.retention)).await {
            tracing::warn!(%error, "old verdicts are not dropped; trying again within the hour");
        }
        tokio::time::sleep(KEEP_PAUSE).await;
    }
}
