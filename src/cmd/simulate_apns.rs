//! `skein simulate-apns`

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use skein_apns_sim::faults::{FaultsError, preset};
use skein_apns_sim::log::{LogMode, ROWS_MAX_DEFAULT};
use skein_apns_sim::{
    Faults, Handle, ProviderKey, Rules, RunError, SimulatorConfig, StartError, TokenPolicy,
};
use skein_config::Log;

use crate::args::{Environment, SimulateApns};
use crate::exit::{Exit, Failure};
use crate::logging;
use crate::output::Output;

/// Runs a simulator until it is asked to end, then prints its counts.
pub fn run(log: &Log, arguments: SimulateApns, output: Output) -> Result<Exit, Failure> {
    logging::start(log);
    let ca_out = arguments.ca_out.clone();
    let ready = |handle: &Handle| {
        let ca = ca_out.as_ref().map(|path| path.display().to_string());
        let control = handle.control_addr().map(|a| a.to_string());
        let trust = ca.as_ref().map_or_else(String::new, |path| format!(", trust {path}"));
        let faults = control.as_ref().map_or_else(String::new, |a| format!(", control at http://{a}"));
        output.line(
            format!("APNs simulator at {}{trust}{faults}; end it with ctrl-c", handle.addr()),
            &json!({
                "listening": handle.addr().to_string(),
                "management": handle.management_addr().map(|a| a.to_string()),
                "control": control,
                "ca": ca,
            }),
        );
    };
    let counts = skein_apns_sim::run(simulator(arguments)?, ready).map_err(|error| match error {
        RunError::Start(
            error @ (StartError::Listen { .. } | StartError::File { .. } | StartError::Faults(_)),
        ) => Failure::Usage(error.to_string()),
        error => Failure::Failed(anyhow!(error)),
    })?;
    let json = counts.to_json();
    output.line(
        format!(
            "{} requests, {} accepted, {} connections",
            counts.requests, counts.accepted, counts.connections
        ),
        &json,
    );
    Ok(Exit::Done)
}

fn simulator(arguments: SimulateApns) -> Result<SimulatorConfig, Failure> {
    let faults = faults(&arguments)?;
    let rules = arguments.rules.as_deref().map_or_else(|| Ok(Rules::default()), rules)?;
    let keys = arguments.keys.iter().map(|key| signing_key(key)).collect::<Result<_, _>>()?;
    let default = SimulatorConfig::default();
    let mut names = default.names;
    names.extend(arguments.names);
    let log = arguments
        .log
        .map_or_else(LogMode::default, |path| LogMode::File { path, rows_max: ROWS_MAX_DEFAULT });
    Ok(SimulatorConfig {
        listen: arguments.listen,
        control: arguments.control,
        threads: usize::from(arguments.threads),
        environment: match arguments.environment {
            Environment::Production => skein_apns_sim::Environment::Production,
            Environment::Sandbox => skein_apns_sim::Environment::Sandbox,
        },
        names,
        ca_out: arguments.ca_out,
        ca_key: arguments.ca_key,
        management: arguments.management,
        strictness: rules.strictness,
        certificates: rules.certificates,
        broadcast: rules.broadcast,
        tokens: TokenPolicy {
            lenient: arguments.lenient_tokens || rules.tokens.lenient,
            keys,
            ..rules.tokens
        },
        bundle_ids: arguments.bundle_ids,
        streams_max: arguments.streams_max,
        rtt_ms: arguments.rtt_ms,
        clock_offset_s: arguments.clock_offset,
        window_bytes: arguments.window,
        log,
        faults,
        ..SimulatorConfig::default()
    })
}

fn faults(arguments: &SimulateApns) -> Result<Faults, Failure> {
    let SimulateApns { rate, every, .. } = *arguments;
    let usage = |error: FaultsError| Failure::Usage(error.to_string());
    let mut faults = match (arguments.preset.as_deref(), arguments.faults.as_deref()) {
        (Some(name), _) => preset(name, rate, every).map_err(usage)?,
        (None, Some(name @ ("none" | "realistic" | "everything"))) => {
            preset(name, None, None).map_err(usage)?
        }
        (None, Some(file)) => from_file(file)?,
        (None, None) => Faults::default(),
    };
    faults.seed = arguments.seed.unwrap_or(faults.seed);
    Ok(faults)
}

fn rules(file: &Path) -> Result<Rules, Failure> {
    let usage = |error: String| Failure::Usage(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
    Rules::from_toml(&text).map_err(|error| usage(error.to_string()))
}

fn signing_key(named: &str) -> Result<ProviderKey, Failure> {
    let usage = |error: String| Failure::Usage(format!("--key: {error}"));
    let mut parts = named.splitn(3, ':');
    let (Some(key), Some(team), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(usage(
            "name the key's id, the team's id and the .p8 file, with colons between".to_owned(),
        ));
    };
    let pem = fs::read(file).map_err(|error| usage(format!("{file}: {error}")))?;
    ProviderKey::from_p8(key, team, None, &pem).map_err(|error| usage(format!("{file}: {error}")))
}

fn from_file(file: &str) -> Result<Faults, Failure> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read {file}; name a TOML file, or none, realistic or everything"));
    let text = text.map_err(|error| Failure::Usage(format!("{error:#}")))?;
    Faults::from_toml(&text).map_err(|error| Failure::Usage(format!("{file}: {error}")))
}
