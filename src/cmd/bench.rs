//! `skein bench …`, and the processes it starts.

use skein_bench::{Bench, Part, apns, pipeline, plan, run_part, waiting};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Measures, and prints one row. `settings` go to the sender under measurement.
pub fn run(bench: &Bench, settings: &[String], output: Output) -> Result<Exit, Failure> {
    match bench {
        Bench::Pipeline(arguments) => {
            let row = pipeline::run(arguments, settings)?;
            let void = row.void();
            let text = serde_json::to_string_pretty(&row).map_err(anyhow::Error::from)?;
            output.line(text, &row);
            if let Some(void) = void {
                eprintln!("{void}");
                return Ok(Exit::Away);
            }
        }
        Bench::Waiting(arguments) => {
            let row = waiting::run(arguments, settings)?;
            let text = serde_json::to_string_pretty(&row).map_err(anyhow::Error::from)?;
            output.line(text, &row);
        }
        Bench::Plan(arguments) => {
            let row = plan::run(arguments)?;
            let text = serde_json::to_string_pretty(&row).map_err(anyhow::Error::from)?;
            output.line(text, &row);
        }
        Bench::Apns(arguments) => {
            let row = apns::run(arguments)?;
            output.line(&row, &row);
            if row.is_broken() {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Done)
}

/// Runs one process of a measurement.
pub fn run_one(part: &Part, output: Output) -> Result<Exit, Failure> {
    output.raw(&format!("{}\n", run_part(part)?));
    Ok(Exit::Done)
}
