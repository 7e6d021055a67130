//! The simulator as a process: prints where it listens, runs until SIGTERM or Ctrl-C.
//!
//! `cargo run -p skein-apns-sim --example standalone -- ca.pem [sim.log]`

use std::io::Write;

use skein_apns_sim::log::{LogMode, ROWS_MAX_DEFAULT};
use skein_apns_sim::{SimulatorConfig, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let ca_out = arguments.next().map(Into::into);
    let log = match arguments.next() {
        Some(path) => LogMode::File { path: path.into(), rows_max: ROWS_MAX_DEFAULT },
        None => LogMode::default(),
    };
    let control = Some(([127, 0, 0, 1], 0).into());
    let counts = run(SimulatorConfig { ca_out, log, control, ..SimulatorConfig::default() }, |handle| {
        let control = handle.control_addr().map(|address| address.to_string()).unwrap_or_default();
        let _ = writeln!(std::io::stdout(), "{{\"apns\":\"{}\",\"control\":\"{control}\"}}", handle.addr());
    })?;
    writeln!(std::io::stdout(), "{}", counts.to_json())?;
    Ok(())
}
