//! What a connection says of its own pace: the ground on which their number is decided.

use super::*;

/// Sends and answers `count` requests, one after the other, each `ms` on its way.
fn exchange(bench: &mut Bench, count: u32, payload_bytes: usize, ms: u64) {
    for _ in 0..count {
        let id = bench.machine.streams.next_id();
        assert!(bench.send(0, payload_bytes));
        bench.flush();
        bench.now += Duration::from_millis(ms);
        bench.recv(&window_update(0, payload_bytes as u32)).unwrap();
        bench.recv(&reply(id, "200", b"")).unwrap();
    }
}

#[test]
fn a_small_window_and_a_long_way_bound_the_rate() {
    let mut bench = Bench::ready(1_000);
    assert_eq!(bench.machine.per_second(), None, "nothing is known yet");
    exchange(&mut bench, 3, 1_500, 150);
    let per_second = bench.machine.per_second().unwrap();
    assert!((285.0..=292.0).contains(&per_second), "{per_second}");
    bench.recv(&window_update(0, 1 << 20)).unwrap();
    assert!(bench.machine.per_second().unwrap() > 4_000.0, "a window that has been seen counts");
}

#[test]
fn few_streams_and_a_slow_server_bound_the_rate() {
    let mut bench = Bench::ready(100);
    exchange(&mut bench, 50, 100, 50);
    let per_second = bench.machine.per_second().unwrap();
    assert!((1_950.0..=2_050.0).contains(&per_second), "{per_second}");
    bench.recv(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)])).unwrap();
    assert!(bench.machine.per_second().unwrap() <= 20.5);
}

#[test]
fn the_round_trip_is_known_from_the_acknowledged_settings() {
    let mut bench = Bench::new(config(false));
    assert_eq!(bench.machine.round_trip(), None);
    bench.now += Duration::from_millis(70);
    let mut acknowledged = settings(&[]);
    frame(&mut acknowledged, kind::SETTINGS, flag::ACK, 0, &[]);
    bench.recv(&acknowledged).unwrap();
    assert_eq!(bench.machine.round_trip(), Some(Duration::from_millis(70)));
    exchange(&mut bench, 1, 10, 90);
    assert_eq!(bench.machine.round_trip(), Some(Duration::from_millis(70)), "the shortest");
}
