//! Pools that APNs fails at some members: who takes their queues, and when nobody does.

use super::*;

/// What the members that own queues say of their pool, and those that own none.
fn say(fleet: &mut Fleet, owners: Health, idle: Health) {
    for name in ["a", "b", "c"] {
        fleet.says(name, if fleet.owned_by(name) > 0 { owners } else { idle });
    }
}

/// A second each; how often a queue went from one member to another.
fn seconds(fleet: &mut Fleet, count: usize, mut each: impl FnMut(&mut Fleet, usize)) -> usize {
    let each = |second| {
        each(fleet, second);
        fleet.later(1_000);
        fleet.act()
    };
    (0..count).map(each).sum()
}

#[test]
fn whoever_is_cut_off_next_another_takes_over() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 12);
    for cut in 0..10 {
        let victim = ["a", "b", "c"].into_iter().max_by_key(|name| fleet.owned_by(name)).unwrap();
        let queues = fleet.owned_by(victim);
        fleet.says(victim, Health::CutOff);
        fleet.plan();
        fleet.later(10_000);
        assert_eq!(
            fleet.act(),
            queues,
            "cut {cut} of {victim}: two are well, though both were cut off before"
        );
        assert_eq!(fleet.owned_by(victim), 0);
        fleet.later(2_000);
        assert_eq!(fleet.act(), 0);
        fleet.says(victim, Health::Healthy);
        fleet.plan();
        fleet.later(12_000);
        assert_eq!(fleet.act(), 0);
    }
}

#[test]
fn p5_what_fails_whoever_owns_it_does_not_go_round() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 1);
    let moves = seconds(&mut fleet, 3_600, |fleet, _| say(fleet, Health::CutOff, Health::Healthy));
    assert!((5..=30).contains(&moves), "{moves} moves in an hour");
    let moves = seconds(&mut fleet, 3_600, |fleet, _| say(fleet, Health::CutOff, Health::Healthy));
    assert!(moves <= 6, "{moves} moves in the next: each of three stays away for half an hour");
}

#[test]
fn what_comes_and_goes_is_one_trouble() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
    let flicker = |second: usize| if second.is_multiple_of(3) { Health::Refused } else { Health::Healthy };
    let mut moves = seconds(&mut fleet, 10, |fleet, second| fleet.says("a", flicker(second)));
    assert_eq!(moves, 0);
    moves += seconds(&mut fleet, 4, |fleet, second| fleet.says("a", flicker(second + 10)));
    assert_eq!((moves, fleet.owned_by("a")), (2, 0), "like one that has lasted for ten seconds");
}

#[test]
fn p5_what_comes_and_goes_at_most_members_moves_nothing() {
    let mut fleet = Fleet::settled(&["a", "b", "c"], 6);
    let moves = seconds(&mut fleet, 120, |fleet, second| {
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            fleet.says(name, if second % 3 == at { Health::CutOff } else { Health::Healthy });
        }
    });
    assert_eq!(moves, 0, "it is APNs, or the credential");
}
