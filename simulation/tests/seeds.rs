//! The true build keeps its promises under seeded faults. `SKEIN_SEED=n` plays one seed and tells it; `SKEIN_SEEDS=n` plays so
//! many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use skein_simulation::flaw::Flaw;
use skein_simulation::run;
use skein_simulation::script::Script;

/// How many are played unless said otherwise.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn p1_to_p5_hold_under_seeded_faults() {
    if let Some(seed) = number("SKEIN_SEED") {
        let script = Script::draw(seed);
        eprintln!("{script:#?}");
        let report = run::play(script, Flaw::None, true);
        assert!(report.broken.is_none(), "{report:#?}");
        return;
    }
    let seeds = number("SKEIN_SEEDS").unwrap_or(SEEDS);
    let sums: [AtomicUsize; 4] = Default::default();
    let began = Instant::now();
    let failures = run::all(0..seeds, |seed| match run::seed(seed, Flaw::None) {
        Ok(report) => {
            let counts = [report.accepted, report.writes, report.copies, report.lives];
            for (sum, count) in sums.iter().zip(counts) {
                sum.fetch_add(count, Ordering::Relaxed);
            }
            None
        }
        Err(failure) => {
            eprintln!("{failure}");
            Some(failure.script.seed)
        }
    });
    let [accepted, writes, copies, lives] = sums.map(AtomicUsize::into_inner);
    eprintln!(
        "{seeds} seeds in {:.1?}: {accepted} notifications, {writes} writes, {copies} written twice, {lives} lives of senders",
        began.elapsed()
    );
    assert!(failures.is_empty(), "broken by seeds {failures:?}");
}
