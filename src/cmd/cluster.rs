//! `skein cluster init` and `skein cluster probe`: what the services must hold, made; and the proof that no role has a right more.

pub(super) mod admin;
mod init;
mod probe;

use skein_config::Config;

use crate::args::Cluster;
use crate::cmd::small_runtime;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Runs one of them.
pub fn run(config: &Config, command: &Cluster, output: Output) -> Result<Exit, Failure> {
    let who = match command {
        Cluster::Init(init) => &init.who,
        Cluster::Probe(who) => who,
    };
    small_runtime()?.block_on(async {
        let admin = admin::Admin::new(config, who)?;
        match command {
            Cluster::Init(init) => {
                let done = init::run(&admin, init.dry_run, output).await?;
                if init.probe && done == Exit::Done { probe::run(&admin, output).await } else { Ok(done) }
            }
            Cluster::Probe(_) => probe::run(&admin, output).await,
        }
    })
}
