//! Rate, delay and backlog of the whole fleet over the last quarter of an hour, as SVG within the page.

use std::fmt::Write as _;

use skein_core::Timestamp;

use super::words::{count, rate, span, text};
use crate::api::{Fleet, HISTORY_SECONDS, History, Line};

/// Greatest width of a chart in its own units: points are gathered into at most this many columns.
const COLUMNS: usize = 300;
/// How far back a sender's small line goes.
const SPARK_SECONDS: usize = 60;
/// Height of a chart in its own units.
const HEIGHT: f64 = 100.0;
/// What a chart may show, in seconds: no more than is remembered, so that a young monitor's charts are not all emptiness.
const WINDOWS: [(usize, &str); 4] =
    [(60, "1 minute"), (180, "3 minutes"), (300, "5 minutes"), (HISTORY_SECONDS, "15 minutes")];

/// How the points of one column become one.
#[derive(Clone, Copy)]
enum Gather {
    Mean,
    Greatest,
}

/// The heading above the charts.
pub(super) fn heading(history: &History) -> String {
    format!("The last {}", window(history).1.trim_start_matches("1 "))
}

fn window(history: &History) -> (usize, &'static str) {
    let points = history.lines.iter().map(|line| line.rate.len()).max().unwrap_or(0);
    let enough = WINDOWS.into_iter().find(|(seconds, _)| *seconds >= points);
    enough.unwrap_or(WINDOWS[WINDOWS.len() - 1])
}

struct Chart {
    window: (usize, &'static str),
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    points: Vec<Option<f64>>,
    gather: Gather,
    shown: fn(f64) -> String,
    least_top: f64,
}

pub(super) fn html(fleet: &Fleet, history: &History) -> String {
    let empty = Line::default();
    let line = history.lines.iter().find(|line| line.kind == "fleet").unwrap_or(&empty);
    let window = window(history);
    let marks = marks(fleet, history, window.0);
    let charts = [
        Chart {
            window,
            id: "rate",
            name: "Rate",
            unit: "written to APNs a second",
            points: line.rate.iter().map(|p| p.map(f64::from)).collect(),
            gather: Gather::Mean,
            shown: rate,
            least_top: 10.0,
        },
        Chart {
            window,
            id: "delay",
            name: "Delay",
            unit: "from submission to the first write",
            points: line.delay_ms.iter().map(|p| p.map(f64::from)).collect(),
            gather: Gather::Greatest,
            shown: |ms| span(ms as u64),
            least_top: 100.0,
        },
        Chart {
            window,
            id: "backlog",
            name: "Backlog",
            unit: "waiting in the queues",
            points: line.backlog.iter().map(|p| p.map(|n| n as f64)).collect(),
            gather: Gather::Greatest,
            shown: |n| count(n as u64),
            least_top: 10.0,
        },
    ];
    let mut html = String::from("<div class=\"charts\">\n");
    charts.iter().for_each(|chart| chart.draw(&marks, &mut html));
    html.push_str("</div>\n");
    if !marks.is_empty() {
        html.push_str("<p class=\"legend\"><i></i>queues changed their owner</p>\n");
    }
    html
}

/// A sender's last minute, as small as a word.
pub(super) fn spark(rate: &[Option<f32>]) -> String {
    let points = &rate[rate.len().saturating_sub(SPARK_SECONDS)..];
    let before = std::iter::repeat_n(None, SPARK_SECONDS - points.len());
    let columns: Vec<Option<f64>> = before.chain(points.iter().map(|point| point.map(f64::from))).collect();
    let top = columns.iter().flatten().copied().fold(1.0, f64::max);
    let mut paths = String::new();
    for run in runs(&columns) {
        let (line, last) = traced(&run, top);
        let _ = write!(paths, "<path class=\"line\" d=\"{line}H{last}\"/>");
    }
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {SPARK_SECONDS} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{paths}</svg>"
    )
}

/// A run as a path, and where it ends: at least one column long.
fn traced(run: &[(usize, f64)], top: f64) -> (String, usize) {
    let mut line = String::new();
    for (n, (x, value)) in run.iter().enumerate() {
        let y = HEIGHT - value / top * HEIGHT;
        let _ = write!(line, "{}{x} {y:.1}", if n == 0 { 'M' } else { 'L' });
    }
    (line, run[run.len() - 1].0.max(run[0].0 + 1))
}

/// Where queues changed hands, in columns; each once.
fn marks(fleet: &Fleet, history: &History, window: usize) -> Vec<usize> {
    let end = newest(history);
    let column = |at: Timestamp| {
        let back = end.since(at).as_secs() as usize;
        (back < window).then(|| column_of(window - 1 - back, window))
    };
    let moved = |done: &&crate::api::Done| done.change.change == "assign";
    let mut marks: Vec<usize> = fleet.done.iter().filter(moved).filter_map(|done| column(done.at)).collect();
    marks.sort_unstable();
    marks.dedup();
    marks
}

fn newest(history: &History) -> Timestamp {
    let points = history.lines.iter().map(|line| line.rate.len()).max().unwrap_or(0).saturating_sub(1) as u64;
    history.from.plus(std::time::Duration::from_millis(points * history.step_ms))
}

fn column_of(second: usize, window: usize) -> usize {
    second * width(window) / window
}

/// How many columns a window has.
fn width(window: usize) -> usize {
    COLUMNS.min(window)
}

impl Chart {
    fn draw(&self, marks: &[usize], html: &mut String) {
        let columns = self.columns();
        let width = width(self.window.0);
        let now = self.points.iter().rev().take(5).flatten().next().copied();
        let most = columns.iter().flatten().copied().fold(0.0, f64::max);
        let top = round_top(most.max(self.least_top));
        let current = now.map_or_else(|| "not known".to_owned(), self.shown);
        let _ = write!(
            html,
            "<figure><figcaption><span>{name} <small>{unit}</small></span><b data-now=\"{id}\" data-value=\"{value}\">{now}</b></figcaption>\n<div class=\"plot\"><span class=\"top\" aria-hidden=\"true\">{top}</span>\
             <svg class=\"chart\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">\n",
            name = self.name,
            unit = self.unit,
            id = self.id,
            value = now.map_or_else(String::new, |value| value.to_string()),
            now = text(&current),
            top = text((self.shown)(top)),
            label = text(format!(
                "{} over the last {}: {current} now, {} at most",
                self.name,
                self.window.1,
                (self.shown)(most)
            )),
        );
        for at in [0.0, 0.5, 1.0] {
            let y = HEIGHT * at;
            let _ = writeln!(html, "<path class=\"grid\" d=\"M0 {y}H{width}\"/>");
        }
        for mark in marks {
            let _ = writeln!(html, "<path class=\"mark\" d=\"M{mark} 0V{HEIGHT}\"/>");
        }
        for run in runs(&columns) {
            let (line, last) = traced(&run, top);
            let _ = writeln!(html, "<path class=\"area\" d=\"{line}H{last}V{HEIGHT}H{}Z\"/>", run[0].0);
            let _ = writeln!(html, "<path class=\"line\" d=\"{line}H{last}\"/>");
        }
        let _ = writeln!(
            html,
            "</svg></div><div class=\"axis\" aria-hidden=\"true\"><span>{} ago</span><span>now</span></div></figure>",
            self.window.1
        );
    }

    /// One value a column, the newest at the right; nothing where nothing is known.
    fn columns(&self) -> Vec<Option<f64>> {
        let (window, _) = self.window;
        let mut sums = vec![(0.0f64, 0u32); width(window)];
        let skip = self.points.len().saturating_sub(window);
        let points = &self.points[skip..];
        let offset = window - points.len();
        for (at, value) in points.iter().enumerate() {
            let Some(value) = value else { continue };
            let (sum, n) = &mut sums[column_of(offset + at, window)];
            *sum = match self.gather {
                Gather::Mean => *sum + value,
                Gather::Greatest => sum.max(*value),
            };
            *n += 1;
        }
        let value = |(sum, n): (f64, u32)| match self.gather {
            Gather::Mean => (n > 0).then(|| sum / f64::from(n)),
            Gather::Greatest => (n > 0).then_some(sum),
        };
        sums.into_iter().map(value).collect()
    }
}

/// The stretches without a gap, each with its columns.
fn runs(columns: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut open = false;
    for (x, value) in columns.iter().enumerate() {
        match (value, open) {
            (Some(value), true) => runs.last_mut().into_iter().for_each(|run| run.push((x, *value))),
            (Some(value), false) => runs.push(vec![(x, *value)]),
            (None, _) => {}
        }
        open = value.is_some();
    }
    runs
}

/// The next round figure.
fn round_top(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|top| *top >= most)
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_what_is_known_is_a_gap_in_the_line() {
        let columns = [None, Some(1.0), Some(2.0), None, Some(3.0)];
        assert_eq!(runs(&columns), [vec![(1, 1.0), (2, 2.0)], vec![(4, 3.0)]]);
    }

    #[test]
    fn tops_are_round() {
        assert_eq!([10.0, 11.0, 20.1, 520.0, 999.0].map(round_top), [10.0, 15.0, 30.0, 600.0, 1000.0]);
    }
}
