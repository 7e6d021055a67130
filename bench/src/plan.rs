//! `skein bench plan`: what the monitor's plan costs at full size, how even it is, and what one loss moves. It needs no service.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::arguments::Plan;
use crate::median::{percentile, tenths};
use crate::pipeline::commit;

mod scale;

use scale::{MEMBERS, QUEUES, Scale};

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `plan`.
    pub bench: &'static str,
    /// Whether the binary was built with optimisation; figures of another are no figures.
    pub optimised: bool,
    /// How many fleets were planned for.
    pub rounds: u32,
    /// Queues of each.
    pub queues: usize,
    /// Senders of each.
    pub senders: usize,
    /// A plan that gives every queue its first owner.
    pub all_new: Cost,
    /// A plan of a fleet at rest.
    pub at_rest: Cost,
    /// A plan after one sender is gone.
    pub one_loss: Cost,
    /// The busiest sender's load in percent of the mean, at worst, before and after the loss.
    pub worst_percent: u64,
    /// The most queues that one loss moved.
    pub moves: usize,
    /// How many it may move: a sender's share, and one.
    pub moves_allowed: usize,
    /// What the loads were drawn from, in the first round.
    pub seed: u64,
    /// The commit that it was built from.
    pub commit: String,
}

/// Milliseconds of a plan and of carrying it out in memory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// The median.
    pub p50_ms: f64,
    /// What 95 of 100 do not exceed.
    pub p95_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Runs it.
///
/// # Errors
/// When a fleet at rest is moved, or one is not given out whole.
pub fn run(arguments: &Plan) -> Result<Row> {
    let (mut all_new, mut at_rest, mut one_loss) = (Vec::new(), Vec::new(), Vec::new());
    let (mut worst_percent, mut moves) = (0, 0);
    for round in 0..arguments.rounds {
        let mut fleet = Scale::new(arguments.seed.wrapping_add(u64::from(round)));
        let mut timed = |costs: &mut Vec<u64>, fleet: &mut Scale| {
            let began = Instant::now();
            let moved = fleet.step();
            costs.push(began.elapsed().as_micros() as u64);
            worst_percent = worst_percent.max(fleet.worst_percent());
            moved
        };
        let given = timed(&mut all_new, &mut fleet);
        ensure!(given == QUEUES, "{given} of {QUEUES} queues are given out");
        let moved = timed(&mut at_rest, &mut fleet);
        ensure!(moved == 0, "{moved} queues of a fleet at rest are moved");
        fleet.lose(round as usize * 5 % MEMBERS);
        moves = moves.max(timed(&mut one_loss, &mut fleet));
    }
    Ok(Row {
        bench: "plan",
        optimised: !cfg!(debug_assertions),
        rounds: arguments.rounds,
        queues: QUEUES,
        senders: MEMBERS,
        all_new: Cost::of(all_new),
        at_rest: Cost::of(at_rest),
        one_loss: Cost::of(one_loss),
        worst_percent,
        moves,
        moves_allowed: QUEUES / MEMBERS + 1,
        seed: arguments.seed,
        commit: commit(),
    })
}

impl Cost {
    fn of(mut us: Vec<u64>) -> Self {
        us.sort_unstable();
        let ms = |share| tenths(percentile(&us, share).unwrap_or_default() as f64 / 1000.0);
        Self { p50_ms: ms(0.5), p95_ms: ms(0.95), max_ms: ms(1.0) }
    }
}
