//! Tables that follow what happens: redrawn in place on a terminal, one after another elsewhere, JSON lines with `--json`.

use std::time::Duration;

use console::Term;
use serde_json::Value;
use skein_config::format_duration;

use super::{Access, Seen};
use crate::args::Follow;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};
use crate::signals::Signals;
use crate::wiring;

/// Hides the cursor, and begins an update that the terminal shows as one, if it knows how.
const BEGIN: &str = "\x1b[?25l\x1b[?2026h";
/// Deletes what is left of the frame before, and shows the update.
const SHOW: &str = "\x1b[J\x1b[?2026l";
const CURSOR: &str = "\x1b[?25h";

/// A table's rows and what stands below it, with the same as JSON.
pub struct Cells<const N: usize> {
    /// The head.
    pub head: [&'static str; N],
    /// The rows.
    pub rows: Vec<[String; N]>,
    /// What is worth saying below it.
    pub notes: Vec<String>,
    /// The rows as JSON.
    pub values: Vec<Value>,
}

/// Shows the table once, or until Ctrl-C.
///
/// # Errors
/// When the first reading fails; later ones are told in place of the table, and tried again.
pub async fn follow<const N: usize>(
    access: &Access,
    how: &Follow,
    output: Output,
    cells: impl Fn(&Seen) -> Result<Cells<N>, Failure>,
) -> Result<Exit, Failure> {
    let first = cells(&access.see().await?)?;
    if !how.watch {
        output.table(first.head, &first.rows, &first.values);
        first.notes.iter().filter(|note| !note.is_empty()).for_each(|text| output::note(text));
        return Ok(Exit::Done);
    }
    let signals = Signals::listen().map_err(anyhow::Error::from)?;
    let mut screen = Screen::new(output);
    let mut latest = Ok(first);
    loop {
        screen.draw(&latest);
        tokio::select! {
            () = signals.ended() => break,
            () = tokio::time::sleep(how.every) => {}
        }
        latest = tokio::select! {
            () = signals.ended() => break,
            seen = access.see() => seen.and_then(|seen| cells(&seen)),
        };
    }
    screen.end();
    Ok(Exit::Done)
}

struct Screen {
    term: Term,
    output: Output,
    drawn: usize,
}

impl Screen {
    fn new(output: Output) -> Self {
        Self { term: Term::stdout(), output, drawn: 0 }
    }

    fn draw<const N: usize>(&mut self, latest: &Result<Cells<N>, Failure>) {
        let at = wiring::now();
        if self.output.is_json() {
            let value = match latest {
                Ok(cells) => serde_json::json!({"at": at, "rows": cells.values, "notes": cells.notes}),
                Err(failure) => serde_json::json!({"at": at, "error": failure.label()}),
            };
            self.output.line("", &value);
            return;
        }
        let mut lines = vec![format!("{at}   Ctrl-C ends it")];
        match latest {
            Ok(cells) => {
                lines.extend(output::aligned(cells.head, &cells.rows));
                lines.extend(cells.notes.iter().cloned());
            }
            Err(failure) => lines.push(output::reason(failure)),
        }
        if !self.term.is_term() {
            self.output.raw(&format!("{}\n\n", lines.join("\n")));
            return;
        }
        let (rows, columns) = self.term.size();
        let lines = clipped(lines, usize::from(rows), usize::from(columns));
        let up = if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\r", self.drawn) };
        let body: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        self.output.raw(&format!("{BEGIN}{up}{body}{SHOW}"));
        self.drawn = lines.len();
    }

    fn end(&self) {
        if self.term.is_term() && !self.output.is_json() {
            self.output.raw(CURSOR);
        }
    }
}

/// What fits: no line wraps, and the frame is never higher than the screen, or moving up would miss its first line.
fn clipped(mut lines: Vec<String>, rows: usize, columns: usize) -> Vec<String> {
    let room = rows.saturating_sub(1).max(2);
    if lines.len() > room {
        let more = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("… {more} more; use --pool, a higher terminal, or no --watch"));
    }
    for line in &mut lines {
        if line.chars().count() > columns {
            *line = line.chars().take(columns.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}

/// A figure, or a dash.
pub fn or_dash(figure: Option<impl ToString>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

/// A span as a person reads it: tenths of a second below ten, whole units above.
pub fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        10_000..3_600_000 => format_duration(Duration::from_secs(ms / 1000)),
        _ => format_duration(Duration::from_secs(ms / 60_000 * 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_screen() {
        let lines: Vec<String> = (0..10).map(|n| format!("line {n} with more")).collect();
        let shown = clipped(lines.clone(), 5, 8);
        assert_eq!(shown.len(), 4, "one row is left for the cursor");
        assert!(shown.iter().all(|line| line.chars().count() <= 8), "{shown:?}");
        assert!(shown[3].starts_with("… 7 more"[..].get(..3).unwrap()), "{shown:?}");
        assert_eq!(clipped(lines.clone(), 50, 200), lines);
    }

    #[test]
    fn spans() {
        assert_eq!(
            [0, 940, 9_999, 12_400, 95_000, 7_260_000].map(span),
            ["0.0s", "0.9s", "9.9s", "12s", "1m35s", "2h1m"]
        );
    }
}
