//! GOAWAY of every kind with 1,000 in flight: nothing is lost, what was not processed is written once more, what nobody can know is
//! exactly what the simulator read and did not answer.

use super::crowd::write_all_watched;
use super::crowd::{Fates, Kind, config, credential, rows_of, run, simulator, unanswered, write_all};
use skein_apns::{Client, NotSent};
use skein_apns_sim::Faults;
use skein_apns_sim::SimulatorConfig;
use skein_apns_sim::faults::{ConnectionFaults, GoawayData, LastStream, RequestFaults};
use skein_apns_sim::log::Snapshot;
use std::cell::Cell;

const IN_FLIGHT: usize = 1_000;
const PUSHES: u64 = 1_500;
/// Wide enough that all of them are on their way when the server leaves.
const WINDOW: u32 = 1 << 20;
/// The request of each connection that it leaves at.
const AT: u64 = 500;

fn faults(connection: ConnectionFaults, delay_ms: u64) -> Faults {
    Faults {
        request: RequestFaults { delay_ms, ..RequestFaults::default() },
        connection: ConnectionFaults { goaway_every: AT, ..connection },
        ..Faults::default()
    }
}

#[test]
fn p1_p3_every_goaway_then_a_drained_close() {
    for kind in [Kind::Certificate, Kind::Token] {
        for last in [LastStream::Current, LastStream::Zero, LastStream::Announced] {
            for (data, code) in [(GoawayData::Json, 0), (GoawayData::Text, 2), (GoawayData::Empty, 11)] {
                for twice in [false, true] {
                    let what = format!("{kind:?} {last:?} {data:?} code {code} twice {twice}");
                    let connection = ConnectionFaults {
                        goaway_data: data,
                        goaway_code: code,
                        goaway_last_stream: last,
                        goaway_twice: twice,
                        ..ConnectionFaults::default()
                    };
                    drained(kind, connection, &what);
                }
            }
        }
    }
}

fn drained(kind: Kind, connection: ConnectionFaults, what: &str) {
    let began = std::time::Instant::now();
    let simulator = simulator(SimulatorConfig {
        window_bytes: WINDOW,
        faults: faults(connection.clone(), 20),
        ..SimulatorConfig::default()
    });
    let fates = run(async {
        let mut client = Client::new(config(&simulator), credential(&simulator, kind));
        // A server that processes nothing of each connection would never be done.
        let once = connection.goaway_last_stream == LastStream::Zero;
        write_all_watched(&mut client, 0..PUSHES, IN_FLIGHT, |_| {
            if once && simulator.stats().goaways > 0 {
                simulator.set_faults(Faults::default()).unwrap();
            }
        })
        .await
    });
    let log = simulator.log();
    assert!(fates.in_doubt.is_empty(), "{what}: {} in doubt", fates.in_doubt.len());
    assert!(unanswered(&log).is_empty(), "{what}: read and not answered");
    assert!(fates.replied.values().all(|status| *status == 200), "{what}");
    // The announcing one takes all that it had read by the time of the true one.
    let gives_back = connection.goaway_last_stream != LastStream::Announced;
    assert!(!gives_back || !fates.not_sent.is_empty(), "{what}: nothing was above the last stream");
    exactly_once(&fates, &log, what);
    assert_eq!(simulator.stats().stream_limit_violations, 0, "{what}");
    assert!(simulator.stats().goaways > 0, "{what}");
    eprintln!("{what}: {} came back not sent; {:?}", fates.not_sent.len(), began.elapsed());
}

/// Each push has one reply and was processed once; each one given back was written again once for each time.
fn exactly_once(fates: &Fates, log: &Snapshot, what: &str) {
    let rows = rows_of(log);
    for key in 0..PUSHES {
        assert!(fates.replied.contains_key(&key) != fates.in_doubt.contains(&key), "{what}: P1, {key}");
        let processed = rows.get(&key).map_or(0, |rows| rows.iter().filter(|row| !row.refused()).count());
        assert_eq!(processed, 1, "{what}: {key} was processed so often");
    }
    for (key, why, evidence) in &fates.not_sent {
        assert_eq!(*why, NotSent::AboveLastStream, "{what}: {key}");
        assert!(evidence.last_stream_id.is_some_and(|last| evidence.stream > last), "{what}: {evidence:?}");
    }
    for (key, rows) in &rows {
        let given_back = fates.not_sent.iter().filter(|(other, ..)| other == key).count();
        let refused = rows.iter().filter(|row| row.refused()).count();
        assert!(
            refused <= given_back,
            "{what}: {key} was refused {refused} times and came back {given_back}"
        );
    }
}

#[test]
fn p3_a_goaway_then_a_reset_leaves_in_doubt_what_was_read_and_not_answered() {
    for kind in [Kind::Certificate, Kind::Token] {
        let mut faults = faults(ConnectionFaults::default(), 0);
        faults.request.delay_ms = 60_000;
        let simulator =
            simulator(SimulatorConfig { window_bytes: WINDOW, faults, ..SimulatorConfig::default() });
        if let Kind::Token = kind {
            // The first answer comes at once, or the stream limit stays at 1.
            simulator.set_faults(self::faults(ConnectionFaults::default(), 0)).unwrap();
        }
        let struck = Cell::new(false);
        let fates = run(async {
            let mut client = Client::new(config(&simulator), credential(&simulator, kind));
            if let Kind::Token = kind {
                write_all(&mut client, PUSHES..PUSHES + 1, 1).await;
                let mut faults = self::faults(ConnectionFaults::default(), 0);
                faults.request.delay_ms = 60_000;
                simulator.set_faults(faults).unwrap();
            }
            write_all_watched(&mut client, 0..IN_FLIGHT as u64, IN_FLIGHT, |seen| {
                // What was above the last stream has come back; the rest waits for answers that never come.
                if seen > 0 && !struck.replace(true) {
                    simulator.set_faults(Faults::default()).unwrap();
                    simulator.reset_all();
                }
            })
            .await
        });
        let log = simulator.log();
        let known = unanswered(&log);
        assert!(!known.is_empty(), "{kind:?}: nothing was read and not answered: the test tests nothing");
        assert_eq!(fates.in_doubt, known, "{kind:?}: in doubt is what the simulator read and did not answer");
        assert!(!fates.not_sent.is_empty(), "{kind:?}");
        assert_eq!(fates.replied.len() + fates.in_doubt.len(), IN_FLIGHT, "{kind:?}: P1");
        eprintln!(
            "{kind:?}: {} in doubt, the simulator's record the same; {} came back not sent",
            fates.in_doubt.len(),
            fates.not_sent.len()
        );
    }
}
