//! The true build keeps its promises under seeded faults. `SKEIN_SEED=n` plays one seed and tells it; `SKEIN_SEEDS=n` plays so
//! many.

use skein_simulation::flaw::Flaw;
use skein_simulation::run;
use skein_simulation::script::Script;

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
    let seeds = number("SKEIN_SEEDS").unwrap_or(200);
    let mut failures = 0;
    let began = std::time::Instant::now();
    for seed in 0..seeds {
        if let Err(failure) = run::seed(seed, Flaw::None) {
            eprintln!("{failure}");
            failures += 1;
        }
    }
    eprintln!("{seeds} seeds, {failures} failures, {:?}", began.elapsed());
    assert_eq!(failures, 0);
}
