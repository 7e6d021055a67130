//! The commands, one file each.

mod begin;
mod bench;
mod channel;
mod cluster;
mod completions;
mod config;
mod credential;
mod credential_fleet;
mod demo;
mod dev_cluster;
mod doctor;
mod fleet;
mod ledger_upkeep;
mod live;
mod monitor_role;
mod queue;
pub mod reload;
mod run;
mod sender;
mod sender_role;
mod simulate_apns;
mod standalone;
mod submit;
mod trace;

use skein_config::{Config, Files, Live, Loaded, Log, Sources};

use crate::args::{Arguments, Command, Common};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Runs what was asked for.
pub fn run(arguments: Arguments, output: &Output) -> Result<Exit, Failure> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Config(config) => config::run(&common, &config, *output),
        Command::Run(role) => run::run(&common, &role, *output),
        Command::Demo(demo) => demo::run(&demo, *output),
        Command::Standalone => standalone::run(&load(&common)?, &common, *output),
        Command::Submit(submit) => submit::run(&load_for(&common, Files::NONE)?.config, &submit, *output),
        Command::Trace(trace) => trace::run(&load_for(&common, Files::NONE)?.config, &trace, *output),
        Command::Credential(credential) => credential::run(&common, &credential, *output),
        Command::Channel(channel) => {
            channel::run(&load_for(&common, Files::POOLS)?.config, &channel, *output)
        }
        Command::Queue(queue) => queue::run(&load_for(&common, Files::NONE)?.config, &queue, *output),
        Command::Sender(sender) => sender::run(&load_for(&common, Files::NONE)?.config, &sender, *output),
        Command::Cluster(cluster) => cluster::run(&load_for(&common, Files::NONE)?.config, &cluster, *output),
        Command::Doctor(asked) => doctor::run(&common, &asked, *output),
        Command::Dev(dev) => dev_cluster::run(&dev, *output),
        Command::SimulateApns(simulate) => simulate_apns::run(&log_of(&common)?, *simulate, *output),
        Command::Bench(bench) => bench::run(&bench, &common.settings, *output),
        Command::BenchPart(part) => bench::run_one(&part, *output),
        Command::Completions { shell } => Ok(completions::run(shell, *output)),
    }
}

/// The configuration that a command runs with.
fn load(common: &Common) -> Result<Loaded, Failure> {
    load_with(common, None)
}

/// The same, for one that reads no more than these files.
fn load_for(common: &Common, files: Files) -> Result<Loaded, Failure> {
    load_with(common, Some(Live::nothing(files)))
}

/// The same, with these live settings over all of it.
fn load_with(common: &Common, live: Option<Live>) -> Result<Loaded, Failure> {
    let sources = Sources::of_process(common.files.clone(), common.settings.clone());
    Ok(Config::load(&Sources { live, ..sources })?)
}

/// How a command logs that needs nothing else of the configuration: its faults are not this command's unless it was named.
fn log_of(common: &Common) -> Result<Log, Failure> {
    let named = !common.files.is_empty() || !common.settings.is_empty();
    Ok(if named { load(common)?.config.log } else { Config::default().log })
}

/// A runtime of one thread, for commands that ask and end.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    use anyhow::Context as _;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot start a runtime")?)
}

/// Listens on the address of a setting.
async fn bind(address: std::net::SocketAddr, setting: &str) -> Result<tokio::net::TcpListener, Failure> {
    let bound = tokio::net::TcpListener::bind(address).await;
    bound.map_err(|error| Failure::Usage(format!("{setting}: cannot listen on {address}: {error}")))
}
