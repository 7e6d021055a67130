//! The monitor's loop: observe → plan → act, at every event and at least once a second, from the whole state each time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skein_core::lease::BootMillis;
use skein_core::plan::{Memory, Plan, plan};
use skein_core::seam::{Clock, FleetStore, FleetView, Lead};

use crate::act;
use crate::api::{self, DONE_MAX, Done, Fleet, History};
use crate::broker::BrokerWatch;
use crate::candidate::Candidate;
use crate::events::Events;
use crate::history::Ring;
use crate::kicks::Kicks;
use crate::observe::{CutOff, observe};
use crate::page::{Page, shown};
use crate::witness::{self, Gone};

/// The longest time between two full passes.
const PASS_EVERY: Duration = Duration::from_secs(1);
/// The shortest: events that come in a crowd are one pass.
const PASS_APART: Duration = Duration::from_millis(5);
/// How often the row of monitors is read.
const ROW_EVERY: Duration = Duration::from_secs(5);

/// What a monitor stands on.
pub struct Monitor<S, B, C> {
    /// Its name in the row of monitors.
    pub name: String,
    /// Where the fleet is stored.
    pub store: Arc<S>,
    /// The broker.
    pub broker: Arc<B>,
    /// The clock.
    pub clock: C,
    /// Log and metrics.
    pub events: Arc<Events>,
    /// What the API reads.
    pub shown: Arc<Shown>,
}

/// What the API says: the last pass, for any number of readers.
#[derive(Debug, Default)]
pub struct Shown {
    fleet: Mutex<Arc<Fleet>>,
    ring: Mutex<Ring>,
}

impl Shown {
    /// The fleet, as of the last pass.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last quarter of an hour.
    pub fn history(&self) -> History {
        self.ring().history()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, fleet: Fleet, now: BootMillis) {
        self.ring().take(&fleet, now);
        *self.fleet.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(fleet);
    }
}

/// What one pass leaves for the next.
#[derive(Default)]
struct State {
    memory: Memory,
    cut: CutOff,
    kicks: Kicks,
    view: FleetView,
    plan: Plan,
    done: VecDeque<Done>,
    gone: Gone,
    trouble: Option<String>,
    monitor: api::Monitor,
    row_at: Option<BootMillis>,
}

impl State {
    fn note(&mut self, done: Done) {
        self.done.truncate(DONE_MAX - 1);
        self.done.push_front(done);
    }
}

impl<S: FleetStore, B: BrokerWatch, C: Clock> Monitor<S, B, C> {
    /// Runs until it is dropped; then it gives the lead up. Must be called within a runtime.
    pub async fn run(self) {
        let mut candidate =
            Candidate::stand(Arc::clone(&self.store), self.name.clone(), Arc::clone(&self.events));
        let mut state = State::default();
        state.monitor.name.clone_from(&self.name);
        loop {
            let lead = candidate.lead();
            let began = self.clock.boot();
            let next = self.pass(&mut state, lead).await;
            state.monitor.pass_ms = self.clock.boot().since(began).as_millis() as u64;
            tokio::time::sleep(PASS_APART).await;
            tokio::select! {
                () = self.store.changed() => {}
                () = self.broker.changed() => {}
                () = candidate.changed() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// One full pass. How long until the next at the latest.
    async fn pass(&self, state: &mut State, lead: Option<Arc<S::Lead>>) -> Duration {
        let read = self.store.read().await;
        let (now, at) = (self.clock.boot(), self.clock.now());
        let trouble = match read {
            Ok(view) => {
                state.gone.look(&state.view, &view, &state.plan.members, (now, at));
                let changes = witness::changes(&state.view, &view, &state.plan.moves, at);
                changes.into_iter().for_each(|done| state.note(done));
                state.view = view;
                None
            }
            Err(error) => Some(error.to_string()),
        };
        self.events.coordinator(state.trouble.as_deref(), trouble.as_deref());
        state.trouble = trouble;
        let broker = self.broker.view();
        let mut next = PASS_EVERY;
        if state.trouble.is_none() {
            let observed = observe(&state.view, &broker, &mut state.cut, now);
            let before: Vec<api::Held> = self.shown.fleet().plan.held.clone();
            let (planned, memory) =
                plan(&observed, &state.view.policy, std::mem::take(&mut state.memory), now);
            (state.plan, state.memory) = (planned, memory);
            if let Some(lead) = &lead {
                self.events.held(&before, &state.plan.held);
                if self.act(state, &**lead, &broker, now).await {
                    next = Duration::ZERO;
                }
            }
            let wakes = state.plan.wake.into_iter().chain(state.kicks.wake(&broker.connections, now));
            next = wakes.map(|wake| wake.since(now)).fold(next, Duration::min);
            self.read_row(state, now).await;
        }
        state.monitor.leads = lead.is_some();
        state.monitor.passes += 1;
        let page = Page {
            at,
            now,
            monitor: state.monitor.clone(),
            coordinator: state.trouble.clone(),
            view: &state.view,
            broker: &broker,
            plan: &state.plan,
            done: &state.done,
            gone: &state.gone,
        };
        let fleet = page.fleet();
        self.events.passed(&fleet);
        self.shown.show(fleet, now);
        next
    }

    /// Changes first, then kicks. Whether the next pass should begin at once.
    async fn act<L: Lead>(
        &self,
        state: &mut State,
        lead: &L,
        broker: &crate::broker::BrokerView,
        now: BootMillis,
    ) -> bool {
        let made =
            act::change(lead, &state.plan, &mut state.view, broker, &mut state.kicks, &self.events, now)
                .await;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                self.events.failed(&error);
                return false;
            }
        };
        for (planned, epoch) in made.moves {
            state.note(Done { at: self.clock.now(), epoch, change: shown(&planned) });
        }
        act::kick(lead, &*self.broker, broker, &state.view, &mut state.kicks, &self.events, now).await;
        made.again
    }

    async fn read_row(&self, state: &mut State, now: BootMillis) {
        if state.row_at.is_some_and(|at| now.since(at) < ROW_EVERY) {
            return;
        }
        state.row_at = Some(now);
        if let Ok(row) = self.store.monitors().await {
            state.monitor.row = row;
        }
    }
}
