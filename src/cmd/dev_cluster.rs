//! `skein dev cluster`: a whole cluster on this machine, its services as child processes, until Ctrl-C.

mod load;
mod roles;
mod site;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use skein_apns_sim::Simulator;
use skein_config::{Config, Sources};
use skein_dev_services::{PostgreSql, RabbitMq, ZooKeeper, missing};

use crate::args::{Dev, DevCluster};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};
use crate::signals::Signals;
use crate::{logging, wiring};
use roles::Roles;
use site::Site;

/// How often it is looked whether a role has ended.
const LOOK: Duration = Duration::from_millis(250);

/// Runs until Ctrl-C.
pub fn run(Dev::Cluster(arguments): &Dev, output: Output) -> Result<Exit, Failure> {
    lacks_nothing(&missing())?;
    logging::start(&skein_config::Log { level: skein_config::LogLevel::Warn, ..Config::default().log });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(play(arguments, output))
}

/// Names what is not installed, with the line that installs it.
fn lacks_nothing(missing: &[&str]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let package = |name: &&str| {
        match *name {
            "rabbitmq" => "rabbitmq-server",
            "zookeeper" => "zookeeper default-jre-headless",
            other => other,
        }
        .to_owned()
    };
    let packages: Vec<String> = missing.iter().map(package).collect();
    Err(Failure::Away(format!(
        "not installed: {}; on Debian: sudo apt-get install --no-install-recommends {} (the packages start services of their \
         own, which this does not use: sudo systemctl disable --now NAME ends one)",
        missing.join(", "),
        packages.join(" ")
    )))
}

async fn play(arguments: &DevCluster, output: Output) -> Result<Exit, Failure> {
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let starting = start(arguments, output);
    let cluster = tokio::select! {
        cluster = starting => cluster?,
        () = signals.ended() => return Ok(Exit::Done),
    };
    let Cluster { site, mut roles, services, simulator } = cluster;
    introduce(&site, &roles, arguments, output);
    let config = config_of(&site.config())?;
    let load = load::run(&config, arguments);
    let mut load = std::pin::pin!(load);
    loop {
        tokio::select! {
            () = signals.ended() => break,
            ended = &mut load => ended?,
            () = tokio::time::sleep(LOOK) => {
                for (name, how, again) in roles.ended() {
                    output.line(
                        format!("{name} has ended ({how}); start it again with: {again}"),
                        &serde_json::json!({"ended": name, "how": how}),
                    );
                }
            }
        }
    }
    if !output.is_json() {
        output::note("ending everything; a second Ctrl-C does not wait");
    }
    roles.end().await;
    drop(services);
    drop(simulator);
    Ok(Exit::Done)
}

/// What runs.
struct Cluster {
    site: Site,
    roles: Roles,
    services: (RabbitMq, ZooKeeper, PostgreSql),
    simulator: skein_apns_sim::Handle,
}

async fn start(arguments: &DevCluster, output: Output) -> Result<Cluster, Failure> {
    let say = |text: &str| {
        if !output.is_json() {
            output::note(text);
        }
    };
    say("starting RabbitMQ, ZooKeeper, PostgreSQL and the simulator …");
    let services = tokio::try_join!(RabbitMq::start(), ZooKeeper::start(), PostgreSql::start());
    let services = services.context("a service does not start")?;
    let site = Site::prepare(arguments)?;
    let simulator = Simulator::start(site.simulator(arguments)).map_err(|error| anyhow!(error))?;
    site.write(&services, simulator.addr(), arguments).await?;
    say("starting monitors, senders and the gateway …");
    let roles = Roles::start(&site, arguments).await?;
    Ok(Cluster { site, roles, services, simulator })
}

fn config_of(file: &Path) -> Result<Config, Failure> {
    Ok(Config::load(&Sources { files: vec![file.to_owned()], ..Sources::default() })?.config)
}

fn introduce(site: &Site, roles: &Roles, arguments: &DevCluster, output: Output) {
    let config = site.config();
    let config = config.display();
    let example = site::example_token(0);
    let kill = roles.senders().next().map_or(0, |(_, pid)| pid);
    let mut text = String::from("\nthe cluster is up\n\n");
    for (name, at) in site.shown() {
        text.push_str(&format!("  {name:12} {at}\n"));
    }
    text.push_str("\n  its processes, each with /readyz and /metrics:\n");
    for (name, at, pid) in roles.shown() {
        text.push_str(&format!("  {name:12} {at:34} pid {pid}\n"));
    }
    text.push_str(&format!(
        "\nin another terminal, in this folder:\n\n  \
           export SKEIN_CONFIG={config}\n  \
           skein queue list --watch\n  \
           skein submit --pool {pool} --topic {topic} --token {example} --title Anna --body hello\n  \
           kill -9 {kill}          # a sender dies: watch its queues move\n\n",
        pool = site::POOL,
        topic = site::TOPIC,
    ));
    if arguments.load > 0 {
        text.push_str(&format!("{} notifications a second are submitted. ", arguments.load));
    }
    text.push_str("Ctrl-C ends all of it.\n");
    let shown: Vec<_> = roles
        .shown()
        .map(|(name, at, pid)| serde_json::json!({"role": name, "pages": at, "pid": pid}))
        .collect();
    output.line(
        text,
        &serde_json::json!({"config": config.to_string(), "page": site.page(), "roles": shown, "services": site.shown(),
                            "now": wiring::now()}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_line_that_installs_it() {
        assert!(lacks_nothing(&[]).is_ok());
        let Err(Failure::Away(why)) = lacks_nothing(&["rabbitmq", "postgresql"]) else {
            panic!("it is away")
        };
        assert!(why.contains("apt-get install --no-install-recommends rabbitmq-server postgresql"), "{why}");
    }
}
