//! What each row is held against: every bound in one table, and what a row says of itself as it goes and at its end.
//!
//! A bound of time is a figure: a machine that does other work misses it, so it is told and fails nothing. What must hold on any
//! machine is asserted where it is looked at.

use std::{fs::OpenOptions, io::Write as _};

use crate::rig::{QUEUES, SESSION_TIMEOUT};

/// What is measured. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    TakeoverP50,
    TakeoverP95,
    TakeoverMax,
    GapP99,
    GapMax,
    /// Of the queues whose owner was a client of the node that died.
    GapMaxOfItsClients,
    /// Of the others.
    GapMaxOfTheOthers,
    Moves,
    /// For each round of the row.
    MovesARound,
    Duplicates,
    /// Lost, inversions and two writers at once, added up.
    Wrong,
    /// Percent of what was submitted meanwhile that APNs read within a second.
    InTime,
    /// The same, without the queues of the sender that was killed.
    InTimeOfTheOthers,
    Heals,
    /// How many flushes of one connection a thawed sender wrote for queues that were another's.
    Flushes,
    PlanMax,
    /// Percent of the mean.
    Busiest,
}

impl Figure {
    fn label(self) -> &'static str {
        match self {
            Self::TakeoverP50 => "takeover p50, ms",
            Self::TakeoverP95 => "takeover p95, ms",
            Self::TakeoverMax => "takeover max, ms",
            Self::GapP99 => "gap p99, ms",
            Self::GapMax => "gap max, ms",
            Self::GapMaxOfItsClients => "gap max of its clients, ms",
            Self::GapMaxOfTheOthers => "gap max of the others, ms",
            Self::Moves => "moves",
            Self::MovesARound => "moves a round",
            Self::Duplicates => "duplicates",
            Self::Wrong => "lost, overtaken, two writers",
            Self::InTime => "in time, %",
            Self::InTimeOfTheOthers => "in time, the others, %",
            Self::Heals => "healed after, ms",
            Self::Flushes => "flushes after a thaw",
            Self::PlanMax => "plan max, ms",
            Self::Busiest => "busiest of the mean, %",
        }
    }
}

enum Limit {
    Most(f64),
    Least(f64),
}

struct Bound {
    row: &'static str,
    figure: Figure,
    limit: Limit,
}

const fn most(row: &'static str, figure: Figure, limit: f64) -> Bound {
    Bound { row, figure, limit: Limit::Most(limit) }
}

const fn least(row: &'static str, figure: Figure, limit: f64) -> Bound {
    Bound { row, figure, limit: Limit::Least(limit) }
}

const SESSION_MS: f64 = SESSION_TIMEOUT.as_millis() as f64;

/// Of every row.
const NOTHING_WRONG: Bound = most("", Figure::Wrong, 0.0);

/// Each row's own.
const BOUNDS: &[Bound] = &[
    most("kill-restarted", Figure::TakeoverP50, 150.0),
    most("kill-restarted", Figure::TakeoverP95, 300.0),
    most("kill-restarted", Figure::Moves, 0.0),
    most("kill-gone", Figure::TakeoverP95, 1_500.0),
    most("kill-gone-no-monitor", Figure::TakeoverMax, SESSION_MS + 2_000.0),
    most("freeze", Figure::TakeoverMax, SESSION_MS + 1_500.0),
    most("freeze", Figure::Flushes, 1.0),
    most("cut-broker", Figure::GapMax, 2_000.0),
    most("cut-silent-zookeeper", Figure::TakeoverMax, SESSION_MS + 1_500.0),
    most("cut-silent-postgresql", Figure::Moves, 0.0),
    least("zookeeper-away", Figure::InTime, 99.0),
    least("zookeeper-away", Figure::InTimeOfTheOthers, 99.0),
    most("zookeeper-away", Figure::Moves, 0.0),
    most("zookeeper-away", Figure::Heals, 5_000.0),
    most("ensembles-zookeeper", Figure::GapMax, 1_000.0),
    most("ensembles-zookeeper", Figure::Moves, 0.0),
    most("ensembles-rabbitmq", Figure::GapMaxOfTheOthers, 1_000.0),
    most("ensembles-rabbitmq", Figure::GapMaxOfItsClients, 3_000.0),
    most("hand-over", Figure::GapP99, 200.0),
    most("hand-over", Figure::Duplicates, 0.0),
    most("rolling-restart", Figure::MovesARound, QUEUES as f64),
    most("rolling-restart", Figure::GapP99, 200.0),
    most("rolling-restart", Figure::Duplicates, 0.0),
    most("clock", Figure::Moves, 0.0),
    most("clock", Figure::GapP99, 200.0),
    most("clock-too-slow", Figure::TakeoverMax, 20_000.0),
    most("plan", Figure::PlanMax, 50.0),
    most("plan", Figure::Busiest, 115.0),
    most("plan", Figure::Moves, 17.0),
];

/// Tells how each of these figures stands to the row's bound, if it has one, on the error output and in
/// `target/figures/fleet-bounds.txt`: row, figure, bound, measured, held or missed.
pub fn compare(row: &str, figures: &[(Figure, Option<f64>)]) {
    for (figure, measured) in figures {
        let meant = |bound: &&Bound| bound.row == row && bound.figure == *figure;
        let bound = if *figure == Figure::Wrong { Some(&NOTHING_WRONG) } else { BOUNDS.iter().find(meant) };
        let Some(bound) = bound else { continue };
        let (limit, held) = match bound.limit {
            Limit::Most(most) => (format!("<= {most}"), measured.map(|measured| measured <= most)),
            Limit::Least(least) => (format!(">= {least}"), measured.map(|measured| measured >= least)),
        };
        let held = held.map_or("no sample", |held| if held { "held" } else { "missed" });
        let measured = measured.map_or("-".to_owned(), |measured| format!("{measured:.1}"));
        tell(
            "fleet-bounds.txt",
            &format!("{row:<24} {:<30} {limit:>10} {measured:>10}  {held}", figure.label()),
        );
    }
}

/// One line about how far a row is, on the error output and in `target/figures/fleet-progress.txt`.
pub fn progress(line: &str) {
    tell("fleet-progress.txt", line);
}

fn tell(file: &str, line: &str) {
    eprintln!("{line}");
    let folder = skein_tests::target_folder().join("figures");
    std::fs::create_dir_all(&folder).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(folder.join(file));
    file.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}
