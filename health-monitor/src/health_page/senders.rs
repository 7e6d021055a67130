//! The senders, one row each.

use std::fmt::Write as _;

use skein_core::fleet::Health;

use super::charts;
use super::words::{badge, count, known, span, text, time};
use crate::api::{Fleet, History, Lease, Line, Queue, QueueState, Sender};

/// Most queues of a sender that are shown by name.
const QUEUES_SHOWN_MAX: usize = 32;

const HEAD: &str = "<thead><tr><th scope=\"col\">Sender</th><th scope=\"col\">State</th><th scope=\"col\">Queues</th>\
    <th scope=\"col\" class=\"n\">Rate/s</th><th scope=\"col\" class=\"n\">Delay</th><th scope=\"col\" class=\"n\">In flight</th>\
    <th scope=\"col\" class=\"n\">Held</th><th scope=\"col\">APNs</th><th scope=\"col\">Broker</th><th scope=\"col\">Ledger</th>\
    <th scope=\"col\">Lease</th></tr></thead>\n<tbody>\n";

pub(super) fn html(fleet: &Fleet, history: &History) -> String {
    if fleet.senders.is_empty() {
        return "<p class=\"none\">No sender is there. Start one with <code>skein run sender</code>.</p>\n"
            .to_owned();
    }
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"senders-h\"><table class=\"stack\">{HEAD}"
    );
    for sender in &fleet.senders {
        let line = history.lines.iter().find(|l| l.kind == "sender" && l.name == sender.member.as_str());
        row(fleet, sender, line, &mut html);
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn row(fleet: &Fleet, sender: &Sender, line: Option<&Line>, html: &mut String) {
    let _ = writeln!(
        html,
        "<tr data-sender=\"{id}\"><th scope=\"row\">{id}<small>{place}</small></th><td>{state}</td><td class=\"chips\" data-label=\"Queues\">{queues}</td>\
         <td class=\"n\" data-label=\"Rate/s\">{rate}{spark}</td><td class=\"n\" data-label=\"Delay\">{delay}</td>\
         <td class=\"n\" data-label=\"In flight\">{in_flight}</td><td class=\"n\" data-label=\"Held\">{held}</td>\
         <td data-label=\"APNs\">{apns}</td><td data-label=\"Broker\">{broker}</td><td data-label=\"Ledger\">{ledger}</td>\
         <td data-label=\"Lease\">{lease}</td></tr>",
        id = text(&sender.member),
        state = state(sender),
        queues = queues(fleet, sender),
        rate = known(sender.per_second.map(|n| count(n.into()))),
        spark = line.map_or_else(String::new, |line| charts::spark(&line.rate)),
        delay = known(sender.delay_ms.map(|ms| span(ms.into()))),
        in_flight = known(sender.in_flight.map(|n| count(n.into()))),
        held = known(sender.held.map(|n| count(n.into()))),
        apns = health(sender.apns),
        broker = health(sender.broker),
        ledger = health(sender.ledger),
        lease = lease(sender.lease),
        place = place(sender),
    );
}

/// How many it owns, and which: to be seen moving.
fn queues(fleet: &Fleet, sender: &Sender) -> String {
    let one_pool = fleet.queues.windows(2).all(|two| two[0].queue.pool == two[1].queue.pool);
    let owned: Vec<_> =
        fleet.queues.iter().filter(|queue| queue.owner.as_ref() == Some(&sender.member)).collect();
    let chip = |queue: &&Queue| {
        let name = if one_pool { format!("q{}", queue.queue.number) } else { queue.queue.to_string() };
        let (tone, sign) = match queue.state {
            QueueState::Owned => ("", ""),
            QueueState::Settling | QueueState::Leaving => ("busy", " …"),
            QueueState::OwnerGone | QueueState::Unowned => ("bad", " !"),
            QueueState::Paused => ("warn", " ‖"),
        };
        let said = queue.state.label().replace('_', " ");
        format!(
            "<span class=\"chip {tone}\" title=\"{}: {said}\">{}{sign}</span>",
            text(&queue.queue),
            text(name)
        )
    };
    let mut chips: String = owned.iter().take(QUEUES_SHOWN_MAX).map(chip).collect();
    if owned.len() > QUEUES_SHOWN_MAX {
        let _ = write!(chips, "<span class=\"quiet\"> and {} more</span>", owned.len() - QUEUES_SHOWN_MAX);
    }
    format!("<b>{}</b> {chips}", owned.len())
}

/// Host, zone and version, in one.
fn place(sender: &Sender) -> String {
    let parts = [sender.host.as_deref(), sender.zone.as_deref(), sender.version.as_deref()];
    let parts: Vec<String> = parts.into_iter().flatten().map(text).collect();
    parts.join(" · ")
}

fn state(sender: &Sender) -> String {
    let tone = match sender.state.as_str() {
        "present" => "well",
        "joining" | "leaving" => "busy",
        "suspect" | "flapping" => "warn",
        _ => "bad",
    };
    let mut html = badge(tone, &sender.state);
    if sender.quarantined {
        html.push(' ');
        html.push_str(&badge("warn", "quarantined"));
    } else if sender.draining {
        html.push(' ');
        html.push_str(&badge("busy", "draining"));
    }
    if let Some(at) = sender.gone_at {
        let _ = write!(html, " <span class=\"quiet\">since {}</span>", time(at));
    }
    if let Some(other) = &sender.succeeds {
        let _ = write!(html, " <span class=\"quiet\">succeeds {}</span>", text(other));
    }
    html
}

pub(super) fn health(health: Option<Health>) -> String {
    let Some(health) = health else { return known(None::<&str>) };
    let tone = if health == Health::Healthy { "well" } else { "bad" };
    badge(tone, health.label())
}

fn lease(lease: Option<Lease>) -> String {
    let (tone, word) = match lease {
        None => return known(None::<&str>),
        Some(Lease::Open) => ("well", "open"),
        Some(Lease::Partly) => ("warn", "partly"),
        Some(Lease::Shut) => ("bad", "shut"),
        Some(Lease::None) => ("", "owns nothing"),
    };
    badge(tone, word)
}
