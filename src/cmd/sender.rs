//! `skein sender …`: the senders of a cluster, and what operators want of them.

use serde_json::json;
use skein_config::Config;
use skein_core::fleet::{Health, Member, MemberId, Quarantine, Wanted, Wish};
use skein_core::seam::FleetView;
use skein_health_monitor::api::Lease;

use super::fleet::{Access, Cells, Goal, Kept, Seen, follow, fulfil, keep_out, known_member};
use super::fleet::{because, or_dash, standing};
use crate::args::{OneSender, Sender};
use crate::exit::{Exit, Failure};
use crate::output::Output;

const HEAD: [&str; 13] = [
    "SENDER", "STATE", "HOST", "ZONE", "VERSION", "QUEUES", "RATE/S", "DELAY", "HELD", "APNS", "BROKER",
    "LEDGER", "LEASE",
];

/// Does what was asked for.
pub fn run(config: &Config, command: &Sender, output: Output) -> Result<Exit, Failure> {
    super::small_runtime()?.block_on(act(config, command, output))
}

async fn act(config: &Config, command: &Sender, output: Output) -> Result<Exit, Failure> {
    match command {
        Sender::List { follow: how, monitor } => {
            let access = Access::begin(config, monitor)?;
            follow(&access, how, output, |seen| Ok(list(seen))).await
        }
        Sender::Drain(OneSender { member, reason, wait }) => {
            let access = Access::begin(config, &wait.monitor)?;
            known_member(&access.view().await?, member)?;
            let wanted = Wanted::Drain { member: member.clone() };
            let reached = |view: &FleetView| super::fleet::owns_nothing(view, member);
            fulfil(&access, wanted, Goal { because: because(reason), reached }, wait, output).await
        }
        Sender::Undrain(OneSender { member, reason, wait }) => {
            let access = Access::begin(config, &wait.monitor)?;
            let view = access.view().await?;
            // Who was drained may have gone since.
            if drained(&view, member).is_none() {
                known_member(&view, member)?;
            }
            let wanted = Wanted::Undrain { member: member.clone() };
            let reached = |_: &FleetView| false;
            fulfil(&access, wanted, Goal { because: because(reason), reached }, wait, output).await
        }
        Sender::Quarantine { member, lift, reason, wait } => {
            let access = Access::begin(config, &wait.monitor)?;
            let kept = if *lift { Kept::Lifted } else { Kept::Out };
            keep_out(&access, member, kept, because(reason), wait, output).await
        }
    }
}

/// Everybody who is there, and everybody who is not and owns something, or whom a monitor misses.
fn members(seen: &Seen) -> Vec<(MemberId, Option<&Member>)> {
    let view = &seen.view;
    let mut all: Vec<(MemberId, Option<&Member>)> =
        view.members.iter().map(|member| (member.id.clone(), Some(member))).collect();
    let missed =
        seen.figures.iter().flat_map(|fleet| &fleet.senders).filter(|sender| sender.gone_at.is_some());
    let missed = missed.map(|sender| &sender.member).filter(|id| !view.members.iter().any(|m| m.id == **id));
    all.extend(missed.map(|id| (id.clone(), None)));
    for owner in view.queues.iter().filter_map(|q| q.assignment.owner.as_ref()) {
        if !all.iter().any(|(id, _)| *id == owner.member) {
            all.push((owner.member.clone(), None));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn owned(view: &FleetView, member: &MemberId) -> usize {
    let owner = |q: &&skein_core::seam::StoredQueue| {
        q.assignment.owner.as_ref().is_some_and(|owner| owner.member == *member)
    };
    view.queues.iter().filter(owner).count()
}

/// Which operator's word drains it, if one does.
fn drained<'a>(view: &'a FleetView, member: &MemberId) -> Option<&'a Wish> {
    standing(view, &Wanted::Drain { member: member.clone() })
}

/// The monitor's word, or what ZooKeeper alone says.
fn state(seen: &Seen, id: &MemberId, member: Option<&Member>) -> String {
    let view = &seen.view;
    if view.quarantines.iter().any(|quarantine| quarantine.member == *id) {
        return "quarantined".to_owned();
    }
    match (seen.sender(id), member) {
        (Some(sender), _) => sender.state.clone(),
        (None, None) => "session_gone".to_owned(),
        (None, Some(member)) if member.draining || drained(view, id).is_some() => "leaving".to_owned(),
        (None, Some(_)) => "present".to_owned(),
    }
}

fn worst_apns(member: &Member) -> Option<Health> {
    member.pools.iter().map(|served| served.apns).max()
}

/// Its right to write, by the monitor's word.
fn lease(seen: &Seen, id: &MemberId) -> Option<Lease> {
    seen.sender(id).and_then(|sender| sender.lease)
}

fn list(seen: &Seen) -> Cells<13> {
    let all = members(seen);
    let row = |(id, member): &(MemberId, Option<&Member>)| {
        let text = |f: &dyn Fn(&Member) -> Option<String>| or_dash(member.and_then(f));
        [
            id.to_string(),
            state(seen, id, *member),
            text(&|m| Some(m.host.clone())),
            text(&|m| m.zone.clone()),
            text(&|m| Some(m.version.clone())),
            owned(&seen.view, id).to_string(),
            text(&|m| Some(m.load.per_second.to_string())),
            text(&|m| Some(format!("{}ms", m.load.delay_ms))),
            text(&|m| Some(m.load.held.to_string())),
            text(&|m| worst_apns(m).map(|h| h.label().to_owned())),
            text(&|m| Some(m.broker.label().to_owned())),
            text(&|m| Some(m.ledger.label().to_owned())),
            or_dash(lease(seen, id).map(Lease::label)),
        ]
    };
    let value = |(id, member): &(MemberId, Option<&Member>)| {
        json!({
            "member": id,
            "state": state(seen, id, *member),
            "incarnation": member.map(|m| m.incarnation),
            "host": member.map(|m| &m.host),
            "zone": member.and_then(|m| m.zone.as_ref()),
            "version": member.map(|m| &m.version),
            "since": member.map(|m| m.since),
            "queues": owned(&seen.view, id),
            "per_second": member.map(|m| m.load.per_second),
            "in_flight": member.map(|m| m.load.in_flight),
            "held": member.map(|m| m.load.held),
            "delay_ms": member.map(|m| m.load.delay_ms),
            "apns": member.and_then(worst_apns),
            "broker": member.map(|m| m.broker),
            "ledger": member.map(|m| m.ledger),
            "lease": lease(seen, id),
            "gone_at": seen.sender(id).and_then(|sender| sender.gone_at),
            "drain": drained(&seen.view, id),
            "quarantine": seen.view.quarantines.iter().find(|q| q.member == *id),
        })
    };
    let mut notes: Vec<String> = seen.figures.as_ref().err().cloned().into_iter().collect();
    notes.extend(seen.alarms());
    if all.is_empty() {
        notes.push("no sender is there; start one with `skein run sender`".to_owned());
    }
    for wish in &seen.view.wishes {
        if let Wanted::Drain { member } = &wish.wanted {
            notes.push(format!("{member} is drained {}", wish.whose()));
        }
    }
    for Quarantine { member, by, why, since } in &seen.view.quarantines {
        notes.push(format!("{member} is kept out by {by} since {since}: {why}"));
    }
    Cells { head: HEAD, rows: all.iter().map(row).collect(), notes, values: all.iter().map(value).collect() }
}
