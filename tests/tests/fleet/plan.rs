//! What a plan of full size costs, and how even it is: by the binary, since a test's own build is not optimised.

use serde_json::{Value, json};
use skein_test_site::run::{Run, commit};
use skein_tests::{figures, process::skein};

use crate::bounds::{Figure, compare};

/// Row `plan`: the load of the busiest against the mean, and what moves when one is lost.
#[test]
fn a_plan_of_full_size_is_even_and_moves_little() {
    let run = Run::new("plan", 3, 51);
    let (rounds, seed) = (run.runs.to_string(), run.seed.to_string());
    let mut program = skein(["bench", "plan", "--json", "--rounds", &rounds, "--seed", &seed]).unwrap();
    let output = program.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skein bench plan ends with {}: {said}", output.status);
    let bench: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| bench[key].as_f64().unwrap();
    let max_ms = [&bench["all_new"], &bench["one_loss"]].map(|cost| cost["max_ms"].as_f64().unwrap());
    let max_ms = max_ms[0].max(max_ms[1]);
    let row = json!({
        "row": run.row,
        "runs": run.runs,
        // How long a plan takes: its share of a takeover. Nothing is sent here.
        "takeover_ms": { "p50": bench["all_new"]["p50_ms"], "p95": bench["all_new"]["p95_ms"], "max": max_ms },
        "gap_ms": { "p50": null, "p99": null, "max": null },
        "moves": bench["moves"],
        "lost": 0,
        "inversions": 0,
        "double_writers": 0,
        "duplicates": 0,
        "possible_copies": 0,
        "seed": run.seed,
        "commit": commit(),
        "started": run.started,
        "optimised": bench["optimised"],
    });
    eprintln!("{row}");
    figures::append("fleet", &row).unwrap();
    // A build without optimisation says nothing about time.
    let max_ms = bench["optimised"].as_bool().unwrap().then_some(max_ms);
    let figures = [
        (Figure::PlanMax, max_ms),
        (Figure::Busiest, Some(number("worst_percent"))),
        (Figure::Moves, Some(number("moves"))),
    ];
    compare(run.row, &figures);
    assert!(
        number("worst_percent") <= 115.0,
        "the busiest carries {} % of the mean",
        number("worst_percent")
    );
    assert!(
        number("moves") <= number("moves_allowed"),
        "{} queues move when one sender is lost",
        number("moves")
    );
}
