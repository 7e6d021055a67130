//! What holds after every row, and the row of figures.

use std::{collections::HashMap, time::Duration};

use serde_json::json;
use skein_apns_sim::checker::{Confirmed, History, Writers, check};
use skein_test_site::{
    books::Books,
    load::{Load, Sent},
    run::{Run, commit},
};
use skein_tests::{figures, until};

use crate::{
    bounds::{Figure, compare},
    member::Life,
    rig::{END_LIMIT, QUEUES, Rig},
    takeover::{Costs, Fault, quantile_ms},
    timeline::Timeline,
};

/// How long what was confirmed may take to its verdict once the faults are over.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// A sender that writes for a queue, is succeeded and writes again within this time was not succeeded: no queue goes to and fro
/// that fast in any row.
const ALTERNATION_MAX: Duration = Duration::from_millis(300);
/// Hexadecimal digits in a row that only a raw device token has.
const TOKEN_DIGITS: usize = 64;

/// Whether anything may be written twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// A sender died, froze or was cut off: what it had written is in doubt.
    Possible,
    /// Everybody left in order: nothing.
    None,
}

/// How a row's samples are taken.
pub enum Measure {
    /// From each fault to the next owner's first request.
    NextOwner,
    /// The longest pause of each queue within this time of each fault: where it is open whether the owner changes.
    LongestPause(Duration),
}

/// What is left when a row is over.
pub struct Judged {
    /// What the producer was told is accepted.
    pub sent: Vec<Sent>,
    /// Who wrote when.
    pub timeline: Timeline,
}

impl Judged {
    /// Of what was made between two instants, for these queues, and sent at all (not superseded, not for a token that is gone):
    /// percent that APNs read so soon after.
    pub fn in_time_percent(
        &self,
        from_ns: u64,
        to_ns: u64,
        soon: Duration,
        of: impl Fn(u16) -> bool,
    ) -> Option<f64> {
        let mut read: HashMap<u128, u64> = HashMap::new();
        for write in self.timeline.queues.values().flatten() {
            let first = read.entry(write.id).or_insert(write.at_ns);
            *first = write.at_ns.min(*first);
        }
        let (mut all, mut in_time) = (0_u32, 0_u32);
        for sent in self.sent.iter().map(|sent| &sent.confirmed) {
            let made_ns = self.timeline.made_ns(sent.id);
            if !(from_ns..to_ns).contains(&made_ns) || !of(self.timeline.queue_of(sent.token)) {
                continue;
            }
            let Some(read_ns) = read.get(&sent.id) else { continue };
            all += 1;
            in_time += u32::from(*read_ns <= made_ns + soon.as_nanos() as u64);
        }
        (all > 0).then(|| 100.0 * f64::from(in_time) / f64::from(all))
    }
}

/// Ends the traffic and the fleet, checks P1, P2, P3 and P9 and that no queue had two writers, and appends the row.
pub async fn judge(
    mut rig: Rig,
    run: &Run,
    load: Load,
    faults: &[Fault],
    measure: Measure,
    moves: usize,
    copies: Copies,
) -> Judged {
    let slots = load.slots().clone();
    let sent = load.finish().await;
    let settled = settled(&rig, sent.len()).await;
    end(&mut rig).await;
    let log = rig.site.simulator.log();
    let lives: Vec<Vec<Life>> = rig.senders.iter().map(|sender| sender.lives.clone()).collect();
    let timeline = Timeline::new(&log, &slots, QUEUES, lives);
    let costs = match measure {
        Measure::NextOwner => Costs::of(faults, &timeline),
        Measure::LongestPause(within) => Costs::of_pauses(faults, &timeline, within),
    };
    let wall_offset_ns = i128::from(log.wall_offset_ms) * 1_000_000;
    costs.tell_slowest(run.row, wall_offset_ns);
    let books = Books::read(&rig.ledger, &rig.database).await;
    let confirmed: Vec<Confirmed> = sent.iter().map(|sent| sent.confirmed).collect();
    let history = History {
        confirmed: &confirmed,
        log: &log,
        verdicts: Some(&books.verdicts),
        possible_copies: &books.possible_copies,
        writers: None,
    };
    let report = check(&history);
    let alone = timeline.for_writers(&log);
    let writers = check(&History {
        log: &alone,
        writers: Some(&Writers {
            sender_of: &|connection| timeline.writers.get(&connection.number).map(|writer| writer.code()),
            queue_of: &|fingerprint| u32::from(timeline.queue_of(fingerprint)),
            alternation_max: ALTERNATION_MAX,
        }),
        ..history
    });
    let [takeover, gap] = [&costs.takeovers, &costs.gaps];
    let row = json!({
        "row": run.row,
        "runs": run.runs,
        "takeover_ms": {
            "p50": quantile_ms(takeover, 0.5),
            "p95": quantile_ms(takeover, 0.95),
            "max": quantile_ms(takeover, 1.0),
        },
        "gap_ms": { "p50": quantile_ms(gap, 0.5), "p99": quantile_ms(gap, 0.99), "max": quantile_ms(gap, 1.0) },
        "moves": moves,
        "lost": report.lost,
        "inversions": report.inversions,
        "double_writers": writers.double_writers,
        "duplicates": report.duplicates,
        "possible_copies": books.possible_copies.len(),
        "seed": run.seed,
        "commit": commit(),
        "started": run.started,
    });
    let escaped = timeline.escaped();
    let flushes = timeline.flushes_after_a_thaw();
    eprintln!("{row} of {} submitted; {} writes after a thaw", sent.len(), escaped.len());
    figures::append("fleet", &row).unwrap();
    let wrong = report.lost + report.inversions + writers.double_writers;
    let figures = [
        (Figure::TakeoverP50, quantile_ms(takeover, 0.5)),
        (Figure::TakeoverP95, quantile_ms(takeover, 0.95)),
        (Figure::TakeoverMax, quantile_ms(takeover, 1.0)),
        (Figure::GapP99, quantile_ms(gap, 0.99)),
        (Figure::GapMax, quantile_ms(gap, 1.0)),
        (Figure::Moves, Some(moves as f64)),
        (Figure::MovesARound, Some(moves as f64 / run.runs as f64)),
        (Figure::Duplicates, Some(report.duplicates as f64)),
        (Figure::Flushes, Some(flushes as f64)),
        (Figure::Wrong, Some(wrong as f64)),
    ];
    compare(run.row, &figures);
    complaints(&rig, run.row);
    assert!(settled, "P1: {} of {} have a verdict; {report}", books.verdicts.len(), sent.len());
    assert!(report.is_clean(), "P1, P2, P3: {report}");
    assert_eq!(writers.double_writers, 0, "two senders wrote for one queue at once: {writers}");
    assert_eq!(report.unconfirmed, 0, "all that was written was confirmed to the producer");
    books.assert_identity(&sent, &log);
    let unrecorded = escaped.iter().filter(|write| !books.possible_copies.contains(&write.id)).count();
    assert_eq!(unrecorded, 0, "P3: of {} writes that escaped a thawed sender", escaped.len());
    assert!(
        flushes <= 1,
        "a thawed sender flushed {flushes} times on one connection before it found its gate shut"
    );
    assert_eq!(costs.missing, 0, "queues that nobody took over");
    if copies == Copies::None {
        assert_eq!(report.duplicates, 0, "an orderly end writes nothing twice: {report}");
        assert_eq!(books.possible_copies.len(), 0, "an orderly end leaves nothing in doubt");
    }
    Judged { sent, timeline }
}

/// Waits until each of so many has a verdict; `false` if that takes too long.
pub async fn settled(rig: &Rig, count: usize) -> bool {
    let all = async || {
        let sql = format!("SELECT count(*) >= {count} FROM skein.final");
        let rows = rig.ledger.query(&rig.database, &sql).await.ok()?;
        (rows[0][0].as_deref() == Some("t")).then_some(())
    };
    until("every verdict", SETTLE_LIMIT, all).await.is_ok()
}

/// SIGTERM to every sender that runs; each ends with 0.
pub async fn end(rig: &mut Rig) {
    let mut ending: Vec<_> = rig.senders.iter_mut().filter(|sender| sender.is_running()).collect();
    for sender in &mut ending {
        sender.terminate();
    }
    for sender in ending {
        let code = sender.ended(END_LIMIT).await;
        assert_eq!(code, Some(0), "{} is drained and ends with 0; its log: {}", sender.name, sender.log());
    }
}

/// Keeps every process's log in `target/fleet-logs/` if `SKEIN_TEST_KEEP` is set; shows the senders' errors.
fn complaints(rig: &Rig, row: &str) {
    if std::env::var_os("SKEIN_TEST_KEEP").is_some() {
        let folder = skein_tests::target_folder().join("fleet-logs");
        std::fs::create_dir_all(&folder).unwrap();
        let senders = rig.senders.iter().map(|sender| (&sender.name, sender.log()));
        let monitors = rig.monitors.iter().map(|monitor| (&monitor.name, monitor.log()));
        for (name, log) in senders.chain(monitors) {
            std::fs::write(folder.join(format!("{row}-{name}.log")), log).unwrap();
        }
    }
    for sender in &rig.senders {
        let log = sender.log();
        for line in log.lines().filter(|line| line.contains(r#""level":"ERROR""#)) {
            eprintln!("{}: {line}", sender.name);
        }
        let mut words = log.split(|c: char| !c.is_ascii_hexdigit());
        assert!(
            !words.any(|word| word.len() >= TOKEN_DIGITS),
            "P9: a device token in the log of {}",
            sender.name
        );
    }
}
