//! The plan and why: what is about to be done, what is held back, what operators wish, and what was done.

use std::fmt::Write as _;

use skein_core::fleet::{Wanted, Wish};

use super::words::{badge, known, text, time};
use crate::api::{Fleet, Move};

/// Most of what was done on the page; the API lists more.
const DONE_SHOWN_MAX: usize = 20;

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
        let rows = fleet.plan.moves.iter().map(|planned| (String::from("next"), planned));
        table(&mut html, "About to be done", rows);
    }
    let done = fleet.done.iter().take(DONE_SHOWN_MAX);
    let rows: Vec<(String, &Move)> = done.map(|done| (time(done.at), &done.change)).collect();
    if !rows.is_empty() {
        html.push_str("<p></p>\n");
        table(&mut html, "Done, the latest first", rows.into_iter());
    }
    html
}

fn wished(wish: &Wish) -> String {
    let what = match &wish.wanted {
        Wanted::Drain { member } => format!("drain {member}"),
        Wanted::Undrain { member } => format!("undrain {member}"),
        Wanted::Pause { queue } => format!("pause {queue}"),
        Wanted::Resume { queue } => format!("resume {queue}"),
        Wanted::Move { queue, to } => format!("move {queue} to {to}"),
        Wanted::Rebalance => "rebalance".to_owned(),
        Wanted::ReleaseHold => "release the hold".to_owned(),
    };
    format!("{} <span class=\"quiet\">by {}, {}</span>", text(what), text(&wish.by), text(wish.at))
}

fn list(html: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let items: String = items.map(|item| format!("<li>{item}</li>\n")).collect();
    if !items.is_empty() {
        let _ = write!(html, "<h3>{heading}</h3>\n<ul class=\"plain\">\n{items}</ul>\n");
    }
}

fn table<'a>(html: &mut String, caption: &str, rows: impl Iterator<Item = (String, &'a Move)>) {
    let _ = write!(
        html,
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{caption}\"><table class=\"stack\"><caption>{caption}</caption>\n<thead><tr>\
         <th scope=\"col\">When (UTC)</th><th scope=\"col\">Queue</th><th scope=\"col\">Change</th>\
         <th scope=\"col\">From</th><th scope=\"col\">To</th><th scope=\"col\">Why</th></tr></thead>\n<tbody>\n"
    );
    for (at, change) in rows {
        let _ = writeln!(
            html,
            "<tr><td>{at}</td><th scope=\"row\">{}</th><td>{}</td><td data-label=\"From\">{}</td><td data-label=\"To\">{}</td>\
             <td class=\"why\" data-label=\"Why\">{}</td></tr>",
            text(&change.queue),
            text(&change.change),
            known(change.from.as_ref()),
            known(change.to.as_ref()),
            text(&change.why),
        );
    }
    html.push_str("</tbody></table></div>\n");
}
