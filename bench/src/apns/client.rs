//! The part under measurement: one thread, one client of `skein-apns`, one notification of a device token in flight at a time.

use std::fs;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use skein_apns::{
    Answer, Client, ClientConfig, Credential, Endpoint, Environment, NotSent, Reason, Roots, Status, TokenKey,
};
use skein_apns_sim::clock::monotonic_ns;
use skein_core::lane::LaneId;
use tokio::runtime::LocalOptions;
use tokio::time::{Sleep, sleep_until};

use super::work::Work;
use crate::arguments::{ApnsClient, ApnsLoad};
use crate::part::Pace;
use crate::process;

/// With `--connections 0`: opened as needed, up to so many.
const CONNECTIONS_MAX: usize = 1000;
/// The connections that were asked for must stand within this time.
const CONNECT_LIMIT: Duration = Duration::from_secs(120);
/// The first of them within this.
const FIRST_LIMIT: Duration = Duration::from_secs(15);
/// With `--connections 0`: measured from when their count has not changed for so long, ...
const SETTLED: Duration = Duration::from_secs(2);
/// ... or for this long at most.
const SETTLE_LIMIT: Duration = Duration::from_secs(40);
/// How often the connections are counted until then.
const LOOK: Duration = Duration::from_millis(20);
/// How often a paced run writes what is due.
const TICK: Duration = Duration::from_millis(2);
/// Without a reply for so long the run has failed.
const STILL_LIMIT: Duration = Duration::from_secs(30);

/// What the client says at its end. Counts are of the whole run, but for `measured`. Times are `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pushed {
    /// Notifications that were answered.
    pub(crate) answered: u64,
    /// Of them, those with status 200.
    pub(crate) accepted: u64,
    /// Of them, those after the connections stood.
    pub(crate) measured: u64,
    /// Writes that came back as not sent, and were written again.
    #[serde(default)]
    pub(crate) not_sent: u64,
    /// Writes of which nobody knows, and which were written again.
    #[serde(default)]
    pub(crate) in_doubt: u64,
    /// When the first that is measured was written.
    pub(crate) began_ns: u64,
    /// When the last answer was there.
    pub(crate) ended_ns: u64,
    /// Connections open at the end.
    pub(crate) connections: u64,
    /// The most memory it had resident.
    pub(crate) rss_mb: Option<f64>,
}

/// Runs it to its end.
pub(crate) fn run(arguments: &ApnsClient) -> Result<Pushed> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(LocalOptions::default())?;
    let arguments = arguments.clone();
    // A task of its own: waking the future of `block_on` itself would cost a system call each time.
    runtime.block_on(async { tokio::task::spawn_local(push(arguments)).await? })
}

async fn push(arguments: ApnsClient) -> Result<Pushed> {
    let mut driver = Driver::new(&arguments)?;
    driver.connect().await?;
    driver.begin(arguments.load.notifications);
    let began_ns = monotonic_ns();
    while !driver.work.is_done() {
        driver.turn().await?;
    }
    let ended_ns = monotonic_ns();
    let connections = driver.client.status().open as u64;
    driver.client.close(&mut Vec::new());
    let latencies = driver.work.latencies_us().get(driver.measured_from as usize..).unwrap_or_default();
    let bytes: Vec<u8> = latencies.iter().flat_map(|us| us.to_le_bytes()).collect();
    fs::write(&arguments.latencies, bytes)?;
    Ok(Pushed {
        answered: driver.work.answered(),
        accepted: driver.accepted,
        measured: arguments.load.notifications,
        not_sent: driver.not_sent,
        in_doubt: driver.in_doubt,
        began_ns,
        ended_ns,
        connections,
        rss_mb: process::peak_rss_mb("self"),
    })
}

struct Driver {
    client: Client,
    connections: usize,
    work: Work,
    /// Number of the first notification that is measured.
    measured_from: u64,
    pace: Pace,
    due: u64,
    ticks: Option<Ticks>,
    answers: Vec<(u64, Answer)>,
    accepted: u64,
    not_sent: u64,
    in_doubt: u64,
    last_reply: Instant,
    /// Why our provider token was refused, if it was.
    refused: Option<&'static str>,
}

impl Driver {
    fn new(arguments: &ApnsClient) -> Result<Self> {
        let load = &arguments.load;
        let is_paced = load.rate > 0;
        Ok(Self {
            client: client(arguments)?,
            connections: load.connections as usize,
            work: Work::new(load),
            measured_from: 0,
            pace: Pace::new(load.rate),
            due: if is_paced { 0 } else { u64::MAX },
            ticks: is_paced.then(Ticks::new),
            answers: Vec::new(),
            accepted: 0,
            not_sent: 0,
            in_doubt: 0,
            last_reply: Instant::now(),
            refused: None,
        })
    }

    /// Opens the connections: those asked for, or, if none were, what the work makes the client open.
    async fn connect(&mut self) -> Result<()> {
        let began = Instant::now();
        let (mut open, mut since) = (0, began);
        if self.connections == 0 {
            self.work.submit_until(u64::MAX);
        }
        let mut looked = began;
        loop {
            tokio::time::timeout(LOOK, self.turn()).await.unwrap_or(Ok(()))?;
            let now = Instant::now();
            if now < looked + LOOK {
                continue;
            }
            looked = now;
            let status = self.client.status();
            if status.open != open || status.connecting > 0 {
                (open, since) = (status.open, now);
            }
            if self.connections > 0 {
                if open >= self.connections {
                    // One push on each: until its provider token was accepted, a connection takes one at a time.
                    self.work.submit_until(self.connections as u64);
                    if self.work.is_done() {
                        return Ok(());
                    }
                } else if began.elapsed() > if open == 0 { FIRST_LIMIT } else { CONNECT_LIMIT } {
                    bail!("{open} of {} connections stand: {}", self.connections, last_failure(&status));
                }
            } else if open == 0 && began.elapsed() > FIRST_LIMIT {
                bail!("no connection stands: {}", last_failure(&status));
            } else if (open > 0 && now >= since + SETTLED) || began.elapsed() > SETTLE_LIMIT {
                return Ok(());
            }
        }
    }

    /// From here on it is measured.
    fn begin(&mut self, notifications: u64) {
        self.measured_from = self.work.submitted();
        self.work.submit_until(self.measured_from + notifications);
        self.pace = Pace::new(self.pace.per_second());
        if self.ticks.is_some() {
            self.due = self.measured_from;
        }
    }

    /// Writes what may be written, and takes the answers that are there.
    async fn turn(&mut self) -> Result<()> {
        self.work.fill(&mut self.client, self.due);
        match &mut self.ticks {
            None => self.client.progress(&mut self.answers).await,
            Some(ticks) => tokio::select! {
                biased;
                () = self.client.progress(&mut self.answers) => {}
                _ = ticks.tick() => self.due = self.measured_from.saturating_add(self.pace.due()),
            },
        }
        for (key, answer) in self.answers.drain(..) {
            let lane = LaneId::from_u64(key);
            match answer {
                Answer::Reply { status, reason, evidence, .. } => {
                    self.work.finish(lane, evidence.duration_us);
                    self.accepted += u64::from(status == 200);
                    if status == 403 {
                        // Its connection ends with it: such a server lets nothing through, slowly.
                        self.refused = reason.as_ref().map(Reason::label);
                    } else {
                        self.last_reply = Instant::now();
                    }
                    continue;
                }
                Answer::NotSent { why: NotSent::NoConnection(why), .. }
                    if self.last_reply.elapsed() > STILL_LIMIT =>
                {
                    if let Some(reason) = self.refused {
                        bail!("the server refuses the key of this run ({reason}); it has to take any key");
                    }
                    bail!("no connection for {STILL_LIMIT:?}: {}", why.label());
                }
                Answer::NotSent { .. } => self.not_sent += 1,
                Answer::InDoubt { .. } => self.in_doubt += 1,
            }
            self.work.put_back(lane);
        }
        Ok(())
    }
}

fn last_failure(status: &Status) -> &str {
    status.last_failure.as_ref().map_or("no attempt has failed", |last| &last.detail)
}

/// Every [`TICK`]. Two timers take turns, so that one is always due before the one that is set anew: the runtime wakes
/// itself, by a system call, only for a timer that is due before all others.
struct Ticks {
    timers: [Pin<Box<Sleep>>; 2],
}

impl Ticks {
    fn new() -> Self {
        let now = tokio::time::Instant::now();
        Self { timers: [1, 2].map(|n| Box::pin(sleep_until(now + n * TICK))) }
    }

    async fn tick(&mut self) {
        self.timers[0].as_mut().await;
        let due = self.timers[0].deadline().max(tokio::time::Instant::now() - TICK) + 2 * TICK;
        self.timers[0].as_mut().reset(due);
        self.timers.swap(0, 1);
    }
}

fn client(arguments: &ApnsClient) -> Result<Client> {
    let ApnsLoad { connections, in_flight, .. } = arguments.load;
    let ca = fs::read(&arguments.ca).with_context(|| format!("cannot read {}", arguments.ca.display()))?;
    let (host, port) = arguments.target.rsplit_once(':').context("the server is not host:port")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let endpoint = Endpoint::custom(host, port.parse().context("no port")?, Environment::Sandbox)?;
    let key = rcgen::KeyPair::generate().context("cannot make a provider key")?.serialize_pem();
    let credential = Credential::Token(TokenKey::from_p8(key.as_bytes(), "ABCDE12345", "TEAM123456")?);
    let usual = ClientConfig::new(endpoint);
    let (min, max) = match connections as usize {
        0 => (1, CONNECTIONS_MAX),
        given => (given, given),
    };
    let config = ClientConfig {
        roots: Roots::from_pem(&ca)?,
        connections_min: min,
        connections_max: max,
        buffer_max: usual.buffer_max.max(in_flight as usize),
        ..usual
    };
    Ok(Client::new(config, credential))
}
