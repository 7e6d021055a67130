//! What a plan of full size costs, and how even it is.

use std::time::Instant;

use serde_json::json;
use skein_test_site::run::{Run, commit};
use skein_tests::figures;

use crate::{
    bounds::{Figure, compare},
    takeover::quantile_ms,
};

#[path = "../../../core/tests/plan_scale/fleet.rs"]
mod full_size;

use full_size::{MEMBERS, QUEUES, Scale};

/// Row `plan`: the load of the busiest against the mean, and what moves when one is lost.
#[test]
fn a_plan_of_full_size_is_even_and_moves_little() {
    let run = Run::new("plan", 3, 51);
    let (mut plans, mut moves_max, mut worst_percent) = (Vec::new(), 0, 0);
    for number in 0..run.runs {
        let mut fleet = Scale::new(run.seed.wrapping_add(number));
        let mut timed = |work: &mut dyn FnMut()| {
            let began = Instant::now();
            work();
            plans.push(began.elapsed().as_nanos() as u64);
        };
        timed(&mut || fleet.give_out());
        worst_percent = worst_percent.max(fleet.worst_percent());
        fleet.lose(number as usize * 5 % MEMBERS);
        let mut moves = 0;
        timed(&mut || moves = fleet.step());
        moves_max = moves_max.max(moves);
    }
    let row = json!({
        "row": run.row,
        "runs": run.runs,
        // How long a plan takes: its share of a takeover. Nothing is sent here.
        "takeover_ms": {
            "p50": quantile_ms(&plans, 0.5),
            "p95": quantile_ms(&plans, 0.95),
            "max": quantile_ms(&plans, 1.0),
        },
        "gap_ms": { "p50": null, "p99": null, "max": null },
        "moves": moves_max,
        "lost": 0,
        "inversions": 0,
        "double_writers": 0,
        "duplicates": 0,
        "possible_copies": 0,
        "seed": run.seed,
        "commit": commit(),
        "started": run.started,
    });
    eprintln!("{row}");
    figures::append("fleet", &row).unwrap();
    let figures = [
        (Figure::PlanMax, quantile_ms(&plans, 1.0)),
        (Figure::Busiest, Some(worst_percent as f64)),
        (Figure::Moves, Some(moves_max as f64)),
    ];
    compare(run.row, &figures);
    assert!(worst_percent <= 115, "the busiest carries {worst_percent} % of the mean");
    assert!(moves_max <= QUEUES / MEMBERS + 1, "{moves_max} queues move when one sender is lost");
}
