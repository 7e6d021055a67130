//! The suites against the versions in memory, which keep every promise, and against doubles that each break one.

mod broker;
mod coordinator;
mod fleet;
mod ledger;
mod submit;

/// A double's flaw, the promise it breaks, and the outcome of every promise.
type Run<F> = (F, &'static str, Vec<(&'static str, super::Outcome)>);

/// Every double is refused by the promise that it breaks, and every promise refuses one.
fn assert_each_refuses<F: std::fmt::Debug>(promises: &[&str], runs: Vec<Run<F>>) {
    let mut refusing: Vec<&str> = Vec::new();
    for (flaw, broken, outcomes) in runs {
        let outcome = outcomes.iter().find(|(promise, _)| *promise == broken);
        let refused = outcome.unwrap_or_else(|| panic!("no promise {broken}")).1.is_err();
        assert!(refused, "{flaw:?} passes {broken}");
        refusing.push(broken);
    }
    let never: Vec<_> = promises.iter().filter(|promise| !refusing.contains(promise)).collect();
    assert!(never.is_empty(), "no double shows that these can fail: {never:?}");
}
