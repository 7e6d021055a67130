//! `skein completions`

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::args::Arguments;
use crate::exit::Exit;
use crate::output::Output;

/// Prints the script.
pub fn run(shell: Shell, output: Output) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "skein", &mut script);
    output.raw(&String::from_utf8_lossy(&script));
    Exit::Done
}
