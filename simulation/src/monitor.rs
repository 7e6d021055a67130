//! A monitor: reads the fleet, plans, applies through its leadership, kicks. Two of them run; one leads.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use skein_core::QueueName;
use skein_core::lease::BootMillis;
use skein_core::memory::{MemoryBroker, MemoryFleet, PausedClock};
use skein_core::plan::{BrokerSeen, Connection, Memory, Observed, QueueSeen, Seen, plan};
use skein_core::seam::{Clock, CoordinatorError, FleetStore, FleetView, Lead, Planned};
use tokio::sync::Notify;

use crate::random::Random;
use crate::sender::Life;
use crate::witness::Witness;

/// How often a monitor reads although nothing was heard.
const READ_EVERY: Duration = Duration::from_secs(2);

/// What the monitors share with the world.
pub struct Watched {
    /// The broker.
    pub broker: MemoryBroker,
    /// Every life that was started.
    pub lives: RefCell<Vec<Rc<Life>>>,
    /// When the broker came back last.
    pub back_at: RefCell<Option<BootMillis>>,
    /// The broker has something to tell.
    pub events: Notify,
    /// Sees all.
    pub witness: Witness,
}

impl Watched {
    /// Cuts every connection of a life at the broker; it notices by its round trips.
    pub fn kick(&self, life: &Life, now: BootMillis, seen: bool) {
        self.witness.tell(|| format!("the broker closes life {}, seen {seen}", life.number));
        life.links.empty_limbo();
        self.broker.close_client(&life.number.to_string(), seen);
        life.links.close(now);
        self.events.notify_waiters();
    }

    fn observe(&self, view: &FleetView) -> Observed {
        let lives = self.lives.borrow();
        let connection = |owner| {
            let closed =
                lives.iter().find(|life| life.owner == owner).and_then(|life| life.links.closed_at());
            closed.map_or(Connection::Open, |at| Connection::Closed { at })
        };
        let seen = |member: &skein_core::fleet::Member| Seen {
            member: member.clone(),
            connection: connection(member.owner()),
        };
        let broker = match (self.broker.is_away(), *self.back_at.borrow()) {
            (true, _) => BrokerSeen::Away,
            (false, Some(at)) => BrokerSeen::Back { at },
            (false, None) => BrokerSeen::Up,
        };
        Observed {
            broker,
            members: view.members.iter().map(seen).collect(),
            queues: view
                .queues
                .iter()
                .map(|stored| QueueSeen {
                    assignment: stored.assignment.clone(),
                    per_second: 10,
                    depth: self.broker.depth(&stored.assignment.queue).total() as u64,
                })
                .collect(),
            wishes: view.wishes.clone(),
            quarantines: view.quarantines.clone(),
        }
    }
}

/// Runs one monitor for ever.
pub async fn run(store: MemoryFleet, watched: Rc<Watched>, clock: PausedClock, random: Random) {
    loop {
        if let Ok(lead) = store.lead().await {
            // The one before it hears of its end first.
            tokio::time::sleep(random.millis(2, 20)).await;
            let mut memory = Memory::default();
            while let Ok(wake) = round(&store, &lead, &watched, &clock, &random, &mut memory).await {
                let pause = wake.map_or(READ_EVERY, |at| at.since(clock.boot()).min(READ_EVERY));
                let lost = tokio::select! {
                    biased;
                    _ = lead.lost() => true,
                    () = store.changed() => false,
                    () = watched.events.notified() => false,
                    () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => false,
                };
                if lost {
                    break;
                }
                tokio::time::sleep(random.millis(1, 15)).await;
            }
        }
        tokio::time::sleep(random.millis(100, 400)).await;
    }
}

/// Reads, plans and acts once; says when time alone will change the plan.
async fn round(
    store: &MemoryFleet,
    lead: &impl Lead,
    watched: &Watched,
    clock: &PausedClock,
    random: &Random,
    memory: &mut Memory,
) -> Result<Option<BootMillis>, CoordinatorError> {
    let view = store.read().await?;
    let observed = watched.observe(&view);
    let (plan, remembered) = plan(&observed, &view.policy, std::mem::take(memory), clock.boot());
    *memory = remembered;
    // Between reading and writing anything may happen: another leads, an owner has spoken.
    tokio::time::sleep(if random.percent(10) { random.millis(20, 400) } else { random.millis(0, 5) }).await;
    let on = |queue: &QueueName| view.queues.iter().find(|stored| stored.assignment.queue == *queue).cloned();
    let planned: Vec<Planned> = plan
        .moves
        .iter()
        .filter_map(|planned| Some(Planned { on: on(&planned.queue)?, change: planned.change.clone() }))
        .collect();
    if !planned.is_empty() {
        let applied = lead.apply(&planned).await?;
        for planned in &plan.moves {
            let done = applied.changed.iter().any(|stored| stored.assignment.queue == planned.queue);
            watched.witness.tell(|| format!("plan, done {done}: {} {}", planned.queue, planned.why));
            if done && planned.kick && lead.is_certain() {
                let lives = watched.lives.borrow().clone();
                if let Some(life) = lives.iter().find(|life| Some(&life.owner) == planned.from.as_ref()) {
                    watched.kick(life, clock.boot(), false);
                }
            }
        }
    }
    if !plan.answered.is_empty() {
        let answered: Vec<_> = plan.answered.iter().map(|answered| answered.wish).collect();
        lead.fulfilled(&answered).await?;
    }
    Ok(plan.wake)
}
