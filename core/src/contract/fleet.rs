//! The promises of a fleet's store: of [`Coordinator`] where several members share it, and of [`FleetStore`].

mod owning;
mod steering;

use std::time::Duration;

use uuid::Uuid;

use super::{Outcome, suite, works};
use crate::fleet::{Cause, Change, Incarnation, Member, MemberId, Owner, ServedPool};
use crate::pool::{PoolName, QueueName};
use crate::seam::{
    Coordinator, CoordinatorError, FleetStore, FleetView, Lead, OwnedQueue, Planned, Standing, StoredQueue,
};
use crate::time::Timestamp;

use owning::*;
use steering::*;

/// What the suite needs of an implementation's test.
pub trait FleetHarness {
    /// A sender's side.
    type Coordinator: Coordinator;
    /// A monitor's side.
    type Store: FleetStore;

    /// A handle on a fresh fleet: made, without members and queues.
    fn fresh(&self) -> impl Future<Output = Self::Store>;

    /// Another handle on the same fleet, as another process has it.
    fn another(&self, store: &Self::Store) -> impl Future<Output = Self::Store>;

    /// A sender joins this fleet. Its pools are those of the suite: `im`, with [`QUEUES`] queues.
    fn join(&self, store: &Self::Store, member: Member) -> impl Future<Output = Self::Coordinator>;

    /// Cuts this sender off from the coordinator, or heals the cut. Returns when it has noticed.
    fn set_away(&self, sender: &Self::Coordinator, away: bool) -> impl Future<Output = ()>;

    /// Takes leadership from whoever has it, behind its back.
    fn depose(&self, store: &Self::Store) -> impl Future<Output = ()>;
}

/// The queues of the suite's pool.
pub const QUEUES: u16 = 4;

suite!(FleetHarness:
    who_joins_is_seen_until_it_leaves,
    what_a_member_says_is_seen,
    a_later_life_takes_the_place,
    an_assigned_queue_reaches_its_owner,
    an_owner_that_is_asked_leaves,
    what_is_left_for_a_member_is_that_ones,
    what_is_left_for_who_leaves_too_is_nobodys,
    an_earlier_lifes_queue_is_inherited,
    one_of_two_claims_is_granted,
    a_claim_may_be_said_again,
    only_the_owner_in_its_epoch_speaks,
    a_clean_note_spares_the_grace,
    who_settled_vouches_for_its_predecessor,
    the_last_assignment_stands_while_away,
    making_twice_changes_nothing,
    the_epoch_only_grows,
    a_stale_plan_changes_nothing,
    one_monitor_leads,
    a_deposed_leader_changes_nothing,
    wishes_wait_in_order_until_fulfilled,
    quarantines_and_policy_are_kept,
    decisions_are_kept_with_their_reasons,
    the_oldest_decisions_go_first,
    changes_are_told,
);

fn pool() -> Result<PoolName, String> {
    works("pool name", PoolName::parse("im"))
}

fn queue(number: u16) -> Result<QueueName, String> {
    Ok(QueueName { pool: pool()?, number })
}

/// A member of the suite, in one of its lives.
pub fn member(name: &str, life: u128) -> Result<Member, String> {
    Ok(Member {
        id: works("member id", MemberId::parse(name))?,
        incarnation: Incarnation(Uuid::from_u128(life)),
        holds_lock: false,
        host: "host".to_owned(),
        zone: None,
        version: "1".to_owned(),
        pools: vec![ServedPool { pool: pool()?, apns: crate::fleet::Health::Healthy }],
        ledger: crate::fleet::Health::Healthy,
        broker: Default::default(),
        report: Default::default(),
        load: crate::fleet::Load::default(),
        draining: false,
        succeeds: None,
        connection_prefix: format!("skein:{name}:"),
        since: Timestamp::default(),
    })
}

/// A sender joins, and the coordinator answers it: before that nothing it says is heard.
async fn join<H: FleetHarness>(harness: &H, store: &H::Store, member: Member) -> H::Coordinator {
    let sender = harness.join(store, member).await;
    let mut standing = sender.standing();
    // Whoever can't join is found out by what it is asked next.
    let _ = standing.wait_for(|standing| !matches!(standing, Standing::Away { .. })).await;
    sender
}

/// A fresh fleet with its queues.
async fn seeded<H: FleetHarness>(harness: &H) -> Result<H::Store, String> {
    let store = harness.fresh().await;
    works("seed", store.seed(&pool()?, QUEUES, 100).await)?;
    Ok(store)
}

/// Reads until the view is as wanted, woken by changes, and now and then all the same.
async fn until<S: FleetStore>(store: &S, wanted: impl Fn(&FleetView) -> bool) -> Result<FleetView, String> {
    loop {
        let view = works("read", store.read().await)?;
        if wanted(&view) {
            return Ok(view);
        }
        // Early or late, it is read again.
        let _ = tokio::time::timeout(Duration::from_secs(1), store.changed()).await;
    }
}

async fn stored<S: FleetStore>(store: &S, number: u16) -> Result<StoredQueue, String> {
    let (view, queue) = (works("read", store.read().await)?, queue(number)?);
    let found = view.queues.into_iter().find(|stored| stored.assignment.queue == queue);
    found.ok_or_else(|| format!("no {queue} in the store"))
}

/// The leader changes a queue as it is now.
async fn change<S: FleetStore>(
    store: &S,
    lead: &S::Lead,
    number: u16,
    change: Change,
) -> Result<StoredQueue, String> {
    let planned = Planned { on: stored(store, number).await?, change };
    let mut applied = works("apply", lead.apply(&[planned]).await)?;
    applied.changed.pop().ok_or_else(|| format!("not applied: {applied:?}"))
}

fn assign(to: &Owner) -> Change {
    Change::Assign { to: to.clone(), cause: Cause::Operator, predecessor_dead: false, ended_ms: 0 }
}

/// Waits until a sender sees a queue so.
async fn sees<C: Coordinator>(
    sender: &C,
    number: u16,
    wanted: impl Fn(Option<&OwnedQueue>) -> bool,
) -> Result<Option<OwnedQueue>, String> {
    let (mut reader, queue) = (sender.assignment(), queue(number)?);
    let seen = reader.wait_for(|a| wanted(a.queues.iter().find(|owned| owned.queue == queue))).await;
    Ok(works("assignment", seen)?.queues.iter().find(|owned| owned.queue == queue).cloned())
}

fn overtaken<T: std::fmt::Debug>(what: &str, result: Result<T, CoordinatorError>) -> Outcome {
    match result {
        Err(CoordinatorError::Overtaken(_)) => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    }
}
