//! The page as a whole, and its parts as they are replaced while it is open.

use super::words::{many, text};
use super::{charts, credentials, glance, plan, queues, senders};
use crate::api::{Fleet, History};

/// The whole page.
pub(super) fn whole(fleet: &Fleet, history: &History) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{}</title>
<link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/page/page.css">
<script src="/page/page.js" defer></script>
</head>
<body>
{}
</body>
</html>
"#,
        title(fleet),
        parts(fleet, history)
    )
}

/// What the tab says: alarms first, since it is often all that is seen.
fn title(fleet: &Fleet) -> String {
    match fleet.alarms.len() {
        0 => "Skein: health of the fleet".to_owned(),
        n => format!("({n}) Skein: {}", many(n, "alarm", "alarms")),
    }
}

/// What changes.
pub(super) fn parts(fleet: &Fleet, history: &History) -> String {
    let part = |name: &str, heading: &str, body: String| {
        format!(
            "<section data-part=\"{name}\" aria-labelledby=\"{name}-h\"><h2 id=\"{name}-h\">{heading}</h2>\n{body}</section>\n"
        )
    };
    let counted = |heading: &str, n: usize| format!("{heading} <span class=\"count\">{n}</span>");
    [
        header(fleet),
        "<main>\n".to_owned(),
        format!(
            "<section data-part=\"glance\" aria-label=\"At a glance\" aria-live=\"polite\">\n{}</section>\n",
            glance::html(fleet)
        ),
        part("charts", &charts::heading(history), charts::html(fleet, history)),
        part("senders", &counted("Senders", fleet.senders.len()), senders::html(fleet, history)),
        part("queues", &counted("Queues", fleet.queues.len()), queues::html(fleet)),
        part("credentials", "Credentials", credentials::html(fleet)),
        part("plan", "The plan, and why", plan::html(fleet)),
        "</main>\n".to_owned(),
    ]
    .concat()
}

fn header(fleet: &Fleet) -> String {
    let monitor = &fleet.monitor;
    let leads = match (monitor.leads, monitor.row.first()) {
        (true, _) => "leads".to_owned(),
        (false, Some(leader)) => format!("{} leads", text(leader)),
        (false, None) => "nobody leads".to_owned(),
    };
    format!(
        "<header><h1><img src=\"/page/icon.svg\" alt=\"\">Skein</h1>\
         <span class=\"of\" data-part=\"monitor\" data-at=\"{}\" data-title=\"{}\">{}: {leads}, {} in the row</span>\
         <span class=\"link\"><span id=\"link\" role=\"status\">as served</span> <span id=\"clock\" aria-hidden=\"true\"></span></span></header>\n",
        text(fleet.at),
        text(title(fleet)),
        text(&monitor.name),
        monitor.row.len()
    )
}
