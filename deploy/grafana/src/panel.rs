//! One panel as a part of a picture: a number, curves with axes and legend, or a table.

use std::fmt::Write as _;

use crate::{
    Kind, Panel,
    answer::Curve,
    unit::{shown, steps},
};

/// Curves of a panel that are drawn and named; a legend of more could not be read.
const CURVES_MAX: usize = 10;
/// Rows of a table, and stats side by side.
const ROWS_MAX: usize = 8;
const STATS_MAX: usize = 4;
/// Labels that a table does not need: they are the same in each row.
const DULL: [&str; 2] = ["__name__", "job"];
/// Width of a letter of the legend, in pixels.
const LETTER: f64 = 6.2;
const MARGIN: f64 = 12.0;

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// Draws the panel into its frame; `span`: first and last second of the picture.
pub fn draw(panel: &Panel, curves: &[Curve], frame: Frame, span: (f64, f64)) -> String {
    let Frame { x, y, width, height } = frame;
    let mut out = format!(
        "<rect class=\"p\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"6\"/>\
         <text class=\"t\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\n",
        x + MARGIN,
        y + 21.0,
        escaped(&panel.title),
    );
    // A number is of now: a series that has ended has none.
    let since = if panel.kind == Kind::Timeseries { span.0 } else { span.1 - gap(span) };
    let is_shown = |curve: &&Curve| curve.points.last().is_some_and(|(second, _)| *second >= since);
    let curves: Vec<&Curve> = curves.iter().filter(is_shown).collect();
    if curves.is_empty() {
        let _ = writeln!(
            out,
            "<text class=\"s m\" x=\"{:.0}\" y=\"{:.0}\">no data in this time</text>",
            x + width / 2.0,
            y + height / 2.0
        );
        return out;
    }
    out + &match panel.kind {
        Kind::Stat => stats(panel, &curves, frame),
        Kind::Table => table(&curves, frame),
        Kind::Timeseries => plot(panel, &curves, frame, span),
    }
}

/// Points further apart than this many seconds have something missing between them.
fn gap((from, to): (f64, f64)) -> f64 {
    2.5 * (to - from) / crate::picture::POINTS as f64
}

fn stats(panel: &Panel, curves: &[&Curve], Frame { x, y, width, height }: Frame) -> String {
    let mut out = String::new();
    let shown_ones = &curves[..curves.len().min(STATS_MAX)];
    let each = width / shown_ones.len() as f64;
    for (n, curve) in shown_ones.iter().enumerate() {
        let middle = x + each * (n as f64 + 0.5);
        let number = curve.latest().map(|value| shown(value, &panel.unit)).unwrap_or_default();
        let _ = writeln!(
            out,
            "<text class=\"n m\" x=\"{middle:.0}\" y=\"{:.0}\">{}</text><text class=\"s m\" x=\"{middle:.0}\" y=\"{:.0}\">{}</text>",
            y + height * 0.62,
            escaped(&number),
            y + height - 12.0,
            escaped(&curve.name),
        );
    }
    out
}

fn table(curves: &[&Curve], Frame { x, y, width, .. }: Frame) -> String {
    let mut columns: Vec<&String> = curves.iter().flat_map(|curve| curve.labels.keys()).collect();
    columns.sort();
    columns.dedup();
    columns.retain(|column| !DULL.contains(&column.as_str()));
    let each = (width - 2.0 * MARGIN) / columns.len().max(1) as f64;
    let mut out = String::new();
    let mut cell = |row: usize, column: usize, class: &str, text: &str| {
        let (at, line) = (x + MARGIN + each * column as f64, y + 46.0 + 22.0 * row as f64);
        let _ = write!(out, "<text class=\"{class}\" x=\"{at:.0}\" y=\"{line:.0}\">{}</text>", escaped(text));
    };
    for (n, column) in columns.iter().enumerate() {
        cell(0, n, "s", column);
        for (row, curve) in curves.iter().take(ROWS_MAX).enumerate() {
            cell(row + 1, n, "l", curve.labels.get(*column).map_or("", String::as_str));
        }
    }
    out + "\n"
}

fn plot(panel: &Panel, curves: &[&Curve], frame: Frame, (from, to): (f64, f64)) -> String {
    let curves = &curves[..curves.len().min(CURVES_MAX)];
    let (legend, lines) = legend(panel, curves, frame);
    let left = frame.x + 74.0;
    let right = frame.x + frame.width - MARGIN;
    let top = frame.y + 38.0;
    let bottom = frame.y + frame.height - 34.0 - 18.0 * lines as f64;
    let greatest = curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let ticks = steps(if greatest > 0.0 { greatest } else { 1.0 }, 4);
    let top_value = *ticks.last().unwrap_or(&1.0);
    let level = |value: f64| bottom - (bottom - top) * (value / top_value).clamp(0.0, 1.0);
    let place = |second: f64| left + (right - left) * (second - from) / (to - from);
    let mut out = String::new();
    for tick in &ticks {
        let (y, text) = (level(*tick), escaped(&shown(*tick, &panel.unit)));
        let _ = write!(
            out,
            "<path class=\"g\" d=\"M{left:.0} {y:.1}H{right:.0}\"/><text class=\"s e\" x=\"{:.0}\" y=\"{:.1}\">{text}</text>",
            left - 8.0,
            y + 4.0,
        );
    }
    for minute in 0..=((to - from) / 60.0) as usize {
        let x = place(from + minute as f64 * 60.0).min(right - 12.0);
        let _ =
            write!(out, "<text class=\"s m\" x=\"{x:.0}\" y=\"{:.0}\">{minute} min</text>", bottom + 17.0);
    }
    for (n, curve) in curves.iter().enumerate() {
        let _ = write!(out, "\n<path class=\"c k{n}\" d=\"");
        // A gap in what was scraped is a gap in the curve.
        let gap = gap((from, to));
        let mut before = f64::NEG_INFINITY;
        for (second, value) in &curve.points {
            let pen = if second - before > gap { 'M' } else { 'L' };
            let _ = write!(out, "{pen}{:.0} {:.1}", place(*second), level(*value));
            before = *second;
        }
        out.push_str("\"/>");
    }
    out + "\n" + &legend
}

/// The legend's lines below the curves, and how many.
fn legend(panel: &Panel, curves: &[&Curve], Frame { x, y, width, height }: Frame) -> (String, usize) {
    let names = curves.iter().map(|curve| {
        let latest = curve.latest().map(|value| shown(value, &panel.unit)).unwrap_or_default();
        format!("{}: {latest}", curve.name)
    });
    let (mut out, mut at, mut line) = (Vec::new(), 0.0, 0);
    for (n, name) in names.enumerate() {
        let wide = 26.0 + LETTER * name.chars().count() as f64;
        if at > 0.0 && at + wide > width - 2.0 * MARGIN {
            (at, line) = (0.0, line + 1);
        }
        out.push((n, name, at, line));
        at += wide;
    }
    let lines = line + 1;
    let mut text = String::new();
    for (n, name, at, line) in out {
        let (at, y) = (x + MARGIN + at, y + height - 10.0 - 18.0 * (lines - 1 - line) as f64);
        let _ = write!(
            text,
            "<path class=\"c k{n}\" d=\"M{at:.0} {:.0}h12\"/><text class=\"l\" x=\"{:.0}\" y=\"{y:.0}\">{}</text>",
            y - 4.0,
            at + 16.0,
            escaped(&name),
        );
    }
    (text + "\n", lines)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
