//! Order, holding and removal in lanes; and a random walk against a plain model.

use super::*;

fn token(n: u8) -> DeviceToken {
    DeviceToken::from_bytes(&[n]).unwrap()
}

fn t(ms: u64) -> BootMillis {
    BootMillis(ms)
}

#[test]
fn p2_one_begun_a_token() {
    let mut lanes = Lanes::default();
    for n in 1..=3 {
        lanes.enter(&token(1), n);
    }
    lanes.enter(&token(2), 10);
    let (first, item) = lanes.begin().unwrap();
    assert_eq!(*item, 1);
    assert_eq!(*lanes.begin().unwrap().1, 10);
    assert!(lanes.begin().is_none(), "2 waits for 1");
    assert_eq!(lanes.finish(first), Some(1));
    assert_eq!(lanes.finish(first), None, "2 has not begun");
    assert_eq!(*lanes.begin().unwrap().1, 2);
    assert_eq!(lanes.len(), 3);
}

#[test]
fn a_held_head_blocks_its_lane_alone() {
    let mut lanes = Lanes::default();
    lanes.enter(&token(1), 1);
    lanes.enter(&token(1), 2);
    let (id, _) = lanes.begin().unwrap();
    lanes.hold(id, t(100));
    lanes.enter(&token(2), 10);
    assert_eq!(*lanes.begin().unwrap().1, 10);
    assert!(lanes.begin().is_none());
    assert_eq!(lanes.next_due(), Some(t(100)));
    lanes.wake(t(99));
    assert!(lanes.begin().is_none());
    lanes.wake(t(100));
    assert_eq!(*lanes.begin().unwrap().1, 1);
    assert_eq!(lanes.next_due(), None);
}

#[test]
fn removal_spares_what_has_begun() {
    let mut lanes = Lanes::default();
    for n in 1..=4 {
        lanes.enter(&token(1), n);
    }
    lanes.enter(&token(2), 20);
    let (id, _) = lanes.begin().unwrap();
    assert_eq!(lanes.remove_where(|n| n % 2 == 0 || *n == 1), [2, 4, 20]);
    assert_eq!(lanes.finish(id), Some(1));
    assert_eq!(*lanes.begin().unwrap().1, 3);
    assert_eq!(lanes.waiting_of(&token(2)).count(), 0);
    assert_eq!(lanes.len(), 1);
}

#[test]
fn removing_a_held_head_lets_the_next_begin() {
    let mut lanes = Lanes::default();
    lanes.enter(&token(1), 1);
    lanes.enter(&token(1), 2);
    let (id, _) = lanes.begin().unwrap();
    lanes.hold(id, t(100));
    assert_eq!(lanes.remove_where(|n| *n == 1), [1]);
    assert_eq!(*lanes.begin().unwrap().1, 2);
    lanes.wake(t(1000));
    assert!(lanes.begin().is_none(), "the old hold wakes nothing");
}

#[test]
fn what_waits_in_a_lane_can_be_changed_and_what_has_begun_cannot() {
    let mut lanes = Lanes::default();
    for n in 1..=3 {
        lanes.enter(&token(1), n);
    }
    assert_eq!(lanes.waiting_of(&token(1)).map(|n| *n).collect::<Vec<_>>(), [1, 2, 3]);
    lanes.begin();
    lanes.waiting_of(&token(1)).for_each(|n| *n += 10);
    assert_eq!(lanes.remove_where(|_| true), [12, 13]);
    assert_eq!(lanes.waiting_of(&token(2)).count(), 0);
}

#[test]
fn p2_random_walk_keeps_every_token_s_order() {
    for seed in 1..200_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut lanes: Lanes<(u8, u32)> = Lanes::default();
        let (mut entered, mut finished) = ([0_u32; 5], [0_u32; 5]);
        let mut begun: Vec<(LaneId, u8)> = Vec::new();
        let mut now = 0;
        for _ in 0..600 {
            match next(6) {
                0 | 1 => {
                    let k = next(5) as u8;
                    lanes.enter(&token(k), (k, entered[usize::from(k)]));
                    entered[usize::from(k)] += 1;
                }
                2 | 3 => {
                    if let Some((id, (k, n))) = lanes.begin() {
                        assert_eq!(*n, finished[usize::from(*k)], "seed {seed}: out of order");
                        assert!(begun.iter().all(|(_, other)| other != k), "seed {seed}: two begun");
                        begun.push((id, *k));
                    }
                }
                4 if !begun.is_empty() => {
                    let (id, k) = begun.swap_remove(next(begun.len() as u64) as usize);
                    assert!(lanes.finish(id).is_some());
                    finished[usize::from(k)] += 1;
                }
                5 if !begun.is_empty() => {
                    let (id, _) = begun.swap_remove(next(begun.len() as u64) as usize);
                    if next(2) == 0 { lanes.hold(id, t(now + next(20))) } else { lanes.put_back(id) }
                }
                _ => {
                    now += 3;
                    lanes.wake(t(now));
                }
            }
            let waiting = entered.iter().sum::<u32>() - finished.iter().sum::<u32>();
            assert_eq!(lanes.len(), waiting as usize, "seed {seed}");
        }
    }
}
