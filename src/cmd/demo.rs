//! `skein demo`: the embedded engine against the simulator, with a realistic mix of faults, and the history checked.

mod outcome;
mod setup;
mod traffic;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use prometheus::Registry;
use skein_config::Config;
use skein_core::seam::Tally;
use skein_core::{PoolName, Timestamp};

use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::{logging, wiring};
use outcome::Summary;
pub use setup::write_key;
pub use traffic::token;

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Without any progress for this long, the demo gives up on what is pending.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it, prints the summary and the checker's verdict.
pub fn run(arguments: &Demo, output: Output) -> Result<Exit, Failure> {
    let stage = setup::Stage::new(arguments)?;
    logging::start(&stage.config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(play(stage, arguments, output))
}

async fn play(stage: setup::Stage, arguments: &Demo, output: Output) -> Result<Exit, Failure> {
    let config: &Config = &stage.config;
    let (began, cpu_before) = (Instant::now(), outcome::cpu_us());
    let registry = Registry::new();
    let engine = wiring::embedded::open(config).await?;
    let ledger = engine.embedded.ledger();
    let metrics = wiring::credentials::metrics(&registry, config)?;
    let credentials = wiring::credentials::Credentials::start(config, &metrics)?;
    let sender = wiring::sender::start(
        config,
        engine.embedded.broker(),
        ledger.clone(),
        engine.fingerprint_key.clone(),
        metrics,
        &credentials,
        wiring::sender::alone(config)?,
    )?;
    if !output.is_json() {
        output.raw(&stage.introduction(arguments));
    }
    let bar = progress(arguments.notifications, output);
    let pool = setup::pool();
    let traffic = traffic::Traffic::new(arguments, pool.clone());
    let submitting = tokio::spawn(traffic.run(engine.embedded.submit()));
    let mut seen = Seen { total: 0, changed: Instant::now() };
    let tally = loop {
        tokio::time::sleep(LOOK).await;
        let judged = outcome::judged(&registry);
        bar.set_position(judged);
        bar.set_message(format!("{} accepted", outcome::accepted(&registry)));
        let all = submitting.is_finished() && judged >= arguments.notifications;
        let is_stuck = seen.is_stuck(judged);
        // The ledger is counted only where it may be complete: counting costs it as much as writing.
        if all || is_stuck {
            let tally = tally(&ledger, &pool).await?;
            if is_stuck || tally.total() >= arguments.notifications {
                break tally;
            }
        }
    };
    let (took, cpu_us) = (began.elapsed(), outcome::cpu_us().saturating_sub(cpu_before));
    bar.finish_and_clear();
    if !submitting.is_finished() {
        submitting.abort();
        return Err(anyhow::anyhow!(
            "no progress for {PATIENCE:?} while submitting; run with --set log.level=debug"
        )
        .into());
    }
    let accepted = submitting.await.context("the producer's task ended early")??;
    let log = stage.simulator.log();
    let summary =
        Summary::of(&accepted, &log, &ledger, &engine.fingerprint_key, tally, &registry, took, cpu_us)
            .await?;
    let drained = sender.drain(config.sender.drain_deadline).await;
    engine.embedded.close().await;
    output.line(summary.text(&stage), &summary.json());
    Ok(if drained && summary.is_clean() { Exit::Done } else { Exit::Failed })
}

async fn tally(ledger: &impl skein_core::seam::Ledger, pool: &PoolName) -> Result<Tally, Failure> {
    Ok(ledger.tally(pool, Timestamp::default()).await.context("the ledger does not answer")?)
}

struct Seen {
    total: u64,
    changed: Instant,
}

impl Seen {
    fn is_stuck(&mut self, total: u64) -> bool {
        if total != self.total {
            *self = Self { total, changed: Instant::now() };
        }
        self.changed.elapsed() > PATIENCE
    }
}

fn progress(notifications: u64, output: Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {msg}");
    let bar =
        ProgressBar::new(notifications).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(LOOK);
    bar
}
