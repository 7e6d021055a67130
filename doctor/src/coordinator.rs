//! ZooKeeper: each server, its version, the tree with its rights, and what each role may do.

use std::time::Duration;

use skein_backends::zookeeper::{ZooKeeperLive, ZooKeeperOptions, ZooKeeperRole, clock_of};
use skein_core::seam::CoordinatorError;
use skein_provision::{ProvisionError, Service, probe_coordinator, probe_coordinator_as};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clocks::{self, Watch};
use crate::deployment::{Administrator, Deployment};
use crate::report::{Check, Finding, State};
use crate::{rights, steps};

/// The first version that is tested.
const VERSION_MIN: (u32, u32) = (3, 8);
/// The port of a server that names none.
const PORT: u16 = 2181;
/// Longest wait for a server's word.
const WORD_LIMIT: Duration = Duration::from_secs(5);
/// Longest word that is read, in bytes; `srvr` says a few hundred.
const WORD_BYTES_MAX: u64 = 16 << 10;

const SERVERS: &str = "zookeeper.servers";
const VERSION: &str = "zookeeper.version";
const HOLDS: &str = "zookeeper.holds";
const RIGHTS: &str = "zookeeper.rights";

pub(crate) async fn examine(deployment: &Deployment, broken: &[Service], watch: &Watch) -> Vec<Check> {
    let has_business = deployment.role().is_none_or(|role| role.at_zookeeper().is_some());
    let Some(options) = deployment.zookeeper.as_ref().filter(|_| has_business) else { return Vec::new() };
    let (mut checks, answers) = servers(options).await;
    if !answers {
        let rest = [HOLDS, RIGHTS].map(|name| Check::skipped(name, "no ZooKeeper server answers"));
        checks.extend(rest);
        return checks;
    }
    let (holds, rights) = match deployment.administrator() {
        Some(administrator) => administered(deployment, administrator, options, broken).await,
        None => as_role(deployment, options).await,
    };
    // It rings a bell, which is there with everything else.
    if holds.state == State::Fine {
        let asked_ms = clocks::now_ms();
        if let Ok(theirs) = clock_of(options.clone()).await {
            watch.heard("ZooKeeper", theirs.as_millis(), asked_ms);
        }
    }
    checks.extend([holds, rights]);
    checks
}

/// Every server of the list, and whether one answers.
async fn servers(options: &ZooKeeperOptions) -> (Vec<Check>, bool) {
    let (mut away, mut old, mut silent, mut answers) = (Vec::new(), Vec::new(), None, false);
    for server in &options.servers {
        match word(server, options.tls.is_some()).await {
            Err(why) => away.push(Finding::error(
                format!("ZooKeeper at {server} does not answer: {why}"),
                "start it (systemctl start zookeeper), or correct coordinator.servers and what stands between",
            )),
            Ok(said) if said.contains("not currently serving") => away.push(Finding::error(
                format!("ZooKeeper at {server} has no quorum"),
                "start the other servers of its ensemble, and let them reach one another",
            )),
            Ok(said) => {
                answers = true;
                match version_in(&said) {
                    None => silent = Some(format!("{server} does not say it: it speaks TLS, or `srvr` is not allowed")),
                    Some(found) if found >= VERSION_MIN => {}
                    Some((major, minor)) => {
                        let (least, of) = VERSION_MIN;
                        let what =
                            format!("ZooKeeper at {server} is {major}.{minor}, and {least}.{of} is the least");
                        old.push(Finding::error(what, "upgrade it, one server after the other"));
                    }
                }
            }
        }
    }
    let version = match silent {
        Some(why) if old.is_empty() => Check::skipped(VERSION, why),
        None if !answers => Check::skipped(VERSION, "no ZooKeeper server answers"),
        _ => Check::new(VERSION, old),
    };
    (vec![Check::new(SERVERS, away), version], answers)
}

/// What a server says to `srvr`, the one word that is allowed unless forbidden; nothing where it is, or TLS is spoken.
async fn word(server: &str, encrypted: bool) -> Result<String, String> {
    let address = if server.contains(':') { server.to_owned() } else { format!("{server}:{PORT}") };
    let connected = match tokio::time::timeout(WORD_LIMIT, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {WORD_LIMIT:?}")),
    };
    let (mut stream, mut said) = (connected?, String::new());
    if encrypted {
        return Ok(said);
    }
    let asked = async {
        stream.write_all(b"srvr").await?;
        stream.take(WORD_BYTES_MAX).read_to_string(&mut said).await
    };
    match tokio::time::timeout(WORD_LIMIT, asked).await {
        Ok(Ok(_)) => Ok(said),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {WORD_LIMIT:?}")),
    }
}

/// Of `Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on …`.
fn version_in(said: &str) -> Option<(u32, u32)> {
    let (_, version) = said.split_once("ersion: ")?;
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

async fn administered(
    deployment: &Deployment,
    administrator: &Administrator,
    options: &ZooKeeperOptions,
    broken: &[Service],
) -> (Check, Check) {
    let Administrator { credentials, coordinator, init, .. } = administrator;
    let both = |why: &str| (Check::skipped(HOLDS, why), Check::skipped(RIGHTS, why));
    if broken.contains(&Service::ZooKeeper) {
        return both("a file of a password cannot be used");
    }
    let Some(coordinator) = coordinator else { return both("no login is named") };
    let cluster = &deployment.cluster;
    let holds = match coordinator.look(cluster, credentials).await {
        Ok(found) => Check::new(HOLDS, found.iter().map(|(step, _)| steps::finding(step, init)).collect()),
        Err(error) => Check::new(HOLDS, vec![trouble(&error)]),
    };
    let rights = if holds.state == State::Fine {
        let bare = ZooKeeperOptions { login: None, ..options.clone() };
        match probe_coordinator(cluster, credentials, &bare).await {
            Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, init)),
            Err(error) => Check::new(RIGHTS, vec![trouble(&error)]),
        }
    } else {
        Check::skipped(RIGHTS, "what ZooKeeper holds must be mended first")
    };
    (holds, rights)
}

fn trouble(error: &ProvisionError) -> Finding {
    let remedy = match error {
        ProvisionError::Away { .. } => "look into the log of the ZooKeeper servers: have they a quorum?",
        ProvisionError::Refused { .. } => {
            "correct coordinator.username and its password: they own the tree below coordinator.chroot"
        }
    };
    Finding::error(error.to_string(), remedy)
}

/// A role sees the tree by what it may do there.
async fn as_role(deployment: &Deployment, options: &ZooKeeperOptions) -> (Check, Check) {
    let Some(of) = deployment.role().and_then(skein_provision::Role::at_zookeeper) else {
        return (Check::new(HOLDS, Vec::new()), Check::new(RIGHTS, Vec::new()));
    };
    let cluster = &deployment.cluster;
    // A gateway rings no bell.
    let reached = match of {
        ZooKeeperRole::Gateway => ZooKeeperLive::connect(options.clone()).read().await.map(drop),
        _ => clock_of(options.clone()).await.map(drop),
    };
    if let Err(error) = reached {
        let remedy = match error {
            CoordinatorError::Refused(_) => deployment.init(),
            _ => "look into the log of the ZooKeeper servers: have they a quorum?",
        };
        let found = Finding::error(format!("ZooKeeper: {error}"), remedy);
        return (Check::new(HOLDS, vec![found]), Check::skipped(RIGHTS, "the tree cannot be reached"));
    }
    let user = cluster.zookeeper_user(of);
    let rights = match probe_coordinator_as(of, &user, cluster, options.clone()).await {
        Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, deployment.init())),
        Err(error) => Check::new(RIGHTS, vec![Finding::error(error.to_string(), deployment.init())]),
    };
    (Check::new(HOLDS, Vec::new()), rights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_a_server_says() {
        let said =
            "Zookeeper version: 3.8.0-5a02a05, built on 2022-02-25 08:49 UTC\nLatency min/avg/max: 0/0/0";
        assert_eq!(version_in(said), Some((3, 8)));
        assert_eq!(version_in("srvr is not executed because it is not in the whitelist."), None);
    }
}
