//! What the producer was told against what the simulator saw and the ledger holds.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use skein_apns_sim::checker::{self, Confirmed, History, Ids, Report};
use skein_apns_sim::log::read_file;

use crate::median::percentile;
use crate::submissions;

/// What a run's history says.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The history checker's word.
    pub(crate) report: Report,
    /// From submission to the answer's last byte, in milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Reads the producer's list and the simulator's log, and holds them against each other.
pub(crate) fn check(list: &Path, log: &Path, possible_copies: &Ids) -> Result<Checked> {
    let submissions = submissions::read(list)?;
    let log = read_file(log)?;
    let mut answered: HashMap<u128, u64> = HashMap::with_capacity(submissions.len());
    for row in &log.rows {
        if let (Some(200), Some(at)) = (row.status(), row.written_ns()) {
            answered.entry(row.id()).or_insert(at);
        }
    }
    let mut took: Vec<u64> = submissions
        .iter()
        .filter_map(|submission| {
            Some(answered.get(&submission.confirmed.id)?.saturating_sub(submission.submitted_ns))
        })
        .collect();
    took.sort_unstable();
    let ms = |share| percentile(&took, share).unwrap_or(0) as f64 / 1e6;
    let confirmed: Vec<Confirmed> = submissions.iter().map(|submission| submission.confirmed).collect();
    let history =
        History { confirmed: &confirmed, log: &log, verdicts: None, possible_copies, writers: None };
    Ok(Checked { report: checker::check(&history), p50_ms: ms(0.5), p99_ms: ms(0.99) })
}
