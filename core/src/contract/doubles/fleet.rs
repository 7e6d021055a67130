//! The fleet in memory, and fleets that break one promise each.

use tokio::sync::watch;

use crate::contract::fleet::{FleetHarness, PROMISES, QUEUES, all, each};
use crate::fleet::{Because, Change, Decision, Member, MemberId, Policy, Quarantine, Wanted, WishId};
use crate::memory::{MemoryCoordinator, MemoryFleet, MemoryLead};
use crate::pool::{PoolName, QueueName};
use crate::seam::{
    Applied, Assignment, Coordinator, CoordinatorError, DECISIONS_MAX, FleetStore, FleetView, Lead,
    OwnedQueue, Planned, Standing,
};

struct InMemory;

impl FleetHarness for InMemory {
    type Coordinator = MemoryCoordinator;
    type Store = MemoryFleet;

    async fn fresh(&self) -> MemoryFleet {
        MemoryFleet::new()
    }

    async fn another(&self, store: &MemoryFleet) -> MemoryFleet {
        store.clone()
    }

    async fn join(&self, store: &MemoryFleet, member: Member) -> MemoryCoordinator {
        store.join(member)
    }

    async fn set_away(&self, sender: &MemoryCoordinator, away: bool) {
        sender.set_away(away);
    }

    async fn depose(&self, store: &MemoryFleet) {
        store.depose();
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    all(&InMemory).await.unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    StaysAfterItsEnd,
    SaysNothing,
    KeepsBothLives,
    ForgetsToTell,
    NeverAsks,
    LeavesAlwaysToNobody,
    LeavesToWhoever,
    HidesTheInheritance,
    GrantsEveryClaim,
    ClaimsAnewEachTime,
    HearsAnybody,
    EveryNoteIsClean,
    NobodySettles,
    ForgetsWhileAway,
    SeedsAnew,
    EpochsRestart,
    WritesOverOthers,
    EverybodyLeads,
    ObeysTheDeposed,
    FulfilsAll,
    ForgetsThePolicy,
    ForgetsWhy,
    KeepsEveryDecision,
    Sleeps,
}

/// A flawed handle.
struct Store {
    flaw: Flaw,
    inner: MemoryFleet,
}

struct Leading {
    flaw: Flaw,
    fleet: MemoryFleet,
    /// `None` where everybody leads.
    inner: Option<MemoryLead>,
}

struct Seat {
    flaw: Flaw,
    fleet: MemoryFleet,
    /// Taken at the end by the one that stays.
    inner: Option<MemoryCoordinator>,
    frozen: watch::Sender<Assignment>,
}

impl Seat {
    fn inner(&self) -> &MemoryCoordinator {
        self.inner.as_ref().unwrap()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.flaw == Flaw::StaysAfterItsEnd {
            std::mem::forget(self.inner.take());
        }
    }
}

impl Coordinator for Seat {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        let told = self.inner().assignment().borrow().clone();
        match self.flaw {
            Flaw::ForgetsToTell => self.frozen.subscribe(),
            Flaw::KeepsBothLives if told.queues.is_empty() => self.frozen.subscribe(),
            Flaw::NeverAsks | Flaw::HidesTheInheritance | Flaw::ForgetsWhileAway => {
                let away = matches!(*self.inner().standing().borrow(), Standing::Away { .. });
                let mut told = told;
                told.queues.iter_mut().for_each(|owned| owned.tenure = crate::seam::Tenure::Hold);
                if self.flaw == Flaw::ForgetsWhileAway && away {
                    told.queues.clear();
                }
                watch::Sender::new(told).subscribe()
            }
            _ => self.inner().assignment(),
        }
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        if self.flaw == Flaw::KeepsBothLives {
            return watch::Sender::new(Standing::Joined).subscribe();
        }
        self.inner().standing()
    }

    fn describe(&self, member: Member) {
        if self.flaw != Flaw::SaysNothing {
            self.inner().describe(member);
        }
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        if self.flaw == Flaw::NobodySettles {
            return Ok(());
        }
        self.inner().settled(queue, epoch).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        if self.flaw == Flaw::HearsAnybody {
            let mut stored = self.fleet.queue(queue).unwrap();
            stored.owner = None;
            self.fleet.put(stored);
            return Ok(());
        }
        if matches!(self.flaw, Flaw::LeavesAlwaysToNobody | Flaw::LeavesToWhoever) {
            let stored = self.fleet.queue(queue).unwrap();
            let view = self.fleet.read().await?;
            let heir = view.members.iter().find(|member| stored.successor.as_ref() == Some(&member.id));
            let by = self.inner().me().clone();
            let change = match heir.filter(|_| self.flaw == Flaw::LeavesToWhoever).map(Member::owner) {
                Some(to) => Change::HandOver { by, to, clean },
                None => Change::Release { by, clean },
            };
            stored.apply(&change).into_iter().for_each(|next| self.fleet.put(next));
            return Ok(());
        }
        self.inner().release(queue, epoch, clean || self.flaw == Flaw::EveryNoteIsClean).await
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        let stored = self.fleet.queue(queue).unwrap();
        match self.flaw {
            Flaw::GrantsEveryClaim => {
                let by = self.inner().me().clone();
                let next = stored.apply(&Change::Reclaim { by: by.clone(), predecessor_dead });
                let next = next.map_err(|e| CoordinatorError::Overtaken(e.to_string()))?;
                self.fleet.put(next.clone());
                let slots = crate::slot::SlotMap::even(QUEUES);
                OwnedQueue::of(&next, &by, &slots).ok_or(CoordinatorError::Overtaken(String::new()))
            }
            Flaw::ClaimsAnewEachTime => self.inner().reclaim(queue, stored.epoch, predecessor_dead).await,
            _ => self.inner().reclaim(queue, epoch, predecessor_dead).await,
        }
    }

    async fn leave(&self) {
        self.inner().leave().await;
    }
}

impl FleetStore for Store {
    type Lead = Leading;

    async fn lead(&self) -> Result<Leading, CoordinatorError> {
        let fleet = self.inner.clone();
        let inner = if self.flaw == Flaw::EverybodyLeads { None } else { Some(self.inner.lead().await?) };
        Ok(Leading { flaw: self.flaw, fleet, inner })
    }

    async fn read(&self) -> Result<FleetView, CoordinatorError> {
        let mut view = self.inner.read().await?;
        if self.flaw == Flaw::ForgetsThePolicy {
            view.policy = Policy::default();
        }
        Ok(view)
    }

    async fn changed(&self) {
        if self.flaw == Flaw::Sleeps {
            std::future::pending::<()>().await;
        }
        self.inner.changed().await;
    }

    async fn init(&self) -> Result<(), CoordinatorError> {
        self.inner.init().await
    }

    async fn seed(&self, pool: &PoolName, queues: u16, prefetch: u16) -> Result<(), CoordinatorError> {
        self.inner.seed(pool, queues, prefetch).await?;
        if self.flaw == Flaw::SeedsAnew {
            for number in 0..queues {
                let queue = QueueName { pool: pool.clone(), number };
                self.inner.put(crate::fleet::QueueAssignment::new(queue, prefetch));
            }
        }
        Ok(())
    }

    async fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> Result<WishId, CoordinatorError> {
        let mut because = because.into();
        if self.flaw == Flaw::ForgetsWhy {
            because.reason.clear();
        }
        self.inner.wish(because, wanted).await
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), CoordinatorError> {
        self.inner.quarantine(quarantine).await
    }

    async fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> Result<(), CoordinatorError> {
        self.inner.lift(member, because).await
    }

    async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        let mut kept = self.inner.decisions().await?;
        if self.flaw == Flaw::KeepsEveryDecision && kept.len() == DECISIONS_MAX {
            kept.extend(kept.last().cloned());
        }
        Ok(kept)
    }

    async fn set_policy(&self, policy: &Policy) -> Result<(), CoordinatorError> {
        self.inner.set_policy(policy).await
    }
}

impl Lead for Leading {
    fn is_certain(&self) -> bool {
        self.inner.as_ref().is_none_or(Lead::is_certain)
    }

    async fn lost(&self) -> String {
        match &self.inner {
            Some(inner) => inner.lost().await,
            None => std::future::pending().await,
        }
    }

    async fn apply(&self, changes: &[Planned]) -> Result<Applied, CoordinatorError> {
        let unchecked = matches!(self.flaw, Flaw::WritesOverOthers | Flaw::ObeysTheDeposed);
        let (Some(inner), false) = (&self.inner, unchecked) else {
            let mut applied = Applied::default();
            for planned in changes {
                let next = planned.on.assignment.apply(&planned.change);
                let assignment = next.map_err(|e| CoordinatorError::Refused(e.to_string()))?;
                self.fleet.put(assignment.clone());
                applied.changed.push(crate::seam::StoredQueue { assignment, version: 0 });
            }
            return Ok(applied);
        };
        let applied = inner.apply(changes).await?;
        if self.flaw == Flaw::EpochsRestart {
            for stored in &applied.changed {
                let mut assignment = stored.assignment.clone();
                if assignment.epoch > 1 {
                    assignment.epoch = 1;
                    self.fleet.put(assignment);
                }
            }
        }
        Ok(applied)
    }

    async fn fulfilled(&self, wishes: &[WishId]) -> Result<(), CoordinatorError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        if self.flaw == Flaw::FulfilsAll {
            let all: Vec<WishId> = self.fleet.read().await?.wishes.iter().map(|wish| wish.id).collect();
            return inner.fulfilled(&all).await;
        }
        inner.fulfilled(wishes).await
    }
}

impl FleetHarness for Flaw {
    type Coordinator = Seat;
    type Store = Store;

    async fn fresh(&self) -> Store {
        Store { flaw: *self, inner: MemoryFleet::new() }
    }

    async fn another(&self, store: &Store) -> Store {
        Store { flaw: *self, inner: store.inner.clone() }
    }

    async fn join(&self, store: &Store, member: Member) -> Seat {
        let inner = Some(store.inner.join(member));
        let frozen = watch::Sender::new(Assignment::default());
        Seat { flaw: *self, fleet: store.inner.clone(), inner, frozen }
    }

    async fn set_away(&self, sender: &Seat, away: bool) {
        sender.inner().set_away(away);
    }

    async fn depose(&self, store: &Store) {
        store.inner.depose();
    }
}

#[tokio::test(start_paused = true)]
async fn doubles_are_refused() {
    let mut runs = Vec::new();
    for (flaw, broken) in [
        (Flaw::StaysAfterItsEnd, "who_joins_is_seen_until_it_leaves"),
        (Flaw::SaysNothing, "what_a_member_says_is_seen"),
        (Flaw::KeepsBothLives, "a_later_life_takes_the_place"),
        (Flaw::ForgetsToTell, "an_assigned_queue_reaches_its_owner"),
        (Flaw::NeverAsks, "an_owner_that_is_asked_leaves"),
        (Flaw::LeavesAlwaysToNobody, "what_is_left_for_a_member_is_that_ones"),
        (Flaw::LeavesToWhoever, "what_is_left_for_who_leaves_too_is_nobodys"),
        (Flaw::HidesTheInheritance, "an_earlier_lifes_queue_is_inherited"),
        (Flaw::GrantsEveryClaim, "one_of_two_claims_is_granted"),
        (Flaw::ClaimsAnewEachTime, "a_claim_may_be_said_again"),
        (Flaw::HearsAnybody, "only_the_owner_in_its_epoch_speaks"),
        (Flaw::EveryNoteIsClean, "a_clean_note_spares_the_grace"),
        (Flaw::NobodySettles, "who_settled_vouches_for_its_predecessor"),
        (Flaw::ForgetsWhileAway, "the_last_assignment_stands_while_away"),
        (Flaw::SeedsAnew, "making_twice_changes_nothing"),
        (Flaw::EpochsRestart, "the_epoch_only_grows"),
        (Flaw::WritesOverOthers, "a_stale_plan_changes_nothing"),
        (Flaw::EverybodyLeads, "one_monitor_leads"),
        (Flaw::ObeysTheDeposed, "a_deposed_leader_changes_nothing"),
        (Flaw::FulfilsAll, "wishes_wait_in_order_until_fulfilled"),
        (Flaw::ForgetsThePolicy, "quarantines_and_policy_are_kept"),
        (Flaw::ForgetsWhy, "decisions_are_kept_with_their_reasons"),
        (Flaw::KeepsEveryDecision, "the_oldest_decisions_go_first"),
        (Flaw::Sleeps, "changes_are_told"),
    ] {
        runs.push((flaw, broken, each(&flaw).await));
    }
    super::assert_each_refuses(PROMISES, runs);
}
