//! The plan, rehearsed on what ZooKeeper holds: what a wish would do. Nothing is written.

use std::time::Duration;

use skein_core::fleet::{Wanted, Wish, WishId};
use skein_core::lease::BootMillis;
use skein_core::plan::{
    Answer, BrokerSeen, Connection, Memory, Observed, Plan, QueueSeen, Seen as MemberSeen, plan,
};

use super::Seen;
use crate::wiring;

/// The rehearsed wish: after every other.
const REHEARSED: WishId = WishId(u64::MAX);
/// A moment on no clock: the plan only subtracts.
const BEGIN: BootMillis = BootMillis(1 << 40);

/// What the plan says with one wish more, and the answer to that wish if it has one already.
///
/// Every sender that ZooKeeper knows counts as connected and settled: what the leading monitor knows of the last minutes is not known here.
pub fn rehearse(seen: &Seen, wanted: Wanted) -> (Plan, Option<Answer>) {
    let mut observed = observed(seen);
    let policy = &seen.view.policy;
    let (_, memory) = plan(&observed, policy, Memory::default(), BEGIN);
    let (by, at, reason) = (super::operator(), wiring::now(), String::new());
    observed.wishes.push(Wish { id: REHEARSED, by, at, reason, wanted });
    let settled = BEGIN.plus(policy.join_debounce.max(policy.restart_grace) + Duration::from_millis(1));
    let (plan, _) = plan(&observed, policy, memory, settled);
    let answer = plan.answered.iter().find(|answered| answered.wish == REHEARSED);
    let answer = answer.map(|answered| answered.answer.clone());
    (plan, answer)
}

fn observed(seen: &Seen) -> Observed {
    let queue = |stored: &skein_core::seam::StoredQueue| {
        let figure = seen.figure(&stored.assignment.queue);
        let rate = figure
            .map_or(0.0, |f| f.in_per_second.unwrap_or_default().max(f.out_per_second.unwrap_or_default()));
        QueueSeen {
            assignment: stored.assignment.clone(),
            per_second: rate as u32,
            depth: figure.and_then(|f| f.depth).unwrap_or_default(),
        }
    };
    let members = seen.view.members.iter().cloned();
    Observed {
        broker: BrokerSeen::Up,
        members: members.map(|member| MemberSeen { member, connection: Connection::Open }).collect(),
        queues: seen.view.queues.iter().map(queue).collect(),
        wishes: seen.view.wishes.clone(),
        quarantines: seen.view.quarantines.clone(),
    }
}
