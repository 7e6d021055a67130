//! Other clients on the same kind of server: their processes, and what they cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client::Pushed;
use super::server::Server;
use crate::arguments::{Apns, Rival};
use crate::process::{Process, Usage};
use crate::traffic::{TOPIC, Traffic};

const LIMIT: Duration = Duration::from_secs(600);
/// Where the bare `h2` client is, and where it is built, below the top folder.
const MANIFEST: &str = "bench/peers/rust/Cargo.toml";
const BUILT: &str = "target/peers";
const REFUSED_MAX: u64 = 100;
const PAYLOAD: &str = "payload.json";

/// One round of a rival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
}

/// A rival that can run.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) rival: Rival,
    /// What it says it is.
    pub(crate) version: String,
    program: PathBuf,
}

impl Ready {
    /// Finds it, or builds it; tells on standard error why it cannot be had.
    pub(crate) fn find(rival: Rival, arguments: &Apns) -> Option<Self> {
        let found = match rival {
            Rival::H2load => Ok(PathBuf::from("h2load")),
            Rival::H2 => arguments.h2_bin.clone().map_or_else(built, Ok),
        };
        let ready = found.and_then(|program| {
            let asked = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
            let output = asked.with_context(|| format!("cannot start {}", program.display()))?;
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Ok(Self { rival, version, program })
        });
        let told = ready.map_err(|error| match rival {
            Rival::H2load => format!("h2load is left out: {error:#}; install the package nghttp2-client"),
            Rival::H2 => format!("h2 is left out: {error:#}; name its binary with --h2-bin"),
        });
        told.map_err(|why| eprintln!("{why}")).ok()
    }

    /// Runs it once.
    pub(crate) fn measure(&self, arguments: &Apns, server: &mut Server, folder: &Path) -> Result<Measured> {
        let all = match self.rival {
            Rival::H2load => h2load_arguments(arguments, server, folder)?,
            Rival::H2 => super::client_arguments(arguments, server),
        };
        let name = self.rival.label();
        let mut process = Process::start_program(name, &self.program, folder, all, &[])?;
        let usage = process.wait(LIMIT, || server.check_alive())?;
        let wanted = arguments.load.notifications;
        let (accepted, per_second) = match self.rival {
            Rival::H2load => {
                h2load_outcome(&process.output()?).context("what h2load prints is not understood")?
            }
            Rival::H2 => {
                let pushed: Pushed = process.last_line()?;
                (pushed.accepted, super::rate(&pushed))
            }
        };
        // h2load opens streams before the server's first SETTINGS say one: up to 99 of them are refused.
        ensure!(accepted + REFUSED_MAX >= wanted, "{name} got only {accepted} of {wanted} through");
        Ok(Measured { cpu_us: per(usage, accepted), per_second })
    }
}

/// Microseconds of CPU for each.
pub(crate) fn per(usage: Usage, count: u64) -> f64 {
    usage.cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Builds the bare `h2` client in a workspace of its own.
fn built() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let top = here.ancestors().find(|folder| folder.join(MANIFEST).is_file());
    let top = top.with_context(|| format!("{MANIFEST} is not at or above {}", here.display()))?;
    let target = top.join(BUILT);
    let binary = target.join("release/h2-client");
    if !binary.is_file() {
        eprintln!("building the bare h2 client in {BUILT}; the first time that takes minutes");
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--quiet", "--bin", "h2-client", "--manifest-path"]);
    let status = cargo.arg(top.join(MANIFEST)).arg("--target-dir").arg(&target).stdin(Stdio::null()).status();
    ensure!(status.context("cannot start cargo")?.success(), "cargo cannot build it");
    Ok(binary)
}

/// One payload, one token and one id for all: h2load can't do otherwise, which makes its headers shorter than ours.
fn h2load_arguments(arguments: &Apns, server: &Server, folder: &Path) -> Result<Vec<String>> {
    let load = &arguments.load;
    let traffic = Traffic::new(load.seed);
    let payload = folder.join(PAYLOAD);
    fs::write(&payload, traffic.payload_of(0, load.payload_bytes as usize))?;
    let connections = load.connections.max(1);
    let mut all = vec!["-t1".to_owned(), format!("-c{connections}"), format!("-n{}", load.notifications)];
    all.push(format!("-m{}", load.in_flight.div_ceil(connections)));
    all.push(format!("-d{}", payload.display()));
    if load.rate > 0 {
        all.push(format!("--rps={}", load.rate / connections));
    }
    let headers = [
        format!("authorization: bearer {}", token_unsigned()?),
        format!("apns-topic: {TOPIC}"),
        "apns-push-type: alert".to_owned(),
        "apns-priority: 10".to_owned(),
        "apns-expiration: 1999999999".to_owned(),
        "apns-id: 0192aaaa-bbbb-7ccc-8ddd-000000000001".to_owned(),
    ];
    all.extend(headers.into_iter().map(|header| format!("-H{header}")));
    all.push(format!("https://{}/3/device/{}", server.target(), traffic.token_hex(0)));
    Ok(all)
}

/// A provider token of today whose signature is none: the simulator, told no key, verifies none.
fn token_unsigned() -> Result<String> {
    let issued = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"ABCDE12345"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"TEAM123456","iat":{issued}}}"#));
    Ok(format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64])))
}

/// How many it got through, and how many a second.
fn h2load_outcome(output: &str) -> Option<(u64, f64)> {
    let line = |head: &str| output.lines().find_map(|line| line.trim().strip_prefix(head));
    let (accepted, _) = line("status codes:")?.trim().split_once(' ')?;
    let (_, rate) = line("finished in ")?.split_once(", ")?;
    let (rate, _) = rate.split_once(" req/s")?;
    Some((accepted.parse().ok()?, rate.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_prints_is_read() {
        let text = "progress: 100% done\n\nfinished in 816.59ms, 244922.15 req/s, 25.47MB/s\n\
                    requests: 200000 total, 200000 started, 200000 done, 199998 succeeded, 2 failed\n\
                    status codes: 199998 2xx, 0 3xx, 2 4xx, 0 5xx\n";
        assert_eq!(h2load_outcome(text), Some((199_998, 244_922.15)));
        assert_eq!(h2load_outcome("finished"), None);
    }
}
