//! `skein run gateway`, and the choice between the roles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use prometheus::Registry;
use skein_backends::clock::SystemClock;
use skein_backends::postgres::PostgresLedger;
use skein_config::{Config, Engine, Files};
use skein_core::seam::LedgerError;
use skein_core::wire::FRONT_DOOR_APP_ID;
use skein_gateway::{Gateway, Part, ServeOptions, pages, serve};
use skein_producer::Producer;
use tokio::net::TcpListener;

use super::begin::{self, Begun};
use super::reload::{Refusal, Reload};
use super::{bind, ledger_upkeep, load_for, monitor_role, sender_role};
use crate::args::{Common, Run};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals::Signals;
use crate::{logging, wiring};

/// Runs a role until it is asked to end.
pub fn run(common: &Common, role: &Run, output: Output) -> Result<Exit, Failure> {
    let Begun { loaded, live, unusable } = match role {
        Run::Sender { .. } => begin::load(common)?,
        Run::Monitor | Run::Gateway => {
            Begun { loaded: load_for(common, role.files())?, live: None, unusable: Vec::new() }
        }
    };
    loaded.require_pool()?;
    if loaded.config.engine != Engine::Cluster {
        let why = "roles are for engine = \"cluster\"; with the embedded engine they are one process: `skein standalone`";
        return Err(Failure::Usage(why.to_owned()));
    }
    logging::start(&loaded.config.log);
    for (version, failure) in unusable {
        let label = failure.label();
        tracing::warn!(
            version,
            label,
            "the live settings of before can't be used any more; starting without them"
        );
    }
    match role {
        Run::Gateway => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.context("cannot start a runtime")?.block_on(gateway(&loaded.config, common, output))
        }
        Run::Monitor => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.context("cannot start a runtime")?.block_on(monitor_role::run(
                &loaded.config,
                common,
                output,
            ))
        }
        // The shards have threads of their own; what is left here is the ledger and the pages.
        Run::Sender { succession } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("cannot start a runtime")?.block_on(sender_role::run(
                &loaded.config,
                common,
                live,
                succession,
                output,
            ))
        }
    }
}

async fn gateway(config: &Config, common: &Common, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let registry = Registry::new();
    let producer = wiring::producer(config, FRONT_DOOR_APP_ID)?;
    let ledger = wiring::postgres_ledger(config)?.sealing(wiring::token_cipher(config)?);
    let gateway = Gateway::new(
        wiring::gateway_options(config),
        wiring::access(config)?,
        producer.clone(),
        ledger.clone(),
        SystemClock,
        wiring::fingerprint_key(config)?,
        wiring::idempotency_store(config),
        &registry,
    )
    .context("the metrics cannot be registered")?;
    let front = bind(config.gateway.listen, "gateway.listen").await?;
    let role_pages = bind(config.http.listen, "http.listen").await?;
    let address = |listener: &TcpListener| listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    output.line(
        format!("gateway at {}, its pages at http://{}", address(&front), address(&role_pages)),
        &serde_json::json!({"listening": address(&front), "pages": address(&role_pages)}),
    );
    let has_answered = Arc::new(AtomicBool::new(false));
    let ready = move || readiness(producer.clone(), ledger.clone(), Arc::clone(&has_answered));
    let served_pages =
        serve(role_pages, pages(registry, ready), ServeOptions::default(), std::future::pending());
    let ending = signals.clone();
    let door =
        serve(front, gateway.router(), wiring::front_door(config)?, async move { ending.ended().await });
    let mut reload = Reload::new(common, config, &signals, Files::GATEWAY);
    if let Some(live) = wiring::live::as_gateway(config)? {
        reload = reload.follow(live);
    }
    let reloading = reload.run(async |_, new, _| {
        wiring::take_up(&gateway, new).map_err(|failure| Refusal::of(&failure))?;
        logging::level(new.log.level);
        Ok(())
    });
    tokio::select! {
        ended = door => ended.context("the front door ended")?,
        ended = served_pages => ended.context("the role pages ended")?,
        () = reloading => {}
    }
    Ok(Exit::Done)
}

/// What `/readyz` names.
async fn readiness(producer: Producer, ledger: PostgresLedger, has_answered: Arc<AtomicBool>) -> Vec<Part> {
    let answer = ledger_upkeep::ping(&ledger).await;
    let has_answered = has_answered.fetch_or(answer.is_ok(), Ordering::Relaxed);
    vec![Part::new("broker", producer.trouble()), ledger_part(answer, has_answered)]
}

/// What is said of a ledger that answers so, and has answered before or not. While it is away the front door accepts: what was asked
/// before is not known then, and no device can be registered. One that refuses and has never answered is most likely this gateway's own
/// fault: none that works must make room for it.
fn ledger_part(answer: Result<(), LedgerError>, has_answered: bool) -> Part {
    let is_fault = matches!(answer, Err(LedgerError::Refused(_))) && !has_answered;
    let why = answer.err().map(|error| error.to_string());
    let (trouble, note) = if is_fault { (why, None) } else { (None, why) };
    Part { name: "ledger", trouble, note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_only_a_ledger_that_never_answered_and_refuses_shuts_the_door() {
        let away = || Err(LedgerError::Away("no answer".to_owned()));
        let refused = || Err(LedgerError::Refused("no such user".to_owned()));
        for (answer, has_answered, open, noted) in [
            (Ok(()), false, true, false),
            (away(), false, true, true),
            (away(), true, true, true),
            (refused(), false, false, false),
            (refused(), true, true, true),
        ] {
            let why = format!("{answer:?}, {has_answered}");
            let part = ledger_part(answer, has_answered);
            assert_eq!((part.trouble.is_none(), part.note.is_some()), (open, noted), "{why}");
        }
    }
}
