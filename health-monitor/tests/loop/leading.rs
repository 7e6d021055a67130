//! Of several monitors one acts, and nobody acts without the lead.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use skein_core::fleet::{Because, Decision, MemberId, Policy, Quarantine, Wanted, WishId};
use skein_core::memory::{MemoryFleet, MemoryLead};
use skein_core::seam::{CoordinatorError, FleetStore, FleetView};
use skein_core::{PoolName, QueueName};
use skein_health_monitor::api::{Done, Fleet, Move};
use skein_health_monitor::{Events, Monitor, Shown};

use crate::stage::{QUEUES, Stage, member, pass};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_next_in_the_row_takes_over() {
    let stage = Stage::new().await;
    let first = stage.monitor("first");
    pass(SECOND).await;
    let second = stage.monitor("second");
    let a = stage.fleet.join(member("a", 1));
    pass(SECOND * 10).await;
    assert_eq!(stage.share("a"), usize::from(QUEUES));
    assert!(first.shown.fleet().monitor.leads && !second.shown.fleet().monitor.leads);
    assert_eq!(second.shown.fleet().queues.len(), usize::from(QUEUES), "it knows as much");
    drop(first);
    let b = stage.fleet.join(member("b", 2));
    a.set_away(true);
    stage.fleet.expire(&a.me().member);
    pass(SECOND * 3).await;
    assert_eq!(stage.share("b"), usize::from(QUEUES));
    assert!(second.shown.fleet().monitor.leads);
    drop((a, b));
}

/// Whichever monitor is asked tells the same story.
#[tokio::test(start_paused = true)]
async fn who_waits_tells_what_the_leader_does_and_who_is_gone() {
    let stage = Stage::new().await;
    let leads = stage.monitor("first");
    pass(SECOND).await;
    let waits = stage.monitor("second");
    let (a, b) = (stage.fleet.join(member("a", 1)), stage.fleet.join(member("b", 2)));
    pass(SECOND * 10).await;
    let lost = stage.share("a");
    a.set_away(true);
    stage.fleet.expire(&a.me().member);
    pass(SECOND * 3).await;
    assert_eq!(stage.share("b"), usize::from(QUEUES));
    let story = |fleet: &Fleet| {
        let told = |done: &Done| (done.change.queue.clone(), done.epoch, done.change.clone());
        let mut told: Vec<_> = fleet.done.iter().map(told).collect();
        told.sort_by_key(|(queue, epoch, _)| (queue.clone(), *epoch));
        told
    };
    let (first, second) = (leads.shown.fleet(), waits.shown.fleet());
    assert!(first.monitor.leads && !second.monitor.leads);
    let brief = |(queue, epoch, change): &(_, u64, Move)| {
        (
            QueueName::clone(queue),
            *epoch,
            change.change.clone(),
            change.from.clone(),
            change.to.clone(),
            change.cause,
        )
    };
    let (told, seen) = (story(&first), story(&second));
    assert_eq!(told.len(), usize::from(QUEUES) + lost);
    assert_eq!(seen.iter().map(brief).collect::<Vec<_>>(), told.iter().map(brief).collect::<Vec<_>>());
    assert!(seen.iter().all(|(_, _, change)| !change.why.is_empty()));
    for fleet in [first, second] {
        let gone: Vec<_> =
            fleet.senders.iter().filter(|s| s.gone_at.is_some()).map(|s| s.member.as_str()).collect();
        assert_eq!(gone, ["a"], "who went without a word is still told of");
        assert!(fleet.alarms.iter().any(|alarm| alarm.what == "sender_gone" && alarm.why.starts_with("a ")));
    }
    drop(a);
    let again = stage.fleet.join(member("a", 3));
    pass(SECOND).await;
    assert!(waits.shown.fleet().senders.iter().all(|sender| sender.gone_at.is_none()), "it is back");
    stage.fleet.expire(&b.me().member);
    pass(SECOND * 1000).await;
    assert!(waits.shown.fleet().senders.iter().all(|sender| sender.gone_at.is_none()), "it is forgotten");
    drop((again, b));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nothing_moves_and_the_last_is_shown() {
    let stage = Stage::new().await;
    let monitor = stage.monitor("first");
    let a = stage.fleet.join(member("a", 1));
    pass(SECOND * 10).await;
    stage.fleet.set_away(true);
    pass(SECOND * 5).await;
    let fleet = monitor.shown.fleet();
    assert!(fleet.coordinator.trouble.is_some() && fleet.queues.len() == usize::from(QUEUES));
    assert!(fleet.alarms.iter().any(|alarm| alarm.what == "coordinator_away"));
    stage.fleet.set_away(false);
    pass(SECOND * 3).await;
    assert!(monitor.shown.fleet().coordinator.trouble.is_none());
    assert!((0..QUEUES).all(|n| stage.assignment(n).epoch == 1));
    drop(a);
}

/// A store whose lead is lost to another after each reading, before anything can be written.
struct Deposing(MemoryFleet);

impl FleetStore for Deposing {
    type Lead = MemoryLead;

    async fn lead(&self) -> Result<MemoryLead, CoordinatorError> {
        self.0.lead().await
    }

    async fn read(&self) -> Result<FleetView, CoordinatorError> {
        let view = self.0.read().await;
        self.0.depose();
        view
    }

    async fn changed(&self) {
        self.0.changed().await;
    }

    async fn init(&self) -> Result<(), CoordinatorError> {
        self.0.init().await
    }

    async fn seed(&self, pool: &PoolName, queues: u16, prefetch: u16) -> Result<(), CoordinatorError> {
        self.0.seed(pool, queues, prefetch).await
    }

    async fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> Result<WishId, CoordinatorError> {
        self.0.wish(because, wanted).await
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), CoordinatorError> {
        self.0.quarantine(quarantine).await
    }

    async fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> Result<(), CoordinatorError> {
        self.0.lift(member, because).await
    }

    async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        self.0.decisions().await
    }

    async fn set_policy(&self, policy: &Policy) -> Result<(), CoordinatorError> {
        self.0.set_policy(policy).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_is_lost_between_reading_and_writing_writes_and_kicks_nothing() {
    let stage = Stage::new().await;
    let (a, b) = (stage.fleet.join(member("a", 1)), stage.fleet.join(member("b", 2)));
    let helper = stage.monitor("before");
    pass(SECOND * 10).await;
    drop(helper);
    for (number, owner) in (0..QUEUES).filter_map(|n| Some((n, stage.assignment(n).owner?))) {
        stage.broker.opens(&owner, &format!("im.q{number}"));
    }
    let before = stage.owners();
    let shown = Arc::new(Shown::default());
    let monitor = Monitor {
        name: "late".to_owned(),
        store: Arc::new(Deposing(stage.fleet.clone())),
        broker: Arc::clone(&stage.broker),
        clock: stage.clock.clone(),
        events: Arc::new(Events::new(&Registry::new()).unwrap()),
        shown: Arc::clone(&shown),
    };
    let running = tokio::spawn(monitor.run());
    pass(SECOND).await;
    b.set_away(true);
    stage.fleet.expire(&b.me().member);
    pass(SECOND * 10).await;
    assert!(shown.fleet().monitor.passes > 5 && !shown.fleet().plan.moves.is_empty(), "it knows what to do");
    assert_eq!(stage.owners(), before, "and does not lead");
    assert!(stage.broker.closed.lock().unwrap().is_empty(), "nothing is closed without a written assignment");
    running.abort();
    drop(a);
}
