//! The plan and why: what is about to be done, what is held back, what operators wish, and what was done.

use std::fmt::Write as _;
use std::time::Duration;

use skein_core::fleet::Wish;
use skein_core::{QueueName, Timestamp};

use super::words::{badge, known, text, time};
use crate::api::{Fleet, Move};

/// Most rows of a table; the API lists more.
const ROWS_MAX: usize = 20;
/// Most queues that are named in a row.
const NAMES_MAX: usize = 8;
/// What is done within so long for the same reason is one row.
const TOGETHER: Duration = Duration::from_secs(2);

pub(super) fn html(fleet: &Fleet) -> String {
    let mut html = String::new();
    list(
        &mut html,
        "Held back",
        fleet.plan.held.iter().map(|held| {
            format!("{} {}", badge(if held.alarms { "bad" } else { "warn" }, &held.what), text(&held.why))
        }),
    );
    list(&mut html, "Wished", fleet.wishes.iter().map(wished));
    list(
        &mut html,
        "Kept out",
        fleet.quarantines.iter().map(|quarantine| {
            format!("{} by {}: {}", text(&quarantine.member), text(&quarantine.by), text(&quarantine.why))
        }),
    );
    if fleet.plan.moves.is_empty() {
        html.push_str("<p class=\"none\">Nothing is to be moved.</p>\n");
    } else {
        let planned = fleet.plan.moves.iter().map(|planned| (None, planned));
        table(&mut html, "About to be done", planned);
    }
    if !fleet.done.is_empty() {
        let done = fleet.done.iter().map(|done| (Some(done.at), &done.change));
        table(&mut html, "Done, the latest first", done);
    }
    html
}

fn wished(wish: &Wish) -> String {
    format!("{} <span class=\"quiet\">{}</span>", text(&wish.wanted), text(wish.whose()))
}

fn list(html: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let items: String = items.map(|item| format!("<li>{item}</li>\n")).collect();
    if !items.is_empty() {
        let _ = write!(html, "<h3>{heading}</h3>\n<ul class=\"plain\">\n{items}</ul>\n");
    }
}

fn table<'a>(html: &mut String, caption: &str, changes: impl Iterator<Item = (Option<Timestamp>, &'a Move)>) {
    let _ = write!(
        html,
        "<div class=\"scroll pool\" tabindex=\"0\" role=\"group\" aria-label=\"{caption}\"><table class=\"stack\"><caption>{caption}</caption>\n<thead><tr>\
         <th scope=\"col\">When (UTC)</th><th scope=\"col\">Queues</th><th scope=\"col\">Change</th>\
         <th scope=\"col\">From</th><th scope=\"col\">To</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n"
    );
    for Row { at, queues, change } in rows(changes) {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><th scope=\"row\" class=\"names\">{}</th><td>{}</td><td data-label=\"From\">{}</td><td data-label=\"To\">{}</td>\
             <td class=\"why\" data-label=\"Why\">{}</td></tr>",
            at.map_or_else(|| "next".to_owned(), time),
            names(&queues),
            text(&change.change),
            known(change.from.as_ref()),
            known(change.to.as_ref()),
            text(&change.why),
        );
    }
    html.push_str("</tbody></table></div>\n");
}

/// What was done to several queues at about the same time, for the same reason.
struct Row<'a> {
    at: Option<Timestamp>,
    queues: Vec<&'a QueueName>,
    change: &'a Move,
}

fn rows<'a>(changes: impl Iterator<Item = (Option<Timestamp>, &'a Move)>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (at, change) in changes {
        let near = |first: Option<Timestamp>| match (first, at) {
            (Some(first), Some(at)) => first.since(at) < TOGETHER,
            (first, at) => first == at,
        };
        let alike = rows.iter().position(|row| near(row.at) && is_alike(row.change, change));
        match alike {
            Some(n) => rows[n].queues.push(&change.queue),
            None if rows.len() < ROWS_MAX => rows.push(Row { at, queues: vec![&change.queue], change }),
            None => {}
        }
    }
    rows
}

/// All but the queue.
fn is_alike(a: &Move, b: &Move) -> bool {
    (&a.change, &a.from, &a.to, a.cause, &a.why) == (&b.change, &b.from, &b.to, b.cause, &b.why)
}

fn names(queues: &[&QueueName]) -> String {
    let mut sorted = queues.to_vec();
    sorted.sort();
    let mut names: Vec<String> = sorted.iter().take(NAMES_MAX).map(text).collect();
    if sorted.len() > NAMES_MAX {
        names.push(format!("and {} more", sorted.len() - NAMES_MAX));
    }
    names.join(", ")
}
