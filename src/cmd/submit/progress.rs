//! Progress on a terminal; nothing where standard error is none, or with `--json`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// How often it is drawn while nothing moves.
const TICK: Duration = Duration::from_millis(200);

/// A bar, or none.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar over a file's bytes, or a count where the length is not known.
    pub fn new(length: Option<u64>, output: Output) -> Self {
        if output.is_json() || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let (bar, form) = match length {
            Some(length) => {
                (ProgressBar::new(length), "{wide_bar} {bytes}/{total_bytes}, {msg} accepted, {eta} to go")
            }
            None => (ProgressBar::no_length(), "{spinner} {msg} accepted in {elapsed}"),
        };
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style).with_message("0");
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// So far.
    pub fn moved(&self, end: u64, accepted: u64) {
        self.0.set_position(end);
        self.0.set_message(accepted.to_string());
    }

    /// Prints something without disturbing the bar.
    pub fn aside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// The end.
    pub fn done(&self) {
        self.0.finish_and_clear();
    }
}
