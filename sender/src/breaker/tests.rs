//! The breaker's rules: what stops a pool, what does not, and how it comes back.

use super::*;

const T0: BootMillis = BootMillis(0);

#[test]
fn p5_stops_probes_and_resumes() {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.allows(10, T0), 10);
    assert_eq!(breaker.answered(PoolAction::Pause, false, 1, T0), Change::Stopped);
    assert_eq!(breaker.answered(PoolAction::Pause, false, 1, T0), Change::None, "the alarm is raised once");
    assert_eq!(breaker.allows(10, BootMillis(500)), 0);
    let probe = breaker.next_probe().unwrap();
    assert_eq!(breaker.allows(10, probe), 1);
    breaker.began();
    assert_eq!(breaker.allows(10, probe), 0, "one probe at a time");
    assert_eq!(breaker.answered(PoolAction::None, true, 2, probe), Change::Resumed);
    assert_eq!(breaker.allows(10, probe), 10);
}

#[test]
fn pauses_between_probes_grow_to_their_bound() {
    let mut breaker = Breaker::default();
    breaker.answered(PoolAction::Pause, false, 1, T0);
    let mut now = T0;
    let mut pauses = Vec::new();
    for connection in 2..12 {
        let probe = breaker.next_probe().unwrap();
        pauses.push(probe.since(now));
        now = probe;
        breaker.began();
        assert_eq!(breaker.answered(PoolAction::Pause, false, connection, now), Change::None);
    }
    assert_eq!((pauses[0], pauses[1], pauses[9]), (PAUSE_MIN, PAUSE_MIN * 2, PAUSE_MAX));
}

#[test]
fn many_bad_tokens_mean_wrong_settings() {
    let mut breaker = Breaker::default();
    for n in 1..SUSPECT_RUN_MAX {
        assert_eq!(breaker.answered(PoolAction::SuspectSettings, false, 1, T0), Change::None, "{n}");
    }
    assert_eq!(breaker.answered(PoolAction::SuspectSettings, false, 1, T0), Change::Stopped);

    let mut half = Breaker::default();
    let stopped = (0..SUSPECT_WINDOW).any(|n| {
        let action = if n % 4 == 0 { PoolAction::None } else { PoolAction::SuspectSettings };
        half.answered(action, n % 4 == 0, 1, T0) == Change::Stopped
    });
    assert!(stopped, "three of four are refused");

    let mut calm = Breaker::default();
    for n in 0..10_000 {
        let action = if n % 3 == 0 { PoolAction::SuspectSettings } else { PoolAction::None };
        assert_eq!(calm.answered(action, n % 3 != 0, 1, T0), Change::None);
    }
}

#[test]
fn a_second_connection_that_refuses_the_credential_stops_the_pool() {
    let mut breaker = Breaker::default();
    for _ in 0..1000 {
        assert_eq!(breaker.answered(PoolAction::SuspectCredential, false, 7, T0), Change::None);
    }
    assert_eq!(breaker.answered(PoolAction::None, true, 8, T0), Change::None, "it was the connection's");
    assert_eq!(breaker.answered(PoolAction::SuspectCredential, false, 9, T0), Change::None);
    assert_eq!(breaker.answered(PoolAction::SuspectCredential, false, 10, T0), Change::Stopped);
    breaker.began();
    assert_eq!(breaker.answered(PoolAction::SuspectCredential, false, 11, T0), Change::None);
    assert!(breaker.next_probe().is_some(), "the probe failed: the next one waits");
}

#[test]
fn connections_that_each_refuse_the_credential_after_a_while_stop_the_pool() {
    let mut breaker = Breaker::default();
    let mut lives = |connections: std::ops::Range<u32>| {
        let mut changes = connections.map(|connection| {
            breaker.answered(PoolAction::None, true, connection, T0);
            breaker.answered(PoolAction::SuspectCredential, false, connection, T0)
        });
        changes.all(|change| change == Change::None)
    };
    assert!(lives(1..4));
    assert!(!lives(4..5), "the fourth in a row");
    assert!(!lives(5..6), "a probe was accepted and its connection refused later: no better");
    let mut breaker = Breaker::default();
    for connection in 1..1_000 {
        breaker.answered(PoolAction::None, true, connection, T0);
        if connection % 4 > 0 {
            let change = breaker.answered(PoolAction::SuspectCredential, false, connection, T0);
            assert_eq!(change, Change::None, "one of four was good to its end");
        }
    }
}

#[test]
fn a_probe_that_is_lost_is_tried_again() {
    let mut breaker = Breaker::default();
    breaker.answered(PoolAction::Pause, false, 1, T0);
    let probe = breaker.next_probe().unwrap();
    breaker.began();
    breaker.answered(PoolAction::None, false, 2, probe);
    assert!(breaker.next_probe().is_some());
}
