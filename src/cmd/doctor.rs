//! `skein doctor`: what is wrong with a deployment, and what to do.

mod command;
mod patient;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use skein_config::{Config, Files, Pool};
use skein_doctor::{Report, State, examine};

use super::{load_for, small_runtime};
use crate::args::{Common, Doctor};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// How often progress is drawn.
const TICK: Duration = Duration::from_millis(200);

/// Looks the deployment over.
pub fn run(common: &Common, asked: &Doctor, output: Output) -> Result<Exit, Failure> {
    let (config, here) = loaded(common, asked)?;
    small_runtime()?.block_on(async {
        let deployment = patient::deployment(&config, &here, common, asked)?;
        let progress = progress(output);
        let report =
            examine(&deployment, &|name| progress.set_message(format!("{name} is looked over"))).await;
        progress.finish_and_clear();
        tell(&report, output);
        Ok(if report.is_fine() { Exit::Done } else { Exit::Failed })
    })
}

/// The configuration, and the pools whose files are here: an administrator's host may have none.
fn loaded(common: &Common, asked: &Doctor) -> Result<(Config, BTreeSet<String>), Failure> {
    if asked.credentials_folder.is_none() {
        let config = load_for(common, asked.role.files())?.config;
        let pools = config.pools.keys().cloned().collect();
        return Ok((config, pools));
    }
    let config = load_for(common, Files::NONE)?.config;
    let are_here = |pool: &&Pool| pool.credential.files().iter().all(|file| file.exists());
    let here: BTreeSet<String> =
        config.pools.iter().filter(|(_, pool)| are_here(pool)).map(|(name, _)| name.clone()).collect();
    Ok((load_for(common, Files::of_pools(here.clone()))?.config, here))
}

fn progress(output: Output) -> ProgressBar {
    if output.is_json() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message("looking");
    bar.enable_steady_tick(TICK);
    bar
}

fn tell(report: &Report, output: Output) {
    if output.is_json() {
        output.line("", &json!(report));
        return;
    }
    let mut lines = Vec::new();
    for check in &report.checks {
        match &check.state {
            State::Fine => {}
            State::NotChecked(why) => lines.push(format!("not checked: {}: {why}", check.name)),
            State::Findings(findings) => lines.extend(findings.iter().map(|finding| {
                let (severity, what, remedy) = (finding.severity.label(), &finding.what, &finding.remedy);
                format!("{severity}: {}: {what}\n    do: {remedy}", check.name)
            })),
        }
    }
    let Report { errors, warnings, not_checked, checks } = report;
    lines.push(format!(
        "{} checks: {errors} errors, {warnings} warnings, {not_checked} not checked",
        checks.len()
    ));
    output.raw(&(lines.join("\n") + "\n"));
}
