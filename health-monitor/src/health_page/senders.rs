//! The senders, one row each.

use std::fmt::Write as _;

use skein_core::fleet::Health;

use super::words::{badge, count, known, span, text};
use crate::api::{Fleet, Lease, Sender};

pub(super) fn html(fleet: &Fleet) -> String {
    if fleet.senders.is_empty() {
        return "<p class=\"none\">No sender is there. Start one with <code>skein run sender</code>.</p>\n"
            .to_owned();
    }
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"senders-h\"><table><thead><tr>\
         <th scope=\"col\">Sender</th><th scope=\"col\">State</th><th scope=\"col\" class=\"n\">Queues</th>\
         <th scope=\"col\" class=\"n\">Rate/s</th><th scope=\"col\" class=\"n wide\">Delay</th>\
         <th scope=\"col\" class=\"n wide\">In flight</th><th scope=\"col\" class=\"n wide\">Held</th>\
         <th scope=\"col\">APNs</th><th scope=\"col\">Broker</th><th scope=\"col\" class=\"wide\">Ledger</th>\
         <th scope=\"col\" class=\"wide\">Lease</th><th scope=\"col\" class=\"wide\">Host</th><th scope=\"col\" class=\"wide\">Zone</th>\
         <th scope=\"col\" class=\"wide\">Version</th></tr></thead>\n<tbody>\n",
    );
    for sender in &fleet.senders {
        let _ = writeln!(
            html,
            "<tr data-sender=\"{id}\"><th scope=\"row\">{id}</th><td>{state}</td><td class=\"n\">{queues}</td>\
             <td class=\"n\">{rate}</td><td class=\"n wide\">{delay}</td><td class=\"n wide\">{in_flight}</td>\
             <td class=\"n wide\">{held}</td><td>{apns}</td><td>{broker}</td><td class=\"wide\">{ledger}</td><td class=\"wide\">{lease}</td>\
             <td class=\"wide\">{host}</td><td class=\"wide\">{zone}</td><td class=\"wide\">{version}</td></tr>",
            id = text(&sender.member),
            state = state(sender),
            queues = sender.queues.len(),
            rate = known(sender.per_second.map(|n| count(n.into()))),
            delay = known(sender.delay_ms.map(|ms| span(ms.into()))),
            in_flight = known(sender.in_flight.map(|n| count(n.into()))),
            held = known(sender.held.map(|n| count(n.into()))),
            apns = health(sender.apns),
            broker = health(sender.broker),
            ledger = health(sender.ledger),
            lease = lease(sender.lease),
            host = known(sender.host.as_ref()),
            zone = known(sender.zone.as_ref()),
            version = known(sender.version.as_ref()),
        );
    }
    html.push_str("</tbody></table></div>\n");
    html
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
