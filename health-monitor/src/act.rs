//! Act: checked writes of the assignments first, then kicks, each only while it is certain that no other monitor leads.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_core::QueueName;
use skein_core::fleet::{Change, Owner, QueueAssignment};
use skein_core::lease::BootMillis;
use skein_core::plan::{Connection, Move, Plan};
use skein_core::seam::{CoordinatorError, FleetView, Lead, Planned, StoredQueue};

use crate::broker::{BrokerView, BrokerWatch};
use crate::events::Events;
use crate::kicks::Kicks;

/// The most changes of one pass; the rest follows in the next, which begins at once.
pub const CHANGES_MAX: usize = 4096;
/// How long the kicks of one pass may take; what is left is tried in the next.
const KICKS_LIMIT: Duration = Duration::from_secs(1);

/// What a pass has changed.
#[derive(Debug, Default)]
pub struct Made {
    /// Each move that stands now, with the epoch of its record.
    pub moves: Vec<(Move, u64)>,
    /// There was more to do than a pass may, or somebody else was faster: begin the next at once.
    pub again: bool,
}

/// The word of a change.
pub fn label(change: &Change) -> &'static str {
    match change {
        Change::Assign { .. } => "assign",
        Change::Ask { .. } => "ask",
        Change::Withdraw => "withdraw",
        Change::Release { .. } => "release",
        Change::HandOver { .. } => "hand_over",
        Change::Reclaim { .. } => "reclaim",
        Change::Settled { .. } => "settled",
        Change::Pause => "pause",
        Change::Resume => "resume",
        Change::Prefetch { .. } => "prefetch",
    }
}

/// Writes the plan's changes, and brings the view up to what was written.
///
/// # Errors
/// As [`Lead::apply`]: then nothing else of the plan may be done.
pub async fn change<L: Lead>(
    lead: &L,
    plan: &Plan,
    view: &mut FleetView,
    broker: &BrokerView,
    kicks: &mut Kicks,
    events: &Events,
    now: BootMillis,
) -> Result<Made, CoordinatorError> {
    let stored: BTreeMap<&QueueName, &StoredQueue> =
        view.queues.iter().map(|stored| (&stored.assignment.queue, stored)).collect();
    let mut planned = Vec::new();
    let mut moves: BTreeMap<&QueueName, &Move> = BTreeMap::new();
    let mut again = plan.moves.len() > CHANGES_MAX;
    for wanted in plan.moves.iter().take(CHANGES_MAX) {
        let Some(on) = stored.get(&wanted.queue).filter(|on| on.assignment.epoch == wanted.epoch) else {
            continue;
        };
        // Two changes of one queue are two passes: the second is decided on what the first has made of it.
        if moves.contains_key(&wanted.queue) {
            again = true;
        } else {
            moves.insert(&wanted.queue, wanted);
            let change = with_end(wanted, broker, now);
            planned.push(Planned { on: (*on).clone(), change });
        }
    }
    let mut made = Made { again, ..Made::default() };
    if !planned.is_empty() {
        let applied = lead.apply(&planned).await?;
        let mut changes = Vec::with_capacity(applied.changed.len());
        for changed in applied.changed {
            let Some(wanted) = moves.get(&changed.assignment.queue) else { continue };
            events.made(wanted, label(&wanted.change));
            if let (Change::Assign { to, .. }, Some(from)) = (&wanted.change, &wanted.from)
                && to.member != from.member
            {
                kicks.taken(from.clone(), wanted.queue.clone(), now);
            }
            made.moves.push(((*wanted).clone(), changed.assignment.epoch));
            changes.push(changed);
        }
        for queue in &applied.stale {
            events.stale(queue);
            made.again = true;
        }
        for changed in changes {
            let queue = &changed.assignment.queue;
            if let Some(stored) = view.queues.iter_mut().find(|stored| stored.assignment.queue == *queue) {
                *stored = changed;
            }
        }
    }
    let answered: Vec<_> = plan.answered.iter().map(|answered| answered.wish).collect();
    if !answered.is_empty() {
        lead.fulfilled(&answered).await?;
        plan.answered.iter().for_each(|answered| events.answered(answered.wish, &answered.answer));
    }
    Ok(made)
}

/// An assignment with the time for which the broker has known the owner so far to be gone. What a member says of itself is no such
/// word.
fn with_end(wanted: &Move, broker: &BrokerView, now: BootMillis) -> Change {
    let mut change = wanted.change.clone();
    if let (Change::Assign { ended_ms, .. }, Some(from)) = (&mut change, &wanted.from)
        && let Connection::Closed { at } = broker.connections.of(from)
    {
        *ended_ms = now.since(at).as_millis() as u64;
    }
    change
}

/// Closes what former owners still have open to the queues that were taken from them.
pub async fn kick<L: Lead, B: BrokerWatch>(
    lead: &L,
    broker: &B,
    seen: &BrokerView,
    view: &FleetView,
    kicks: &mut Kicks,
    events: &Events,
    now: BootMillis,
) {
    let owns = |owner: &_, queue: &_| {
        view.queues.iter().any(|s| s.assignment.queue == *queue && s.assignment.is_owned_by(owner))
    };
    let stored: BTreeMap<&QueueName, &QueueAssignment> =
        view.queues.iter().map(|s| (&s.assignment.queue, &s.assignment)).collect();
    let owner = |queue: &QueueName| stored.get(queue).and_then(|a| a.owner.as_ref());
    // An earlier life of the member to which it comes is a former owner like any other.
    let comes = |life: &Owner, queue: &QueueName| {
        let lives = view.members.iter().any(|member| member.owner() == *life);
        lives && stored.get(queue).is_some_and(|a| a.comes_to(&life.member))
    };
    kicks.look(&seen.connections, owner, comes, seen.events_trouble.is_none(), now);
    let due = kicks.due(&seen.connections, owns, comes, now);
    let closing = async {
        for kick in due {
            if !lead.is_certain() {
                return;
            }
            match broker.close(&kick.connection).await {
                Ok(()) => events.kicked(&kick.owner.member, &kick.queue),
                Err(why) => events.kick_failed(&kick.owner.member, &kick.queue, &why),
            }
        }
    };
    // What is late is due again.
    let _ = tokio::time::timeout(KICKS_LIMIT, closing).await;
}
