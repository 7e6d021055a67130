//! Observe: what the store and the broker say, put together into what the plan reads.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_core::fleet::{Health, Owner};
use skein_core::lease::BootMillis;
use skein_core::plan::{Connection, Observed, QueueSeen, Seen};
use skein_core::seam::FleetView;

use crate::broker::BrokerView;

/// Since when each life says that the broker does not answer it.
#[derive(Debug, Clone, Default)]
pub struct CutOff {
    since: BTreeMap<Owner, BootMillis>,
}

impl CutOff {
    /// Takes in what members say now.
    fn look(&mut self, view: &FleetView, now: BootMillis) {
        let cut: Vec<Owner> =
            view.members.iter().filter(|m| m.broker == Health::CutOff).map(|m| m.owner()).collect();
        self.since.retain(|life, _| cut.contains(life));
        for life in cut {
            self.since.entry(life).or_insert(now);
        }
    }
}

/// Puts it together. A member that says itself that it is cut off is taken as one whose connections are closed: the broker
/// notices a silent cut only by its heartbeats.
pub fn observe(view: &FleetView, broker: &BrokerView, cut: &mut CutOff, now: BootMillis) -> Observed {
    cut.look(view, now);
    let members = view.members.iter().map(|member| {
        let life = member.owner();
        let connection = match (broker.connections.of(&life), cut.since.get(&life)) {
            (closed @ Connection::Closed { .. }, _) => closed,
            (Connection::Open, Some(at)) => Connection::Closed { at: *at },
            (Connection::Open, None) => Connection::Open,
        };
        Seen { member: member.clone(), connection }
    });
    let queues = view.queues.iter().map(|stored| {
        let figures = broker.queues.get(&stored.assignment.queue).copied().unwrap_or_default();
        QueueSeen {
            assignment: stored.assignment.clone(),
            per_second: figures.load,
            depth: figures.ready + figures.unacked,
        }
    });
    Observed {
        broker: broker.seen,
        members: members.collect(),
        queues: queues.collect(),
        wishes: view.wishes.clone(),
        quarantines: view.quarantines.clone(),
    }
}

/// How old the broker's figures are.
pub fn age(at: Option<BootMillis>, now: BootMillis) -> Option<Duration> {
    at.map(|at| now.since(at))
}
