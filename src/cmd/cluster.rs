//! `skein cluster …`: the users' passwords, what the services must hold, made; and the proof that no role has a right more.

pub(super) mod admin;
mod init;
mod logins;
mod probe;

use skein_config::Config;

use crate::args::Cluster;
use crate::cmd::small_runtime;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Runs one of them.
pub fn run(config: &Config, command: &Cluster, output: Output) -> Result<Exit, Failure> {
    let (who, init) = match command {
        Cluster::Passwords(who) => return logins::make(config, who, output),
        Cluster::Init(init) => (&init.who, Some(init)),
        Cluster::Probe(who) => (who, None),
    };
    small_runtime()?.block_on(async {
        let admin = admin::Admin::new(config, who)?;
        if let Some(init) = init {
            let done = init::run(&admin, init.dry_run, output).await?;
            if !init.probe || done != Exit::Done {
                return Ok(done);
            }
        }
        probe::run(&admin, output).await
    })
}
