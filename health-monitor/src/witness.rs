//! What happens between two readings of the store without this monitor's doing: queues that change hands, and senders that go without
//! a word. So every monitor tells the same story, the one that leads and those that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skein_core::fleet::{Cause, MemberId, Owner, QueueAssignment};
use skein_core::lease::BootMillis;
use skein_core::plan::{self, State};
use skein_core::seam::{FleetView, StoredQueue};
use skein_core::{QueueName, Timestamp};

use crate::act::label;
use crate::api::{Done, GONE_SECONDS, Move};

/// The most senders that are remembered as gone.
const GONE_MAX: usize = 256;

/// What others changed. `planned` is what this monitor would have done: where it agrees with what was done, it knows why.
pub(crate) fn changes(
    before: &FleetView,
    after: &FleetView,
    planned: &[plan::Move],
    at: Timestamp,
) -> Vec<Done> {
    let was: BTreeMap<_, _> = before.queues.iter().map(|q| (&q.assignment.queue, &q.assignment)).collect();
    let changed = after.queues.iter().filter_map(|stored| {
        let is = &stored.assignment;
        let (change, to) = change(was.get(&is.queue)?, is)?;
        let from = was.get(&is.queue)?.owner.as_ref().map(|owner| owner.member.clone());
        let why = planned
            .iter()
            .find(|m| m.queue == is.queue && label(&m.change) == change && m.to() == to.as_ref())
            .map_or_else(|| why(change, is.cause, from.as_ref()), |m| m.why.clone());
        let cause = to.is_some().then_some(is.cause);
        let change = Move { queue: is.queue.clone(), change: change.to_owned(), from, to, cause, why };
        Some(Done { at, epoch: is.epoch, change })
    });
    changed.collect()
}

/// In the words of the API; `None` for what a sender does for itself: it takes its own queue up again, or lets one go.
fn change(was: &QueueAssignment, is: &QueueAssignment) -> Option<(&'static str, Option<MemberId>)> {
    let member = |owner: &Option<Owner>| owner.as_ref().map(|owner| owner.member.clone());
    if is.owner.is_some() && member(&was.owner) != member(&is.owner) {
        return Some(("assign", member(&is.owner)));
    }
    match (was.paused, is.paused) {
        (false, true) => return Some(("pause", None)),
        (true, false) => return Some(("resume", None)),
        _ => {}
    }
    match (&was.successor, &is.successor) {
        (was, Some(next)) if was.as_ref() != Some(next) => Some(("ask", Some(next.clone()))),
        (Some(_), None) if is.owner.is_some() => Some(("withdraw", None)),
        _ => None,
    }
}

fn why(change: &str, cause: Cause, from: Option<&MemberId>) -> String {
    let from = from.map_or("its owner", |from| from.as_str());
    match (change, cause) {
        ("pause", _) => "an operator paused it".to_owned(),
        ("resume", _) => "an operator resumed it".to_owned(),
        ("withdraw", _) => "the request is taken back".to_owned(),
        (_, Cause::New) => "it had no owner yet".to_owned(),
        (_, Cause::BrokerDead) => {
            format!("{from}'s connection to the broker closed, and it did not come back")
        }
        (_, Cause::SessionGone) => format!("{from}'s session ended"),
        (_, Cause::Released | Cause::Reclaimed) => "its owner left it".to_owned(),
        (_, Cause::Drain) => format!("{from} drains"),
        (_, Cause::Succession) => format!("a successor takes {from}'s place"),
        (_, Cause::Quarantine) => format!("{from} is kept out"),
        (_, Cause::ApnsCutOff) => format!("APNs does not serve {from}, and serves another"),
        (_, Cause::PoolNotServed) => format!("{from} no longer has the pool's credential"),
        (_, Cause::Balance) => "the load was uneven".to_owned(),
        (_, Cause::Operator) => "an operator moved it".to_owned(),
    }
}

/// The queues of a life.
fn of<'a>(view: &'a FleetView, life: &Owner) -> impl Iterator<Item = &'a QueueName> {
    let life = life.clone();
    let of = move |q: &&StoredQueue| q.assignment.is_owned_by(&life);
    view.queues.iter().filter(of).map(|q| &q.assignment.queue)
}

/// The senders that went without a word, for as long as [`GONE_SECONDS`]: who leaves in order is not missed.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    since: BTreeMap<MemberId, (BootMillis, Timestamp)>,
}

impl Gone {
    /// Looks who is there no more, and who is there again. `standings` are those of the plan before.
    pub fn look(
        &mut self,
        before: &FleetView,
        after: &FleetView,
        standings: &[plan::Standing],
        (now, at): (BootMillis, Timestamp),
    ) {
        let is_there = |id: &MemberId| after.members.iter().any(|member| member.id == *id);
        self.since
            .retain(|id, (since, _)| now.since(*since) < Duration::from_secs(GONE_SECONDS) && !is_there(id));
        for member in before.members.iter().filter(|member| !is_there(&member.id)) {
            let life = member.owner();
            let owned: BTreeSet<&QueueName> = of(before, &life).collect();
            // The leader may have been faster: what it took tells that it was not released.
            let taken = |q: &StoredQueue| {
                owned.contains(&q.assignment.queue)
                    && matches!(q.assignment.cause, Cause::BrokerDead | Cause::SessionGone)
            };
            let left_some = of(after, &life).next().is_some() || after.queues.iter().any(taken);
            let was_dead = standings.iter().any(|s| s.member == member.id && s.state == State::BrokerDead);
            let without_a_word = !member.draining && (was_dead || left_some);
            if without_a_word && self.since.len() < GONE_MAX {
                self.since.insert(member.id.clone(), (now, at));
            }
        }
    }

    /// Since when a sender is gone.
    pub fn since(&self, id: &MemberId) -> Option<Timestamp> {
        self.since.get(id).map(|(_, at)| *at)
    }

    /// All of them.
    pub fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.since.keys()
    }
}
