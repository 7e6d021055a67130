//! What the simulator's log says of a run: lost, overtaken, how full the streams were, how long answers were held.

use std::path::Path;

use anyhow::Result;
use skein_apns_sim::checker::{self, Confirmed, History, Ids, Report};
use skein_apns_sim::log::{Row, Snapshot, read_file};

use crate::median::percentile;
use crate::traffic::Traffic;

/// A run as the simulator saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The history checker's word.
    pub(crate) report: Report,
    /// 99th percentile of latency minus the time between reading the request and writing its answer, in milliseconds.
    pub(crate) p99_over_hold_ms: f64,
    /// Requests read and not answered at once, on average over the measured part.
    pub(crate) streams_mean: f64,
}

/// Reads the log of a run of `submitted` notifications, of which the last `latencies_us.len()` were measured.
pub(crate) fn seen(log: &Path, traffic: Traffic, submitted: u64, latencies_us: &[u32]) -> Result<Seen> {
    let log = read_file(log)?;
    let mut answered: Vec<Option<&Row>> = vec![None; submitted as usize];
    for row in &log.rows {
        let place = row.sequence().and_then(|number| answered.get_mut(number as usize));
        if let Some(place) = place
            && (place.is_none() || row.status() == Some(200))
        {
            *place = Some(row);
        }
    }
    let measured = &answered[(submitted as usize).saturating_sub(latencies_us.len())..];
    Ok(Seen {
        report: check(&log, traffic, &answered),
        p99_over_hold_ms: p99_over_hold_ms(measured, latencies_us),
        streams_mean: streams_mean(measured),
    })
}

/// The checker over all that was submitted. A number that the log does not know gets an id that it does not know either.
fn check(log: &Snapshot, traffic: Traffic, answered: &[Option<&Row>]) -> Report {
    let confirmed: Vec<Confirmed> = (0..)
        .zip(answered)
        .map(|(sequence, row)| Confirmed {
            id: row.map_or(u128::from(sequence), Row::id),
            token: traffic.fingerprint(traffic.single(sequence).token),
            sequence,
        })
        .collect();
    let possible_copies = &Ids::new();
    checker::check(&History { confirmed: &confirmed, log, verdicts: None, possible_copies, writers: None })
}

fn p99_over_hold_ms(measured: &[Option<&Row>], latencies_us: &[u32]) -> f64 {
    let mut over: Vec<u64> = measured
        .iter()
        .zip(latencies_us)
        .filter_map(|(row, took_us)| Some((u64::from(*took_us) * 1000).saturating_sub(hold_ns((*row)?)?)))
        .collect();
    over.sort_unstable();
    percentile(&over, 0.99).unwrap_or(0) as f64 / 1e6
}

fn streams_mean(measured: &[Option<&Row>]) -> f64 {
    let rows = || measured.iter().flatten().filter(|row| row.written_ns().is_some());
    let held: u64 = rows().filter_map(|row| hold_ns(row)).sum();
    let first = rows().map(|row| row.read_ns()).min().unwrap_or(0);
    let last = rows().filter_map(|row| row.written_ns()).max().unwrap_or(0);
    held as f64 / last.saturating_sub(first).max(1) as f64
}

fn hold_ns(row: &Row) -> Option<u64> {
    Some(row.written_ns()?.saturating_sub(row.read_ns()))
}

#[cfg(test)]
mod tests {
    use skein_apns_sim::log::NewRow;

    use super::*;

    const TRAFFIC: fn() -> Traffic = || Traffic::new(1);

    fn row(number: u64, read_ns: u64, written_ns: u64) -> Row {
        let token = TRAFFIC().fingerprint(TRAFFIC().single(number).token);
        let (status, written_ns, sequence) = (Some(200), Some(written_ns), Some(number));
        Row::from(NewRow {
            id: 1 << 64 | u128::from(number),
            token,
            sequence,
            read_ns,
            status,
            written_ns,
            delivered: true,
            ..NewRow::default()
        })
    }

    #[test]
    fn what_the_log_does_not_hold_is_lost() {
        let rows = vec![row(0, 10, 20), row(2, 30, 40)];
        let log = Snapshot { rows: rows.clone(), ..Snapshot::default() };
        let answered = [Some(&rows[0]), None, Some(&rows[1])];
        assert_eq!(check(&log, TRAFFIC(), &answered).lost, 1);
        assert_eq!(check(&log, TRAFFIC(), &[Some(&rows[0])]).lost, 0);
    }

    #[test]
    fn holds_and_streams() {
        let rows = [row(0, 1_000_000, 51_000_000), row(1, 26_000_000, 101_000_000)];
        let measured = [Some(&rows[0]), Some(&rows[1])];
        assert!((p99_over_hold_ms(&measured, &[50_500, 77_000]) - 2.0).abs() < 1e-9);
        assert!((streams_mean(&measured) - 1.25).abs() < 1e-9, "125 ms of holding in 100 ms");
    }
}
