//! What a command prints: text for people, or JSON lines with `--json`. The only place that writes to standard output.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;
use skein_config::render_faults;

use crate::exit::Failure;

/// Where a command's results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or JSON lines.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether `--json` was asked for.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// One result: a line of text, or one JSON line.
    pub fn line(self, text: impl Display, value: &impl Serialize) {
        if self.json {
            self.value(value);
        } else {
            write(&format!("{text}\n"));
        }
    }

    /// Text of its own form, whatever was asked for: a completion script, a file to keep.
    pub fn raw(self, text: &str) {
        write(text);
    }

    /// A table, or one JSON line for each row: `rows` and `values` are the same things in the same order.
    pub fn table<const N: usize>(self, head: [&str; N], rows: &[[String; N]], values: &[impl Serialize]) {
        if self.json {
            values.iter().for_each(|value| self.value(value));
            return;
        }
        let text: String = aligned(head, rows).into_iter().map(|line| line + "\n").collect();
        write(&text);
    }

    /// Why the command failed: on standard error, or as one JSON line on standard output.
    pub fn failure(self, failure: &Failure) {
        let color = io::stderr().is_terminal();
        let text = match failure {
            Failure::Config(faults) => render_faults(faults, color),
            other => format!("{}\n", reason(other)),
        };
        if self.json {
            let faults = if let Failure::Config(faults) = failure { json!(faults) } else { json!([]) };
            self.value(&json!({"error": failure.label(), "message": text.trim_end(), "faults": faults}));
        } else {
            let _ = write!(io::stderr(), "skein: {text}");
        }
    }

    fn value(self, value: &impl Serialize) {
        let mut line = serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned());
        line.push('\n');
        write(&line);
    }
}

/// The lines of a table, head first, each column as wide as its widest cell.
pub fn aligned<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = head.map(|h| h.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    std::iter::once(line(&head.map(str::to_owned))).chain(rows.iter().map(|row| line(row))).collect()
}

/// Why a command failed, in words.
pub fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Config(faults) => render_faults(faults, false),
        Failure::Usage(why) | Failure::Away(why) => why.clone(),
        Failure::Failed(error) => format!("{error:#}"),
    }
}

/// Something to know while a command works, on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "skein: {text}");
}

/// Writes to standard output. A reader that went away (`| head`) changes nothing of what is done.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
