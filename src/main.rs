//! The one binary: arguments, wiring, signals.

mod args;
mod cmd;
mod exit;
mod gateway_client;
mod logging;
mod operator;
mod output;
mod pages_client;
mod signals;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Arguments;
use crate::exit::{Exit, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    // Before anything can speak TLS: there is one provider in the process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Exit::Failed.into();
    }
    let arguments = Arguments::parse();
    let output = Output::new(arguments.common.json);
    let ended = cmd::run(arguments, &output);
    let exit = ended.unwrap_or_else(|failure: Failure| {
        output.failure(&failure);
        failure.exit()
    });
    exit.into()
}
