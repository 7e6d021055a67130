//! The queues, a table for each pool.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use skein_core::PoolName;

use super::words::{badge, count, known, many, rate, span, text};
use crate::api::{Fleet, Queue, QueueState};

/// Most queues of one pool on the page: it is written anew every second. The API lists all.
const SHOWN_MAX: usize = 200;

/// From here on it is said how old the broker's figures are.
const LATE_MS: u64 = 10_000;

const HEAD: &str = "<thead><tr><th scope=\"col\">Queue</th><th scope=\"col\">Owner</th><th scope=\"col\">State</th>\
    <th scope=\"col\" class=\"n\">Depth</th><th scope=\"col\" class=\"n\">Oldest</th><th scope=\"col\" class=\"n\">In/s</th>\
    <th scope=\"col\" class=\"n\">Out/s</th><th scope=\"col\" class=\"n\">Unacked</th>\
    <th scope=\"col\" class=\"n\">Epoch</th><th scope=\"col\">Why there</th></tr></thead>\n";

pub(super) fn html(fleet: &Fleet) -> String {
    let mut pools: BTreeMap<&PoolName, Vec<&Queue>> = BTreeMap::new();
    for queue in &fleet.queues {
        pools.entry(&queue.queue.pool).or_default().push(queue);
    }
    if pools.is_empty() {
        return "<p class=\"none\">No queue is known yet.</p>\n".to_owned();
    }
    let tables: String = pools.iter().map(|(name, queues)| pool(name, queues)).collect();
    let age = match fleet.broker.figures_age_ms {
        Some(ms) if ms < LATE_MS => String::new(),
        Some(ms) => format!(" It was asked {} ago.", span(ms)),
        None => " It has not said anything yet.".to_owned(),
    };
    format!(
        "{tables}<p class=\"legend\">Depth, age and rates are the broker's counts, which it makes every 5 s: what happens is seen in \
         them up to 5 s late. Oldest is an estimate, good to about a second.{age}</p>\n"
    )
}

fn pool(name: &PoolName, queues: &[&Queue]) -> String {
    let sum =
        |of: &dyn Fn(&Queue) -> Option<f64>| queues.iter().filter_map(|queue| of(queue)).reduce(|a, b| a + b);
    let depth = sum(&|q| q.depth.map(|n| n as f64)).map(|n| count(n as u64));
    let mut shown = queues.to_vec();
    if shown.len() > SHOWN_MAX {
        shown.sort_by_key(|queue| (queue.state == QueueState::Owned, std::cmp::Reverse(queue.depth)));
        shown.truncate(SHOWN_MAX);
        shown.sort_by(|a, b| a.queue.cmp(&b.queue));
    }
    let mut html = format!(
        "<h3>{name} <small>{queues}, {depth} waiting, {come} in and {go} out a second</small></h3>\n\
         <div class=\"scroll pinned\" tabindex=\"0\" role=\"group\" aria-label=\"queues of the pool {name}\"><table>\n{HEAD}<tbody>\n",
        name = text(name),
        queues = many(queues.len(), "queue", "queues"),
        depth = depth.as_deref().unwrap_or("an unknown number"),
        come = sum(&|q| q.in_per_second).map_or_else(|| "?".to_owned(), rate),
        go = sum(&|q| q.out_per_second).map_or_else(|| "?".to_owned(), rate),
    );
    shown.iter().for_each(|queue| row(queue, &mut html));
    html.push_str("</tbody></table></div>\n");
    if shown.len() < queues.len() {
        let _ = writeln!(
            html,
            "<p class=\"legend\">The {SHOWN_MAX} that need a look most, of {}; <a href=\"/v1/fleet\">all of them</a>.</p>",
            queues.len()
        );
    }
    html
}

fn row(queue: &Queue, html: &mut String) {
    let owner = queue.owner.as_ref().map(ToString::to_string).unwrap_or_default();
    let next = queue.successor.as_ref().map(|next| format!(" → {}", text(next))).unwrap_or_default();
    let _ = writeln!(
        html,
        "<tr data-queue=\"{name}\" data-owner=\"{owner}\" data-epoch=\"{epoch}\"><th scope=\"row\">{name}</th>\
         <td>{shown}{next}</td><td>{state}</td><td class=\"n\">{depth}</td><td class=\"n\">{oldest}</td><td class=\"n\">{come}</td>\
         <td class=\"n\">{go}</td><td class=\"n\">{unacked}</td><td class=\"n\">{epoch}</td><td>{cause}</td></tr>",
        name = text(&queue.queue),
        owner = text(&owner),
        epoch = queue.epoch,
        shown = known(queue.owner.as_ref()),
        state = badge(tone(queue.state), queue.state.label()),
        depth = known(queue.depth.map(count)),
        oldest = known(queue.oldest_ms.map(span)),
        come = known(queue.in_per_second.map(rate)),
        go = known(queue.out_per_second.map(rate)),
        unacked = known(queue.unacked.map(count)),
        cause = text(queue.cause.label()).replace('_', " "),
    );
}

fn tone(state: QueueState) -> &'static str {
    match state {
        QueueState::Owned => "well",
        QueueState::Settling | QueueState::Leaving => "busy",
        QueueState::OwnerGone | QueueState::Unowned => "bad",
        QueueState::Paused => "warn",
    }
}
