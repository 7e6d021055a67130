//! What seeds have found in the true build, each as the smallest script that broke a promise, played under many seeds: the
//! script says what happens, the seed when exactly and how fast. `SKEIN_SEED=n` plays one seed of it and tells it.

use skein_simulation::apns::Mood;
use skein_simulation::flaw::Flaw;
use skein_simulation::run;
use skein_simulation::script::{Fault, Script};

/// Under how many seeds each script is played.
const SEEDS: u64 = 60;

fn keeps_its_promises(script: &Script) {
    if let Some(seed) = std::env::var("SKEIN_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let report = run::play(Script { seed, ..script.clone() }, Flaw::None, true);
        assert!(report.broken.is_none(), "{report:#?}");
        return;
    }
    let broken = run::all(0..SEEDS, |seed| {
        let script = Script { seed, ..script.clone() };
        run::play(script, Flaw::None, false).broken.map(|broken| format!("seed {seed}: {broken:?}"))
    });
    assert!(broken.is_empty(), "{} of {SEEDS}: {broken:#?}", broken.len());
}

/// A queue was handed over cleanly; its new owner wrote, was killed, and restarted in place. The note of the hand-over was taken
/// for the word of the killed life, so what it had written was written again and not recorded as a possible copy.
#[test]
fn p3_a_clean_note_says_nothing_of_a_life_that_came_after_it() {
    keeps_its_promises(&Script {
        seed: 0,
        members: 2,
        shards: 2,
        queues: [4, 1],
        tokens: 10,
        messages: 81,
        gap: 120,
        prefetch: 3,
        restart_grace: 500,
        held_max: 113,
        mood: Mood::Stormy,
        repeats: 6,
        orderly: false,
        faults: vec![
            (2_307, Fault::Drain { member: 1, millis: 2_305 }),
            (2_637, Fault::Kill { member: 0, polls: 11, back: Some(271), lock: true }),
        ],
    });
}

/// A killed owner's commit was late: its successor looked up, found nothing, wrote a possible copy and was killed before it could
/// record that; then the commit landed, and the third owner found a verdict that says nothing of a copy.
#[test]
fn p3_a_late_commit_does_not_hide_the_copy_of_a_second_owner_that_died() {
    keeps_its_promises(&Script {
        seed: 0,
        members: 4,
        shards: 1,
        queues: [1, 2],
        tokens: 5,
        messages: 106,
        gap: 156,
        prefetch: 26,
        restart_grace: 118,
        held_max: 71,
        mood: Mood::Stormy,
        repeats: 3,
        orderly: false,
        faults: vec![
            (2_784, Fault::LateCommits { by: 2_243, millis: 7_025 }),
            (5_772, Fault::KillOwner { queue: 0, polls: 24, back: Some(66), lock: true }),
            (6_172, Fault::KillOwner { queue: 0, polls: 16, back: Some(883), lock: true }),
        ],
    });
}

/// A retry was held until a time of the wall clock; that was set back by a quarter of an hour, and so long it waited.
#[test]
fn p1_a_wall_clock_that_is_set_back_holds_no_retry() {
    keeps_its_promises(&Script {
        seed: 0,
        members: 3,
        shards: 2,
        queues: [3, 2],
        tokens: 8,
        messages: 41,
        gap: 158,
        prefetch: 13,
        restart_grace: 488,
        held_max: 54,
        mood: Mood::Stormy,
        repeats: 6,
        orderly: false,
        faults: vec![(1_323, Fault::Skew { member: 0, ahead: -794_219 })],
    });
}

/// A queue was handed over cleanly to a sender that could not reach the broker, and then not the coordinator either. Its session ran
/// out, another had the queue, wrote and was killed; the first attached at last, by the word that it had heard at the beginning: nobody else
/// writes, nothing is in doubt. What the other had written was written again and not recorded as a possible copy.
#[test]
fn p3_what_was_said_of_a_predecessor_does_not_outlive_the_session_it_was_said_in() {
    keeps_its_promises(&Script {
        seed: 0,
        members: 2,
        shards: 1,
        queues: [1, 1],
        tokens: 6,
        messages: 160,
        gap: 120,
        prefetch: 20,
        restart_grace: 500,
        held_max: 100,
        mood: Mood::Calm,
        repeats: 0,
        orderly: false,
        faults: vec![
            (2_000, Fault::CutBroker { member: 0, millis: 7_400, told: false }),
            (2_050, Fault::Move { queue: 0, to: 0 }),
            (2_700, Fault::CutCoordinator { member: 0, millis: 20_000 }),
            (9_200, Fault::KillOwner { queue: 0, polls: 12, back: None, lock: true }),
        ],
    });
}

/// An owner was killed while commits were late: its successor in place, by the kernel's word, had asked what was repeated before the verdict
/// of a marked copy became durable. The copy was looked up and settled; its original, which came after it, was written again.
#[test]
fn p3_a_copy_s_late_verdict_keeps_its_original_from_being_written() {
    keeps_its_promises(&Script {
        seed: 0,
        members: 2,
        shards: 1,
        queues: [1, 1],
        tokens: 8,
        messages: 120,
        gap: 80,
        prefetch: 20,
        restart_grace: 500,
        held_max: 100,
        mood: Mood::Calm,
        repeats: 60,
        orderly: false,
        faults: vec![
            (1_100, Fault::LateCommits { by: 300, millis: 6_000 }),
            (1_200, Fault::LateDeliveries { by: 600, millis: 6_000 }),
            (2_000, Fault::KillOwner { queue: 0, polls: 12, back: Some(20), lock: true }),
            (3_600, Fault::KillOwner { queue: 0, polls: 12, back: Some(20), lock: true }),
            (5_200, Fault::KillOwner { queue: 0, polls: 12, back: Some(20), lock: true }),
        ],
    });
}
