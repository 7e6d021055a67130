//! The fleet at a glance: what needs a person first, then how much there is of everything.

use std::fmt::Write as _;

use super::words::{count, many, text};
use crate::api::{Fleet, Level, QueueState};

pub(super) fn html(fleet: &Fleet) -> String {
    let mut html = String::from("<ul class=\"glance\">\n");
    for alarm in &fleet.alarms {
        let (class, word) = match alarm.level {
            Level::Critical => ("critical", "Critical"),
            Level::Warning => ("warning", "Warning"),
        };
        let _ = writeln!(
            html,
            "<li class=\"{class}\"><strong>{word}: {}</strong> <span>{}</span></li>",
            text(&alarm.what).replace('_', " "),
            text(&alarm.why)
        );
    }
    if fleet.alarms.is_empty() {
        html.push_str(
            "<li class=\"well\"><strong>All well</strong> <span>nothing needs a person</span></li>\n",
        );
    }
    let _ = writeln!(html, "</ul>\n<p class=\"summary\">{}</p>", summary(fleet));
    html
}

/// Changes seldom: it is read aloud when it does.
fn summary(fleet: &Fleet) -> String {
    let of = |state: QueueState| fleet.queues.iter().filter(|queue| queue.state == state).count();
    let present = fleet.senders.iter().filter(|sender| sender.incarnation.is_some()).count();
    let mut words = vec![
        format!("{} of {} present", count(present as u64), many(fleet.senders.len(), "sender", "senders")),
        format!(
            "{} of {} owned",
            count(of(QueueState::Owned) as u64),
            many(fleet.queues.len(), "queue", "queues")
        ),
    ];
    for (state, word) in [
        (QueueState::Settling, "settling"),
        (QueueState::Leaving, "leaving"),
        (QueueState::OwnerGone, "without their owner"),
        (QueueState::Unowned, "unowned"),
        (QueueState::Paused, "paused"),
    ] {
        if of(state) > 0 {
            words.push(format!("{} {word}", of(state)));
        }
    }
    words.push(format!("broker {}", text(&fleet.broker.state)));
    words.push(
        if fleet.coordinator.trouble.is_some() { "ZooKeeper away" } else { "ZooKeeper answers" }.to_owned(),
    );
    words.join(" · ")
}
