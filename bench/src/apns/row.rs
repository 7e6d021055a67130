//! The row that a run of the APNs client ends in.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

/// Figures are medians of the rounds; CPU is microseconds a notification of one whole process, memory a peak in 10^6 bytes.
/// Null is what this run cannot know: nothing about another server but its answers, no rival that could not be had.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the keys are the row's contract, told above and in docs/figures/apns.md")]
pub struct Row {
    pub bench: &'static str,
    pub payload_bytes: u32,
    pub in_flight: u32,
    pub connections: u64,
    pub delay_ms: Option<u64>,
    pub rtt_ms: Option<u64>,
    pub window: Option<u32>,
    pub rate: u32,
    pub notifications: u64,
    pub rounds: u32,
    pub cpu_us: Option<f64>,
    pub server_cpu_us: Option<f64>,
    pub per_second: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p99_over_hold_ms: Option<f64>,
    pub streams_used: Option<f64>,
    pub rss_mb: Option<f64>,
    pub inversions: Option<u64>,
    pub lost: u64,
    pub in_doubt: u64,
    pub vs: BTreeMap<&'static str, Option<Compared>>,
    pub seed: u64,
    pub commit: String,
}

/// A rival in the same run.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// What it says it is.
    pub version: String,
    /// Its CPU a notification.
    pub cpu_us: Option<f64>,
    /// Its rate.
    pub per_second: Option<f64>,
    /// Our CPU over its.
    pub ratio: Option<f64>,
}

impl Row {
    /// Whether a promise was broken.
    pub fn is_broken(&self) -> bool {
        self.lost > 0 || self.inversions.is_some_and(|count| count > 0)
    }
}

/// For people.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut line = |name: &str, value: String| writeln!(text, "{name:<26}{value}");
        let known = |value: Option<f64>, unit: &str| {
            value
                .map_or_else(|| "unknown".to_owned(), |value| format!("{value} {unit}").trim_end().to_owned())
        };
        let pace =
            if self.rate == 0 { "as fast as it goes".to_owned() } else { format!("{} a second", self.rate) };
        line(
            "notifications",
            format!("{} × {} rounds, {} bytes, {pace}", self.notifications, self.rounds, self.payload_bytes),
        )?;
        line("in flight, connections", format!("{}, {}", self.in_flight, self.connections))?;
        line("CPU a notification", known(self.cpu_us, "µs"))?;
        line("server's CPU", known(self.server_cpu_us, "µs"))?;
        line("rate", known(self.per_second, "a second"))?;
        line("latency p50, p99", format!("{}, {}", known(self.p50_ms, "ms"), known(self.p99_ms, "ms")))?;
        line("p99 beyond server's hold", known(self.p99_over_hold_ms, "ms"))?;
        line(
            "streams used",
            known(self.streams_used.map(|share| (share * 1000.0).round() / 10.0), "% of the limit"),
        )?;
        line("memory", known(self.rss_mb, "MB"))?;
        let inversions = self.inversions.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        line("lost, inversions", format!("{}, {inversions}", self.lost))?;
        for (name, compared) in &self.vs {
            let text = match compared {
                None => "left out".to_owned(),
                Some(them) => format!(
                    "{}, {}; ours costs {} of it ({})",
                    known(them.cpu_us, "µs"),
                    known(them.per_second, "a second"),
                    known(them.ratio, "×"),
                    them.version
                ),
            };
            line(&format!("beside {name}"), text)?;
        }
        write!(f, "{}commit {}, seed {}", text, self.commit, self.seed)
    }
}
