//! The fleet at a glance: what needs a person first, then how much there is of everything.

use std::fmt::Write as _;

use super::words::{count, text};
use crate::api::{Fleet, Level, QueueState, Sender};

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
    let _ = writeln!(html, "</ul>\n<dl class=\"summary\">{}</dl>", summary(fleet));
    html
}

/// Changes seldom: it is read aloud when it does.
fn summary(fleet: &Fleet) -> String {
    let of = |state: QueueState| fleet.queues.iter().filter(|queue| queue.state == state).count();
    let is_there = |sender: &&Sender| sender.incarnation.is_some() && sender.state != "broker_dead";
    let present = fleet.senders.iter().filter(is_there).count();
    let mut queues = of_all(of(QueueState::Owned), fleet.queues.len(), "owned");
    for state in [
        QueueState::Settling,
        QueueState::Leaving,
        QueueState::OwnerGone,
        QueueState::Unowned,
        QueueState::Paused,
    ] {
        if of(state) > 0 {
            let _ = write!(queues, ", {} {}", of(state), state.label().replace('_', " "));
        }
    }
    let broker = match fleet.broker.state.as_str() {
        "up" => "answers",
        "back" => "back",
        _ => "away",
    };
    let coordinator = if fleet.coordinator.trouble.is_some() { "away" } else { "answers" };
    let tile = |name: &str, value: &str, is_well: bool| {
        let tone = if is_well { "well" } else { "amiss" };
        format!("<div class=\"{tone}\"><dt>{name}</dt><dd>{}</dd></div>", text(value))
    };
    let sends = of(QueueState::OwnerGone) + of(QueueState::Unowned) == 0;
    [
        tile("Senders", &of_all(present, fleet.senders.len(), "present"), present == fleet.senders.len()),
        tile("Queues", &queues, sends),
        tile("RabbitMQ", broker, broker == "answers"),
        tile("ZooKeeper", coordinator, coordinator == "answers"),
    ]
    .concat()
}

fn of_all(n: usize, all: usize, word: &str) -> String {
    if n == all {
        format!("{} {word}", count(n as u64))
    } else {
        format!("{n} of {} {word}", count(all as u64))
    }
}
