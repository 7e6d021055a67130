//! Silence: when a peer is asked, and when it is given up.

use super::*;

#[test]
fn silence_with_work_outstanding_is_probed_and_then_lost() {
    let mut bench = Bench::ready(10);
    bench.now += Duration::from_secs(100);
    assert!(bench.send(1, 10));
    bench.flush();
    bench.wait(Duration::from_millis(1499)).unwrap();
    assert!(bench.flush().is_empty());
    bench.wait(Duration::from_millis(1)).unwrap();
    let frames = bench.flush();
    assert_eq!((frames.len(), frames[0].0.kind), (1, kind::PING));
    bench.wait(Duration::from_millis(1499)).unwrap();
    assert_eq!(bench.wait(Duration::from_millis(1)), Err(Lost::Silent));
    bench.close(Lost::Silent);
    assert_eq!(bench.labels(), [(1, "silent")]);
}

#[test]
fn an_answered_ping_keeps_the_connection() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.wait(Duration::from_millis(1500)).unwrap();
    let ping = bench.flush().pop().unwrap().1;
    let mut pong = Vec::new();
    frame(&mut pong, kind::PING, flag::ACK, 0, &ping);
    bench.recv(&pong).unwrap();
    bench.wait(Duration::from_millis(1499)).unwrap();
    assert!(bench.answers.is_empty() && bench.flush().is_empty());
}

#[test]
fn an_idle_connection_is_probed_rarely() {
    let mut bench = Bench::ready(10);
    bench.wait(Duration::from_secs(3599)).unwrap();
    assert!(bench.flush().is_empty());
    bench.wait(Duration::from_secs(1)).unwrap();
    assert_eq!(bench.flush()[0].0.kind, kind::PING);
}

#[test]
fn a_suspect_takes_no_requests_until_it_answers() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    bench.wait(Duration::from_millis(1500)).unwrap();
    assert!(bench.machine.is_suspect() && bench.machine.room() == 0 && !bench.send(2, 10));
    bench.recv(&window_update(0, 1)).unwrap();
    assert!(!bench.machine.is_suspect() && bench.machine.room() == 9);
}

#[test]
fn a_peer_that_drips_is_given_up_at_the_deadlines() {
    let mut bench = Bench::ready(10);
    for key in 1..=3 {
        assert!(bench.send(key, 10));
    }
    bench.flush();
    // A PING frame, one byte a second, over and over: never silent, never an answer.
    let mut drip = Vec::new();
    frame(&mut drip, kind::PING, flag::ACK, 0, &[0; 8]);
    for byte in drip.iter().cycle().take(20) {
        bench.wait(Duration::from_secs(1)).unwrap();
        bench.recv(&[*byte]).unwrap();
    }
    assert_eq!(bench.labels(), [(1, "deadline"), (2, "deadline"), (3, "deadline")]);
    assert!(bench.machine.is_retiring());
}

#[test]
fn a_blocked_socket_does_not_hide_silence() {
    let mut bench = Bench::ready(10);
    assert!(bench.send(1, 10));
    // Nothing is ever written: the PING waits behind the request.
    bench.wait(Duration::from_millis(1500)).unwrap();
    assert_eq!(bench.wait(Duration::from_millis(1500)), Err(Lost::Silent));
    bench.close(Lost::Silent);
    assert_eq!(bench.labels(), [(1, "never_written")]);
}
