//! Each double is found: the simulation would notice if a rule were broken.

use skein_simulation::flaw::Flaw;
use skein_simulation::run;
use skein_simulation::script::Script;

/// In how many seeds each double must be found.
const SEEDS: u64 = 2_000;

/// Plays seeds until one breaks a promise; the true build passes that seed.
fn find(flaw: Flaw) {
    for seed in 0..SEEDS {
        let script = || Script::draw(seed);
        let Some(broken) = run::play(script(), flaw, false).broken else { continue };
        eprintln!("{}: seed {seed}: {}: {}", flaw.label(), broken.promise, broken.what);
        let truth = run::play(script(), Flaw::None, false).broken;
        assert_eq!(truth, None, "the true build passes seed {seed}");
        return;
    }
    panic!("{} was not found in {SEEDS} seeds", flaw.label());
}

#[test]
fn a_broker_that_requeues_to_the_back_is_found() {
    find(Flaw::RequeuesToTheBack);
}

#[test]
fn a_coordinator_that_assigns_twice_is_found() {
    find(Flaw::AssignsTwice);
}

#[test]
fn a_policy_without_grace_is_found() {
    find(Flaw::NoGrace);
}

#[test]
fn a_lane_with_two_in_flight_is_found() {
    find(Flaw::TwoInFlight);
}

#[test]
fn a_ledger_that_forgets_is_found() {
    find(Flaw::Forgets);
}

#[test]
fn a_ledger_that_answers_before_it_commits_is_found() {
    find(Flaw::AnswersEarly);
}

#[test]
fn a_lease_that_outlives_its_attachment_is_found() {
    find(Flaw::LeaseNeverEnds);
}

#[test]
fn a_lock_that_vouches_for_the_living_is_found() {
    find(Flaw::BelievesAllDead);
}

#[test]
fn a_seed_reproduces() {
    for seed in 0..40 {
        let again = || run::play(Script::draw(seed), Flaw::None, false);
        assert_eq!(again(), again(), "seed {seed}");
    }
}
