//! What a person must look at, from the whole page.

use skein_core::fleet::Health;

use crate::api::{Alarm, Fleet, GONE_SECONDS, Level, QueueState};

/// Days before the end of a certificate from which on it is an alarm.
const DAYS_LEFT_CRITICAL: u64 = 7;
const DAYS_LEFT_WARNING: u64 = 30;

/// Every alarm, the worst first.
pub(crate) fn of(fleet: &Fleet) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut add = |level, what: &str, why: String| {
        alarms.push(Alarm { level, what: what.to_owned(), why });
    };
    if let Some(why) = &fleet.coordinator.trouble {
        add(
            Level::Critical,
            "coordinator_away",
            format!(
                "ZooKeeper does not answer this monitor: {why}; senders go on with what they own, nothing moves"
            ),
        );
    }
    if fleet.broker.state == "away" {
        let why = fleet.broker.events_trouble.as_deref().unwrap_or("not looked at yet");
        add(Level::Critical, "broker_away", format!("the broker does not answer this monitor: {why}"));
    } else if let Some(why) = &fleet.broker.events_trouble {
        add(
            Level::Warning,
            "broker_events",
            format!(
                "the broker's events are not heard, so dead senders are noticed by their sessions alone: {why}"
            ),
        );
    }
    if let Some(why) = &fleet.broker.management_trouble {
        add(
            Level::Warning,
            "broker_management",
            format!("no depth, no rate, and no closing of a frozen sender's connections: {why}"),
        );
    }
    for held in fleet.plan.held.iter().filter(|held| held.alarms) {
        add(Level::Critical, &held.what, held.why.clone());
    }
    let unowned = fleet
        .queues
        .iter()
        .filter(|queue| matches!(queue.state, QueueState::Unowned | QueueState::OwnerGone))
        .count();
    if unowned > 0 {
        add(
            Level::Warning,
            "queues_unowned",
            format!("{unowned} of {} queues are sent from by nobody", fleet.queues.len()),
        );
    }
    for credential in &fleet.credentials {
        let (pool, member) = (&credential.pool, &credential.member);
        if credential.apns == Health::Refused || credential.report.paused.is_some() {
            let why = credential.report.paused.as_deref().unwrap_or("see its log");
            add(
                Level::Critical,
                "pool_paused",
                format!("{pool} on {member} is paused, APNs refuses it: {why}"),
            );
        }
        if let Some(days) = credential.report.days_left.filter(|days| *days <= DAYS_LEFT_WARNING) {
            let level = if days <= DAYS_LEFT_CRITICAL { Level::Critical } else { Level::Warning };
            add(
                level,
                "credential_expires",
                format!(
                    "the credential of {pool} on {member} runs out in {days} days; put a new one in place and run `skein credential rotate {pool}`"
                ),
            );
        }
    }
    for sender in &fleet.senders {
        let id = &sender.member;
        if sender.gone_at.is_some() || sender.state == "broker_dead" {
            let queues = match sender.queues.len() {
                0 => "its queues have other owners".to_owned(),
                some => format!("{some} queues are still its own"),
            };
            let forgotten = GONE_SECONDS / 60;
            add(
                Level::Warning,
                "sender_gone",
                format!(
                    "{id} went without a word; {queues}; see its host and its log, start it again (if it is not to come back: this is \
                     forgotten after {forgotten} minutes)"
                ),
            );
        }
        if sender.ledger == Some(Health::CutOff) {
            add(
                Level::Warning,
                "ledger_away",
                format!("{id} does not reach the ledger; its facts wait in the broker"),
            );
        }
        if sender.broker == Some(Health::CutOff) {
            add(Level::Warning, "sender_cut_off", format!("{id} does not reach the broker"));
        }
    }
    alarms.sort();
    alarms.dedup();
    alarms
}
