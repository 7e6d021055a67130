//! What a plan costs at full size: 4,096 queues and 256 senders. Prints one JSON object:
//! `cargo run --release -p skein-core --example plan_cost`.

#[path = "../../tests/plan_scale/fleet.rs"]
mod fleet;

use std::time::Instant;

use fleet::{MEMBERS, QUEUES, Scale};

/// How often each kind of plan is timed.
const RUNS: usize = 51;

fn main() {
    let mut first = Vec::new();
    let mut quiet = Vec::new();
    let mut loss = Vec::new();
    let (mut worst_percent, mut moves_max, mut after_loss) = (0, 0, 0);
    for run in 0..RUNS as u64 {
        let mut fleet = Scale::new(run);
        first.push(timed(|| fleet.give_out()));
        worst_percent = worst_percent.max(fleet.worst_percent());
        quiet.push(timed(|| assert_eq!(fleet.step(), 0)));
        fleet.lose(run as usize * 5 % MEMBERS);
        let mut moves = 0;
        loss.push(timed(|| moves = fleet.step()));
        moves_max = moves_max.max(moves);
        after_loss = after_loss.max(fleet.worst_percent());
    }
    let figures = serde_json::json!({
        "row": "plan", "runs": RUNS, "queues": QUEUES, "senders": MEMBERS,
        "plan_ms": { "all_new": summary(first), "at_rest": summary(quiet), "one_loss": summary(loss) },
        "max_over_mean_percent": worst_percent, "max_over_mean_after_loss_percent": after_loss,
        "moves": moves_max, "moves_allowed": QUEUES / MEMBERS + 1,
    });
    let mut out = std::io::stdout().lock();
    if let Err(error) = std::io::Write::write_all(&mut out, format!("{figures}\n").as_bytes()) {
        eprintln!("standard output does not take the figures: {error}");
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1000.0
}

fn summary(mut ms: Vec<f64>) -> serde_json::Value {
    ms.sort_by(f64::total_cmp);
    serde_json::json!({ "p50": ms[ms.len() / 2], "max": ms[ms.len() - 1] })
}
