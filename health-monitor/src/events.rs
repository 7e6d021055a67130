//! What happened, told once: each function is the log line and the metric of one event. How the fleet stands is told by
//! [`crate::fleet_metrics`].

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use skein_core::QueueName;
use skein_core::fleet::{Cause, MemberId, WishId};
use skein_core::plan::{Answer, Held, Move};

use crate::api;

/// The metrics of a monitor, and its log.
pub struct Events {
    leads: IntGauge,
    passes: IntCounter,
    moves: IntCounterVec,
    stale: IntCounter,
    kicks: IntCounterVec,
    coordinator_away: IntGauge,
    broker_away: IntGauge,
}

impl Events {
    /// Registers them all.
    ///
    /// # Errors
    /// If a name is registered twice: a fault of this file.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(metric.clone()))?;
                Ok(metric)
            };
        let events = Self {
            leads: gauge("skein_monitor_leads", "1 while this monitor leads.")?,
            passes: counter("skein_monitor_passes_total", "Full passes: observe, plan, act.")?,
            moves: counters(
                "skein_fleet_changes_total",
                "Changes of assignments that this monitor made.",
                &["change", "cause"],
            )?,
            stale: counter(
                "skein_fleet_changes_stale_total",
                "Changes that came too late: the record had changed meanwhile.",
            )?,
            kicks: counters(
                "skein_fleet_kicks_total",
                "Connections of former owners that were closed: closed, or failed.",
                &["outcome"],
            )?,
            coordinator_away: gauge(
                "skein_monitor_coordinator_away",
                "1 while ZooKeeper does not answer this monitor.",
            )?,
            broker_away: gauge(
                "skein_monitor_broker_away",
                "1 while the broker does not answer this monitor.",
            )?,
        };
        // What begins at 1 has no increase: a panel would miss the first.
        for change in ["assign", "ask"] {
            Cause::ALL.iter().for_each(|cause| drop(events.change(change, cause.label())));
        }
        ["withdraw", "pause", "resume"].iter().for_each(|change| drop(events.change(change, "")));
        ["closed", "failed"].iter().for_each(|outcome| drop(events.kicks.with_label_values(&[*outcome])));
        Ok(events)
    }

    fn change(&self, change: &str, cause: &str) -> IntCounter {
        self.moves.with_label_values(&[change, cause])
    }

    /// It leads now.
    pub fn leads(&self, name: &str) {
        self.leads.set(1);
        tracing::info!(monitor = name, "this monitor leads");
    }

    /// It does not lead any more.
    pub fn deposed(&self, why: &str) {
        self.leads.set(0);
        tracing::warn!(why, "this monitor does not lead any more");
    }

    /// It cannot become a leader now.
    pub fn no_candidate(&self, why: &str) {
        tracing::debug!(why, "no place in the row of monitors; trying again");
    }

    /// A change was made.
    pub fn made(&self, made: &Move, change: &str) {
        let cause = made.cause.map_or("", |cause| cause.label());
        self.change(change, cause).inc();
        let to = made.to().map_or("", |to| to.as_str());
        let from = made.from.as_ref().map_or("", |from| from.member.as_str());
        tracing::info!(queue = %made.queue, change, cause, from, to, why = made.why, "an assignment is changed");
    }

    /// A change came too late.
    pub fn stale(&self, queue: &QueueName) {
        self.stale.inc();
        tracing::debug!(%queue, "somebody else changed it meanwhile; planning again");
    }

    /// Changes could not be made, or nobody knows.
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "the changes are not made, or not known to be; reading again");
    }

    /// A former owner's connection was closed.
    pub fn kicked(&self, member: &MemberId, queue: &QueueName) {
        self.kicks.with_label_values(&["closed"]).inc();
        tracing::info!(%member, %queue, "a former owner's connection to the broker is closed");
    }

    /// A former owner's connection could not be closed.
    pub fn kick_failed(&self, member: &MemberId, queue: &QueueName, why: &str) {
        self.kicks.with_label_values(&["failed"]).inc();
        tracing::debug!(%member, %queue, why, "a former owner's connection is not closed yet");
    }

    /// A wish is done with.
    pub fn answered(&self, wish: WishId, answer: &Answer) {
        match answer {
            Answer::Fulfilled => tracing::info!(wish = wish.0, "a wish is fulfilled"),
            Answer::Refused { why } => tracing::warn!(wish = wish.0, why, "a wish is refused"),
        }
    }

    /// ZooKeeper does not answer, or does again.
    pub fn coordinator(&self, was: Option<&str>, is: Option<&str>) {
        self.coordinator_away.set(i64::from(is.is_some()));
        match (was, is) {
            (None, Some(why)) => {
                tracing::warn!(why, "ZooKeeper does not answer; nothing moves, senders go on")
            }
            (Some(_), None) => tracing::info!("ZooKeeper answers again"),
            _ => {}
        }
    }

    /// What is held changed.
    pub fn held(&self, before: &[api::Held], now: &[Held]) {
        for held in now {
            let new = before.iter().all(|before| before.what != held.what.label());
            match held.what.alarms() {
                true if new => {
                    tracing::error!(what = held.what.label(), why = held.why, "held: a person must look")
                }
                false if new => tracing::info!(what = held.what.label(), why = held.why, "held"),
                _ => {}
            }
        }
    }

    /// A pass is over, and this is the fleet.
    pub fn passed(&self, fleet: &api::Fleet) {
        self.passes.inc();
        self.broker_away.set(i64::from(fleet.broker.state == "away"));
    }
}

#[cfg(test)]
mod tests {
    use skein_core::PoolName;
    use skein_core::fleet::{Change, Incarnation, Owner};

    use super::*;
    use crate::act;

    fn series(registry: &Registry) -> usize {
        registry.gather().iter().map(|family| family.get_metric().len()).sum()
    }

    #[test]
    fn what_is_counted_was_there_before_at_0() {
        let registry = Registry::new();
        let events = Events::new(&registry).unwrap();
        let before = series(&registry);
        let queue = QueueName { pool: PoolName::parse("im").unwrap(), number: 0 };
        let made = |change: Change, cause| {
            let word = act::label(&change);
            let made = Move {
                queue: queue.clone(),
                epoch: 1,
                from: None,
                change,
                cause,
                why: String::new(),
                kick: false,
            };
            events.made(&made, word);
        };
        let member = MemberId::parse("sender-1").unwrap();
        let to = Owner { member: member.clone(), incarnation: Incarnation(Default::default()) };
        for cause in Cause::ALL {
            made(Change::Assign { to: to.clone(), cause, predecessor_dead: false, ended_ms: 0 }, Some(cause));
            made(Change::Ask { successor: member.clone(), cause }, Some(cause));
        }
        [Change::Withdraw, Change::Pause, Change::Resume].into_iter().for_each(|change| made(change, None));
        events.kicked(&member, &queue);
        events.kick_failed(&member, &queue, "no right");
        assert_eq!(series(&registry), before, "nothing came into being when it was counted");
        assert!(before > 2 * Cause::ALL.len());
    }
}
