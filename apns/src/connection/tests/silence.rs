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
