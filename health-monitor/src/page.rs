//! From what was observed and planned to what the API says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skein_core::fleet::{Health, Member, MemberId, Owner, QueueAssignment};
use skein_core::lease::BootMillis;
use skein_core::plan::{self, BrokerSeen};
use skein_core::seam::FleetView;
use skein_core::{QueueName, Timestamp};

use crate::act::label;
use crate::alarms;
use crate::api::{
    Broker, Credential, Done, FIGURES_KEPT_SECONDS, Fleet, Held, Lease, Monitor, Move, Plan, Queue,
    QueueState, Sender, Service,
};
use crate::broker::BrokerView;
use crate::queue_figures::Figures;
use crate::witness::Gone;

/// All that a page is made of.
pub(crate) struct Page<'a> {
    pub at: Timestamp,
    pub now: BootMillis,
    pub monitor: Monitor,
    pub coordinator: Option<String>,
    pub view: &'a FleetView,
    pub broker: &'a BrokerView,
    pub plan: &'a plan::Plan,
    pub done: &'a VecDeque<Done>,
    pub gone: &'a Gone,
}

impl Page<'_> {
    /// The whole page.
    pub fn fleet(&self) -> Fleet {
        let members: BTreeMap<&MemberId, &Member> = self.view.members.iter().map(|m| (&m.id, m)).collect();
        let mut fleet = Fleet {
            at: self.at,
            monitor: self.monitor.clone(),
            coordinator: Service { trouble: self.coordinator.clone() },
            broker: self.broker(),
            queues: self.view.queues.iter().map(|q| self.queue(&q.assignment, &members)).collect(),
            senders: self.senders(&members),
            credentials: self.credentials(),
            plan: self.plan(),
            done: self.done.iter().cloned().collect(),
            alarms: Vec::new(),
            wishes: self.view.wishes.clone(),
            quarantines: self.view.quarantines.clone(),
            policy: self.view.policy.clone(),
        };
        fleet.alarms = alarms::of(&fleet);
        fleet
    }

    fn broker(&self) -> Broker {
        let state = match self.broker.seen {
            BrokerSeen::Up => "up",
            BrokerSeen::Back { at } if self.now.since(at) > self.view.policy.broker_debounce => "up",
            BrokerSeen::Back { .. } => "back",
            BrokerSeen::Away => "away",
        };
        Broker {
            state: state.to_owned(),
            events_trouble: self.broker.events_trouble.clone(),
            management_trouble: self.broker.management_trouble.clone(),
            figures_age_ms: self.broker.figures_at.map(|at| self.now.since(at).as_millis() as u64),
        }
    }

    fn queue(&self, stored: &QueueAssignment, members: &BTreeMap<&MemberId, &Member>) -> Queue {
        let lives =
            |owner: &Owner| members.get(&owner.member).is_some_and(|m| m.incarnation == owner.incarnation);
        let figures = self.figures(&stored.queue);
        let state = match QueueState::of(stored, stored.owner.as_ref().is_some_and(lives)) {
            // The grace counts from the first delivery. Where the broker holds nothing, nobody can have anything in flight.
            QueueState::Settling if figures.is_some_and(|f| f.ready + f.unacked == 0) => QueueState::Owned,
            state => state,
        };
        let rates = figures.and_then(|figures| figures.rates);
        Queue {
            queue: stored.queue.clone(),
            state,
            owner: stored.owner.as_ref().map(|owner| owner.member.clone()),
            incarnation: stored.owner.as_ref().map(|owner| owner.incarnation),
            epoch: stored.epoch,
            cause: stored.cause,
            successor: stored.successor.clone(),
            paused: stored.paused,
            prefetch: stored.prefetch,
            ready: figures.map(|figures| figures.ready),
            unacked: figures.map(|figures| figures.unacked),
            depth: figures.map(|figures| figures.ready + figures.unacked),
            oldest_ms: figures.map(|figures| figures.oldest.as_millis() as u64),
            in_per_second: rates.map(|(come, _)| come),
            out_per_second: rates.map(|(_, settled)| settled),
        }
    }

    /// What the broker says of a queue, unless that is long ago.
    fn figures(&self, queue: &QueueName) -> Option<&Figures> {
        let age = self.now.since(self.broker.figures_at?);
        self.broker.queues.get(queue).filter(|_| age.as_secs() < FIGURES_KEPT_SECONDS)
    }

    fn senders(&self, members: &BTreeMap<&MemberId, &Member>) -> Vec<Sender> {
        let standings: BTreeMap<&MemberId, &plan::Standing> =
            self.plan.members.iter().map(|standing| (&standing.member, standing)).collect();
        let owners = self.view.queues.iter().filter_map(|q| q.assignment.owner.as_ref().map(|o| &o.member));
        let names: BTreeSet<&MemberId> =
            members.keys().copied().chain(owners).chain(self.gone.members()).collect();
        let sender = |id: &&MemberId| self.sender(id, members.get(*id).copied(), standings.get(*id).copied());
        names.iter().map(sender).collect()
    }

    /// A member whose connections are closed says nothing any more: what its session still holds is what it said last. One that says
    /// itself that it is cut off from the broker is alive.
    fn speaks(&self, member: &Member) -> bool {
        let is_dead = |s: &plan::Standing| s.member == member.id && s.state == plan::State::BrokerDead;
        member.broker == Health::CutOff || !self.plan.members.iter().any(is_dead)
    }

    fn credentials(&self) -> Vec<Credential> {
        let all = self.view.members.iter().filter(|member| self.speaks(member)).flat_map(|member| {
            member.pools.iter().map(|served| Credential {
                pool: served.pool.clone(),
                member: member.id.clone(),
                apns: served.apns,
                report: member.report.credentials.get(&served.pool).cloned().unwrap_or_default(),
            })
        });
        let mut all: Vec<Credential> = all.collect();
        all.sort_by(|a, b| (&a.pool, &a.member).cmp(&(&b.pool, &b.member)));
        all
    }

    fn sender(&self, id: &MemberId, member: Option<&Member>, standing: Option<&plan::Standing>) -> Sender {
        let said = member.filter(|member| self.speaks(member));
        let owned = self
            .view
            .queues
            .iter()
            .filter(|q| q.assignment.owner.as_ref().is_some_and(|owner| owner.member == *id));
        let load = said.map(|member| member.load);
        let lease = said.map(|member| match (member.report.attached, member.report.unattached) {
            (0, 0) => Lease::None,
            (_, 0) => Lease::Open,
            (0, _) => Lease::Shut,
            _ => Lease::Partly,
        });
        Sender {
            member: id.clone(),
            state: standing.map_or("session_gone", |standing| standing.state.label()).to_owned(),
            incarnation: member.map(|member| member.incarnation),
            host: member.map(|member| member.host.clone()),
            zone: member.and_then(|member| member.zone.clone()),
            version: member.map(|member| member.version.clone()),
            since: member.map(|member| member.since),
            gone_at: self.gone.since(id),
            queues: owned.map(|q| q.assignment.queue.clone()).collect(),
            per_second: load.map(|load| load.per_second),
            in_flight: load.map(|load| load.in_flight),
            held: load.map(|load| load.held),
            delay_ms: load.map(|load| load.delay_ms),
            weight: standing.map_or(0, |standing| standing.load),
            apns: said.and_then(|m| m.pools.iter().map(|pool| pool.apns).max_by_key(|h| badness(*h))),
            broker: said.map(|member| member.broker),
            ledger: said.map(|member| member.ledger),
            lease,
            draining: member.is_some_and(|member| member.draining),
            quarantined: self.view.quarantines.iter().any(|quarantine| quarantine.member == *id),
            succeeds: member.and_then(|m| m.succeeds.as_ref()).map(|owner| owner.member.clone()),
            connections: member.map(|member| self.broker.connections.open(&member.owner())),
        }
    }

    fn plan(&self) -> Plan {
        let held = self.plan.held.iter().map(|held| Held {
            what: held.what.label().to_owned(),
            why: held.why.clone(),
            alarms: held.what.alarms(),
        });
        Plan {
            moves: self.plan.moves.iter().map(shown).collect(),
            held: held.collect(),
            wakes_in_ms: self.plan.wake.map(|wake| wake.since(self.now).as_millis() as u64),
        }
    }
}

/// A move as the API says it.
pub(crate) fn shown(planned: &plan::Move) -> Move {
    Move {
        queue: planned.queue.clone(),
        change: label(&planned.change).to_owned(),
        from: planned.from.as_ref().map(|owner| owner.member.clone()),
        to: planned.to().cloned(),
        cause: planned.cause,
        why: planned.why.clone(),
    }
}

fn badness(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::CutOff => 1,
        Health::Refused => 2,
    }
}
