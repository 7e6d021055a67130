//! The server of a run: the simulator, without faults, with its log in a file and without the store of what devices show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use skein_apns_sim::log::{LogMode, ROWS_MAX_DEFAULT};
use skein_apns_sim::{Faults, SimulatorConfig};

use crate::arguments::{Apns, ApnsServer};
use crate::part::announce;
use crate::process::{Process, Usage};

const START_LIMIT: Duration = Duration::from_secs(30);
const CA: &str = "apns-ca.pem";
const LOG: &str = "simulator.pushes";

/// Runs the simulator until SIGTERM.
pub(crate) fn run(arguments: &ApnsServer) -> Result<serde_json::Value> {
    let mut faults = Faults::default();
    faults.request.delay_ms = arguments.delay_ms;
    let config = SimulatorConfig {
        ca_out: Some(arguments.ca.clone()),
        log: LogMode::File { path: arguments.log.clone(), rows_max: ROWS_MAX_DEFAULT },
        devices: false,
        rtt_ms: arguments.rtt_ms,
        window_bytes: arguments.window,
        faults,
        ..SimulatorConfig::default()
    };
    let mut announced = Ok(());
    let ready = |handle: &skein_apns_sim::Handle| {
        announced = announce(&Listening { listening: handle.addr().to_string() });
    };
    let counts = skein_apns_sim::run(config, ready)?;
    announced?;
    Ok(counts.to_json())
}

#[derive(Serialize, Deserialize)]
struct Listening {
    listening: String,
}

/// What the clients of a round talk to.
pub(crate) enum Server {
    /// A simulator of this round.
    Simulator { process: Process, target: String, folder: PathBuf },
    /// Somebody else's.
    Other { target: String, ca: PathBuf },
}

impl Server {
    /// Starts a simulator in `folder`, or takes what `--connect` names.
    pub(crate) fn start(arguments: &Apns, folder: &Path) -> Result<Self> {
        if let (Some(target), Some(ca)) = (&arguments.connect, &arguments.ca) {
            return Ok(Self::Other { target: target.clone(), ca: ca.canonicalize()? });
        }
        let service = &arguments.service;
        let numbers = [
            ("--delay-ms", service.delay_ms),
            ("--rtt-ms", service.rtt_ms),
            ("--window", service.window.into()),
        ];
        let mut all: Vec<String> =
            ["bench-part", "apns-server", "--ca", CA, "--log", LOG].map(str::to_owned).into();
        all.extend(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
        let mut process = Process::start("simulator", folder, all, &[])?;
        let ready: Listening = process.first_line(START_LIMIT)?;
        Ok(Self::Simulator { process, target: ready.listening, folder: folder.to_owned() })
    }

    /// `host:port`.
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::Simulator { target, .. } | Self::Other { target, .. } => target,
        }
    }

    /// Its root certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        match self {
            Self::Simulator { folder, .. } => folder.join(CA),
            Self::Other { ca, .. } => ca.clone(),
        }
    }

    /// # Errors
    /// The simulator has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self {
            Self::Simulator { process, .. } => process.check_alive(),
            Self::Other { .. } => Ok(()),
        }
    }

    /// Ends the simulator, so that its log is whole: what it cost, and the log. `None` of another server.
    pub(crate) fn end(self) -> Result<Option<(Usage, PathBuf)>> {
        match self {
            Self::Simulator { mut process, folder, .. } => Ok(Some((process.end()?, folder.join(LOG)))),
            Self::Other { .. } => Ok(None),
        }
    }
}
