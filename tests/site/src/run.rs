//! What sets one run of a scenario apart: how long it is, its seed, its start, its commit.

use std::process::Command;

use skein_core::NotificationId;

use crate::load::Random;

/// One run of a scenario.
#[derive(Debug, Clone)]
pub struct Run {
    /// The scenario's name in its row of figures.
    pub row: &'static str,
    /// How many faults, hand-overs or whatever the scenario repeats.
    pub runs: u64,
    /// What reproduces what is drawn.
    pub seed: u64,
    /// What is drawn.
    pub random: Random,
    /// When it began.
    pub started: String,
}

impl Run {
    /// `quick` repetitions, or `full` with `SKEIN_FAULTS=full`. The seed comes from `SKEIN_SEED`, else from the clock.
    pub fn new(row: &'static str, quick: u64, full: u64) -> Self {
        let now = NotificationId::now().at();
        let given = std::env::var("SKEIN_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(now.as_millis() as u64);
        eprintln!("{row}: SKEIN_SEED={seed}");
        let runs = if is_full() { full } else { quick };
        Self { row, runs, seed, random: Random(seed), started: now.to_string() }
    }
}

/// Whether scenarios run at full length.
pub fn is_full() -> bool {
    std::env::var("SKEIN_FAULTS").is_ok_and(|value| value == "full")
}

/// The commit under test, as far as git tells.
pub fn commit() -> String {
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(skein_tests::workspace_folder())
        .output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
