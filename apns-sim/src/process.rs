//! The simulator as a process of its own: started by the command line, ended by a signal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::SimulatorConfig;
use crate::simulator::{Handle, Simulator, StartError};
use crate::stats::Counts;

/// Why the process form ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// The log file is not complete.
    #[error("the log file cannot be written: {0}")]
    Log(io::Error),
}

/// Runs a simulator until SIGTERM or SIGINT, then ends its connections with GOAWAY and completes its log.
///
/// `ready` is called once it accepts connections; a good place to print the addresses. Returns the final counts.
pub fn run(config: SimulatorConfig, ready: impl FnOnce(&Handle)) -> Result<Counts, RunError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Signals)?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
        let handle = Simulator::start(config)?;
        ready(&handle);
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        let counts = handle.stats();
        handle.shutdown().map_err(RunError::Log)?;
        Ok(counts)
    })
}
