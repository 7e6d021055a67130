//! `skein submit`: read → check → submit → tell.

use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use skein_config::{Config, Engine};
use skein_core::Notification;
use skein_core::wire::read_drafts;

use super::small_runtime;
use crate::args::Submit;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::wiring;

mod draft;
mod lines;
mod progress;
mod way;

use lines::{Line, Lines};
use progress::Progress;
use way::{Told, Way};

/// Most lines submitted together.
const LINES_MAX: usize = 500;
/// Most bytes of payload submitted together: with its headers it fits the gateway's usual `max_body` twice.
const BYTES_MAX: usize = 512 * 1024;

/// Submits one notification, or a file of them.
pub fn run(config: &Config, arguments: &Submit, output: Output) -> Result<Exit, Failure> {
    small_runtime()?.block_on(async {
        let pool = wiring::named(&arguments.pool)?;
        let way = if config.engine == Engine::Cluster && arguments.door.url.is_none() {
            Way::broker(config, pool).await?
        } else {
            Way::gateway(config, &arguments.door, pool).await?
        };
        let run = Run { way, output, tally: Tally::default(), began: Instant::now() };
        match &arguments.file {
            None => run.one(draft::body(arguments)?).await,
            Some(path) => {
                let (lines, length) = Lines::open(path).await?;
                run.many(lines, Progress::new(length, output)).await
            }
        }
    })
}

/// What became of everything so far.
#[derive(Debug, Default, Serialize)]
struct Tally {
    submitted: u64,
    accepted: u64,
    not_accepted: u64,
    unknown: u64,
    /// Lines that are no notification; nothing of them was submitted.
    invalid: u64,
    #[serde(skip)]
    away: bool,
}

struct Run {
    way: Way,
    output: Output,
    tally: Tally,
    began: Instant,
}

impl Run {
    async fn one(mut self, body: String) -> Result<Exit, Failure> {
        let read = read_drafts(body.as_bytes(), wiring::now());
        let notifications = read.map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Failure::Usage(format!("this is no notification:\n  {}", faults.join("\n  ")))
        })?;
        for told in self.way.submit(&notifications).await? {
            self.count(&told);
            let text = match &told.problem {
                None => format!("accepted {0}; see what became of it with: skein trace {0}", told.id),
                Some(problem) => format!("{} {}: {problem}", told.outcome.label(), told.id),
            };
            self.output.line(text, &told);
        }
        Ok(self.exit())
    }

    async fn many(mut self, mut lines: Lines, progress: Progress) -> Result<Exit, Failure> {
        let mut taken = Vec::with_capacity(LINES_MAX);
        while lines.take(&mut taken, LINES_MAX).await.context("the notifications cannot be read")? {
            let end = taken.last().map_or(0, |line| line.end);
            let (mut singles, mut bytes) = (Vec::<Notification>::new(), 0);
            for line in taken.drain(..) {
                match line.read() {
                    Ok(None) => {}
                    Ok(Some(read)) if read.len() == 1 => {
                        bytes += read[0].content.payload.len();
                        singles.extend(read);
                        if bytes > BYTES_MAX {
                            bytes = 0;
                            let full = std::mem::take(&mut singles);
                            self.submit(&full, &progress).await?;
                        }
                    }
                    // Shared content goes out as one batch, after what came before it.
                    Ok(Some(shared)) => {
                        let before = std::mem::take(&mut singles);
                        self.submit(&before, &progress).await?;
                        self.submit(&shared, &progress).await?;
                    }
                    Err(faults) => self.refuse(&line, &faults, &progress),
                }
            }
            self.submit(&singles, &progress).await?;
            progress.moved(end, self.tally.accepted);
        }
        progress.done();
        let seconds = self.began.elapsed().as_secs_f64();
        let Tally { submitted, accepted, not_accepted, unknown, invalid, .. } = self.tally;
        self.output.line(
            format!(
                "{submitted} submitted in {seconds:.1} s: {accepted} accepted, {not_accepted} not accepted, \
                 {unknown} unknown; {invalid} lines are no notification"
            ),
            &json!({"summary": self.tally, "seconds": seconds}),
        );
        Ok(self.exit())
    }

    async fn submit(&mut self, notifications: &[Notification], progress: &Progress) -> Result<(), Failure> {
        if notifications.is_empty() {
            return Ok(());
        }
        for told in self.way.submit(notifications).await? {
            self.count(&told);
            if self.output.is_json() || told.problem.is_some() {
                let problem = told.problem.as_deref().unwrap_or_default();
                let text = format!("{} {}: {problem}", told.outcome.label(), told.id);
                progress.aside(|| self.output.line(text, &told));
            }
        }
        Ok(())
    }

    fn refuse(&mut self, line: &Line, faults: &[String], progress: &Progress) {
        self.tally.invalid += 1;
        let text = format!("line {}: {}", line.number, faults.join("; "));
        let value = json!({"line": line.number, "outcome": "invalid", "faults": faults});
        progress.aside(|| self.output.line(text, &value));
    }

    fn count(&mut self, told: &Told) {
        self.tally.submitted += 1;
        match told.outcome {
            way::Outcome::Accepted => self.tally.accepted += 1,
            way::Outcome::NotAccepted => self.tally.not_accepted += 1,
            way::Outcome::Unknown => self.tally.unknown += 1,
        }
        self.tally.away |= told.away;
    }

    fn exit(&self) -> Exit {
        let tally = &self.tally;
        if tally.not_accepted + tally.unknown + tally.invalid == 0 {
            Exit::Done
        } else if tally.away && tally.accepted == 0 {
            Exit::Away
        } else {
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests;
