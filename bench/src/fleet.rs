//! One engine with its simulator, from start to the checked end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use skein_apns_sim::checker::Ids;
use tempfile::TempDir;

use crate::arguments::{Engine, Services};
use crate::http;
use crate::ledger::{Database, finals_of_file};
use crate::part::Submitted;
use crate::process::{Process, Usage};
use crate::rabbitmq::Vhost;
use crate::stop::until;
use crate::traffic::POOL;

mod checked;
mod files;

pub(crate) use checked::check;

const START_LIMIT: Duration = Duration::from_secs(60);
/// The longest a run may stand still before it is judged as it is.
const STILL_LIMIT: Duration = Duration::from_secs(120);
const SUBMIT_LIMIT: Duration = Duration::from_secs(3600);
/// A multiple of the largest batch.
const WARM_UP: u64 = 1000;
const DATABASE_FILE: &str = "skein.db";

/// What a fleet is told.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) engine: Engine,
    pub(crate) services: Services,
    pub(crate) queues: u16,
    /// Another server than the simulator, and its root.
    pub(crate) apns: Option<(String, PathBuf)>,
    /// Settings over ours, `key=value`.
    pub(crate) settings: Vec<String>,
    /// Unique among everything that shares the services; letters, digits and `_`.
    pub(crate) name: String,
}

/// What is submitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) notifications: u64,
    pub(crate) batch: u32,
    pub(crate) paced: u32,
    pub(crate) seed: u64,
}

/// A running engine. Dropped, its processes are killed and its virtual host, database and folder deleted.
pub(crate) struct Fleet {
    // In this order: what uses the services goes before them.
    sender: Option<Process>,
    pages: String,
    door: String,
    simulator: Option<Simulator>,
    cluster: Option<(Vhost, Database)>,
    api_key: String,
    warmed: u64,
    setup: Setup,
    folder: TempDir,
}

struct Simulator {
    process: Process,
    control: String,
}

#[derive(Deserialize)]
struct SimulatorReady {
    listening: String,
    control: String,
}

#[derive(Deserialize)]
struct SenderReady {
    pages: String,
    #[serde(default)]
    listening: String,
}

impl Fleet {
    /// Starts everything but the sender.
    pub(crate) fn prepare(setup: &Setup) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("skein-bench-").tempdir()?;
        let cluster = match setup.engine {
            Engine::Embedded => None,
            Engine::Cluster => {
                let vhost = Vhost::create(&setup.services, &setup.name)?;
                Some((vhost, Database::create(&setup.services, &setup.name)?))
            }
        };
        let (simulator, endpoint, ca) = match &setup.apns {
            Some((endpoint, ca)) => {
                let ca = ca.canonicalize().with_context(|| format!("cannot find {}", ca.display()))?;
                (None, endpoint.clone(), ca)
            }
            None => {
                let (simulator, endpoint) = Simulator::start(folder.path())?;
                (Some(simulator), endpoint, folder.path().join(files::CA))
            }
        };
        let api_key = files::write(folder.path(), setup, cluster.as_ref(), &endpoint, &ca)?;
        Ok(Self {
            sender: None,
            pages: String::new(),
            door: String::new(),
            simulator,
            cluster,
            api_key,
            warmed: 0,
            setup: setup.clone(),
            folder,
        })
    }

    /// Starts the sender (embedded: the whole engine) and waits until its pages answer.
    pub(crate) fn start_sender(&mut self) -> Result<()> {
        let role: &[&str] = match self.setup.engine {
            Engine::Embedded => &["standalone"],
            Engine::Cluster => &["run", "sender"],
        };
        let mut arguments: Vec<&str> = role.to_vec();
        arguments.extend(["--config", files::CONFIG, "--json"]);
        for setting in &self.setup.settings {
            arguments.extend(["--set", setting]);
        }
        let secrets = files::secrets(&self.setup);
        let secrets: Vec<(&str, &str)> =
            secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut sender = Process::start("sender", self.folder.path(), arguments, &secrets)?;
        let ready: SenderReady = sender.first_line(START_LIMIT)?;
        (self.pages, self.door) = (ready.pages, ready.listening);
        self.sender = Some(sender);
        Ok(())
    }

    /// Waits until the sender says that it is ready.
    pub(crate) fn ready(&mut self) -> Result<()> {
        let mut last = String::new();
        let Self { sender, pages, .. } = self;
        let sender = sender.as_mut().context("no sender runs")?;
        let ready = until("the sender to be ready", START_LIMIT, || {
            sender.check_alive()?;
            match http::request("GET", &format!("http://{pages}/readyz"), "") {
                Ok(_) => Ok(Some(())),
                Err(error) => {
                    last = format!("{error:#}");
                    Ok(None)
                }
            }
        });
        ready.context(last)
    }

    /// Carries a first few through, of other tokens, and waits for their verdicts: connections are open then, and the grace
    /// of a new owner is over. Gives how many; they count in everything that this fleet counts.
    pub(crate) fn warm_up(&mut self, load: Load) -> Result<u64> {
        let load = Load { notifications: WARM_UP, paced: 0, seed: !load.seed, ..load };
        let (submitted, _) = self.submit(load)?;
        self.recorded(submitted.confirmed)?;
        self.warmed = submitted.confirmed;
        Ok(self.warmed)
    }

    /// Submits by a process of its own and waits for its end.
    pub(crate) fn submit(&mut self, load: Load) -> Result<(Submitted, Usage)> {
        let (part, target) = match &self.cluster {
            None => ("http-producer", self.door.as_str()),
            Some((vhost, _)) => ("producer", vhost.url()),
        };
        let numbers = [
            ("--notifications", load.notifications),
            ("--batch", load.batch.max(1).into()),
            ("--paced", load.paced.into()),
            ("--seed", load.seed),
        ];
        let mut arguments = vec!["bench-part".to_owned(), part.to_owned()];
        arguments.extend(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
        arguments.extend(["--list".to_owned(), files::LIST.to_owned()]);
        let secrets = [("SKEIN_BENCH_TARGET", target), ("SKEIN_BENCH_KEY", self.api_key.as_str())];
        let mut producer = Process::start("producer", self.folder.path(), arguments, &secrets)?;
        let sender = &mut self.sender;
        let usage = producer.wait(SUBMIT_LIMIT, || sender.as_mut().map_or(Ok(()), Process::check_alive))?;
        let submitted: Submitted = producer.last_line()?;
        ensure!(submitted.confirmed > 0, "nothing was confirmed");
        Ok((submitted, usage))
    }

    /// Waits until so many facts beyond the warm-up's are durable, or nothing moves any more; gives the moment,
    /// `CLOCK_MONOTONIC`.
    pub(crate) fn recorded(&mut self, facts: u64) -> Result<u64> {
        let facts = facts + self.warmed;
        let mut before = (0, std::time::Instant::now());
        until("every verdict", SUBMIT_LIMIT, || {
            self.sender.as_mut().context("no sender runs")?.check_alive()?;
            // The simulator is asked first: its counts cost the sender nothing.
            let answered = match &self.simulator {
                Some(simulator) => simulator.accepted()?,
                None => facts,
            };
            let recorded = if answered < facts { 0 } else { self.metric("skein_ledger_facts_total")? };
            let moved = answered + recorded;
            if moved != before.0 {
                before = (moved, std::time::Instant::now());
            }
            let still = before.1.elapsed() > STILL_LIMIT;
            Ok((recorded >= facts || still).then(skein_apns_sim::clock::monotonic_ns))
        })
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        let text = http::request("GET", &format!("http://{}/metrics", self.pages), "")?;
        Ok(sum_of(&String::from_utf8_lossy(&text), name))
    }

    /// The sender's peak of resident memory so far.
    pub(crate) fn peak_rss_mb(&self) -> Option<f64> {
        self.sender.as_ref().and_then(Process::peak_rss_mb)
    }

    /// Ends the sender in good order.
    pub(crate) fn end_sender(&mut self) -> Result<Usage> {
        self.sender.take().context("no sender runs")?.end()
    }

    /// Waits until APNs has accepted so many.
    pub(crate) fn accepted(&mut self, count: u64) -> Result<()> {
        until("the first notifications to be accepted", START_LIMIT, || {
            self.sender.as_mut().context("no sender runs")?.check_alive()?;
            let accepted = self.simulator.as_ref().context("no simulator runs")?.accepted()?;
            Ok((accepted >= count).then_some(()))
        })
    }

    /// Makes the simulator stand still with answers held, or go on.
    pub(crate) fn stall(&self, stalled: bool) -> Result<()> {
        let simulator = self.simulator.as_ref().context("another server cannot be stalled")?;
        let stall = if stalled { "answers" } else { "none" };
        let body = format!("{{\"stall\":\"{stall}\"}}");
        http::request("POST", &format!("http://{}/stall", simulator.control), &body).map(drop)
    }

    /// Ends the simulator, so that its log is whole. `None` if another server takes its place.
    pub(crate) fn end_simulator(&mut self) -> Result<Option<Usage>> {
        self.simulator.take().map(|mut simulator| simulator.process.end()).transpose()
    }

    /// How many notifications have a final verdict in the ledger; the sender has ended.
    pub(crate) fn finals(&self) -> Result<u64> {
        match &self.cluster {
            Some((_, database)) => database.finals(),
            None => finals_of_file(&self.folder.path().join(DATABASE_FILE)),
        }
    }

    /// The ids that the ledger calls possible copies; none are looked for in the embedded engine's file.
    pub(crate) fn possible_copies(&self) -> Result<Ids> {
        self.cluster.as_ref().map_or_else(|| Ok(Ids::new()), |(_, database)| database.possible_copies())
    }

    /// What the broker counts as published to the pool's exchange. `None` without a broker.
    pub(crate) fn broker_publishes(&self) -> Result<Option<u64>> {
        let exchange = format!("skein.{POOL}");
        self.cluster.as_ref().map(|(vhost, _)| vhost.published_to(&exchange)).transpose()
    }

    /// The producer's list.
    pub(crate) fn list(&self) -> PathBuf {
        self.folder.path().join(files::LIST)
    }

    /// The simulator's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join(files::LOG)
    }
}

impl Simulator {
    fn start(folder: &Path) -> Result<(Self, String)> {
        let loopback = "127.0.0.1:0";
        let arguments = ["simulate-apns", "--json", "--listen", loopback, "--control", loopback];
        let arguments = arguments.into_iter().chain(["--ca-out", files::CA, "--log", files::LOG]);
        let mut process = Process::start("simulator", folder, arguments, &[])?;
        let ready: SimulatorReady = process.first_line(START_LIMIT)?;
        Ok((Self { process, control: ready.control }, ready.listening))
    }

    fn accepted(&self) -> Result<u64> {
        let stats = http::request("GET", &format!("http://{}/stats", self.control), "")?;
        let stats: serde_json::Value = serde_json::from_slice(&stats)?;
        stats["accepted"].as_u64().context("the simulator's counts are not understood")
    }
}

fn sum_of(metrics: &str, name: &str) -> u64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    metrics.lines().filter(of_name).filter_map(value).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a_total x\na_total{p=\"1\"} 3\na_total{p=\"2\"} 4\na_total_more 9\nb 5\n";
        assert_eq!((sum_of(text, "a_total"), sum_of(text, "b"), sum_of(text, "c")), (7, 5, 0));
    }
}
