//! What seeds have found in the true build, each as the smallest script that broke a promise, played under many seeds: the
//! script says what happens, the seed when exactly and how fast.

use skein_simulation::apns::Mood;
use skein_simulation::flaw::Flaw;
use skein_simulation::run;
use skein_simulation::script::{Fault, Script};

/// Under how many seeds each script is played.
const SEEDS: u64 = 60;

fn keeps_its_promises(script: &Script) {
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
