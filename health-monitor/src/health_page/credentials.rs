//! The credentials: of each pool, as each sender has it. Nothing here is secret.

use std::fmt::Write as _;

use super::senders::health;
use super::words::{badge, known, text};
use crate::api::{Credential, Fleet};

/// From so few days on, the end of a certificate is marked.
const DAYS_SOON: u64 = 30;

pub(super) fn html(fleet: &Fleet) -> String {
    if fleet.credentials.is_empty() {
        return "<p class=\"none\">No sender has said which credentials it has.</p>\n".to_owned();
    }
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"credentials-h\"><table class=\"stack\"><thead><tr>\
         <th scope=\"col\">Pool</th><th scope=\"col\">Sender</th><th scope=\"col\">Environment</th>\
         <th scope=\"col\">Topics</th><th scope=\"col\">Kind</th><th scope=\"col\">Days left</th>\
         <th scope=\"col\">Breaker</th><th scope=\"col\">APNs</th><th scope=\"col\">State</th></tr></thead>\n<tbody>\n",
    );
    for credential in &fleet.credentials {
        let report = &credential.report;
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td data-label=\"Sender\">{}</td><td data-label=\"Environment\">{}</td>\
             <td data-label=\"Topics\">{}</td><td data-label=\"Kind\">{}</td><td data-label=\"Days left\">{}</td>\
             <td data-label=\"Breaker\">{}</td><td data-label=\"APNs\">{}</td><td data-label=\"State\">{}</td></tr>",
            text(&credential.pool),
            text(&credential.member),
            known(Some(&report.environment).filter(|text| !text.is_empty())),
            known(Some(report.topics.join(", ")).filter(|text| !text.is_empty())),
            known(report.kind.as_ref()),
            days(credential),
            breaker(credential),
            health(Some(credential.apns)),
            known(Some(report.state.replace('_', " ")).filter(|text| !text.is_empty())),
        );
    }
    html.push_str("</tbody></table></div>\n");
    for credential in &fleet.credentials {
        let troubles = [&credential.report.paused, &credential.report.trouble];
        for trouble in troubles.into_iter().flatten() {
            let _ = writeln!(
                html,
                "<p class=\"legend\">{} at {}: {}</p>",
                text(&credential.pool),
                text(&credential.member),
                text(trouble)
            );
        }
    }
    html
}

fn days(credential: &Credential) -> String {
    match credential.report.days_left {
        None if credential.report.kind.as_deref() == Some("token") => {
            "<span class=\"quiet\">no end</span>".to_owned()
        }
        None => known(None::<&str>),
        Some(0) => badge("bad", "ends today"),
        Some(days) if days < DAYS_SOON => badge("warn", days),
        Some(days) => text(days),
    }
}

fn breaker(credential: &Credential) -> String {
    match &credential.report.paused {
        None => badge("well", "closed"),
        Some(_) => badge("bad", "open"),
    }
}
