//! What a sender says of itself to its fleet: measured once a second, and told at once when a decision may hang on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skein_core::fleet::{CredentialReport, Health, Load, Member, Report, ServedPool};
use skein_core::lease::BootMillis;
use skein_core::{PoolName, QueueName};

use crate::metrics::{Metrics, Totals};
use crate::status::{Status, View};

/// Over how long the load is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// How long every queue may be unattached before the broker counts as cut off: attaching anew takes less.
const UNATTACHED_MAX: Duration = Duration::from_secs(1);

/// How long a pool that APNs refuses is called refused without a queue of it: nothing is written then that could show whether
/// it still does. Whether it is tried again is the plan's matter.
const REFUSED_IDLE_MAX: Duration = Duration::from_secs(60);

/// Describes one sender.
pub struct Describer {
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    measured: Option<(BootMillis, Totals)>,
    load: Load,
    unattached_since: Option<BootMillis>,
    /// Since when a refused pool has had no queue here.
    idle_since: BTreeMap<PoolName, BootMillis>,
}

/// What the sender's parts say, besides its status.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Each pool's credential. One without is not served.
    pub credentials: BTreeMap<PoolName, CredentialReport>,
    /// Why its own connection to the broker is not there, if it is not.
    pub broker_trouble: Option<String>,
    /// It is leaving its queues.
    pub draining: bool,
}

impl Describer {
    /// For a running sender.
    pub fn new(status: Arc<Status>, metrics: Arc<Metrics>) -> Self {
        Self {
            status,
            metrics,
            measured: None,
            load: Load::default(),
            unattached_since: None,
            idle_since: BTreeMap::new(),
        }
    }

    /// The whole description, over what never changes in a life.
    pub fn describe(&mut self, life: &Member, parts: &Parts, now: BootMillis) -> Member {
        self.measure(now);
        let view = self.status.view();
        let unattached = view.queues.values().filter(|why| why.is_some()).count();
        let attached = view.queues.len() - unattached;
        if unattached > 0 && attached == 0 {
            self.unattached_since.get_or_insert(now);
        } else {
            self.unattached_since = None;
        }
        let nothing_attached = self.unattached_since.is_some_and(|since| now.since(since) >= UNATTACHED_MAX);
        // With queues attached the broker answers, whatever became of the connection beside them.
        let cut_off = nothing_attached || view.queues.is_empty() && parts.broker_trouble.is_some();
        self.look_for_idle(parts, &view, now);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Member {
            pools: parts
                .credentials
                .iter()
                .map(|(pool, report)| {
                    let idle =
                        self.idle_since.get(pool).is_some_and(|since| now.since(*since) >= REFUSED_IDLE_MAX);
                    served(pool, report, &view, idle)
                })
                .collect(),
            ledger: cut_off_if(view.ledger.is_some()),
            broker: cut_off_if(cut_off),
            load: self.load,
            draining: parts.draining || view.draining,
            report: Report {
                attached: count(attached),
                unattached: count(unattached),
                credentials: credentials(parts, &view),
            },
            ..life.clone()
        }
    }

    fn look_for_idle(&mut self, parts: &Parts, view: &View, now: BootMillis) {
        let owned = |pool: &PoolName| {
            view.queues.keys().any(|queue| QueueName::parse(queue).is_some_and(|queue| queue.pool == *pool))
        };
        let idle = |pool: &PoolName| troubled(&view.paused, pool) && !owned(pool);
        self.idle_since.retain(|pool, _| idle(pool));
        for pool in parts.credentials.keys().filter(|pool| idle(pool)) {
            self.idle_since.entry(pool.clone()).or_insert(now);
        }
    }

    fn measure(&mut self, now: BootMillis) {
        let totals = self.metrics.totals();
        let Some((then, before)) = self.measured else {
            self.measured = Some((now, totals));
            return;
        };
        let seconds = now.since(then).as_secs_f64();
        if now.since(then) < MEASURE {
            return;
        }
        let whole = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let writes = totals.writes.saturating_sub(before.writes) as f64 / seconds;
        let firsts = totals.firsts.saturating_sub(before.firsts);
        let dwell = totals.dwell_seconds - before.dwell_seconds;
        self.load = Load {
            per_second: writes.round() as u32,
            in_flight: whole(totals.begun),
            held: whole(totals.held.saturating_sub(totals.begun)),
            delay_ms: if firsts == 0 {
                self.load.delay_ms
            } else {
                (dwell * 1e3 / firsts as f64).round() as u32
            },
        };
        self.measured = Some((now, totals));
    }
}

fn cut_off_if(cut_off: bool) -> Health {
    if cut_off { Health::CutOff } else { Health::Healthy }
}

fn troubled(list: &BTreeMap<String, Option<String>>, pool: &PoolName) -> bool {
    list.get(pool.as_str()).is_some_and(|why| why.is_some())
}

fn served(pool: &PoolName, report: &CredentialReport, view: &View, idle: bool) -> ServedPool {
    let apns = if troubled(&view.paused, pool) && !idle {
        Health::Refused
    } else {
        // A pool without a credential here may have one elsewhere.
        cut_off_if(troubled(&view.transports, pool) || report.state == "none")
    };
    ServedPool { pool: pool.clone(), apns }
}

fn credentials(parts: &Parts, view: &View) -> BTreeMap<PoolName, CredentialReport> {
    let with_breaker = |(pool, report): (&PoolName, &CredentialReport)| {
        let paused = view.paused.get(pool.as_str()).cloned().flatten();
        (pool.clone(), CredentialReport { paused, ..report.clone() })
    };
    parts.credentials.iter().map(with_breaker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;
    use skein_core::fleet::{Incarnation, MemberId};

    #[test]
    fn says_what_its_parts_say() {
        let status = Arc::new(Status::default());
        let metrics = Arc::new(Metrics::new(Registry::new()).unwrap());
        let mut describer = Describer::new(Arc::clone(&status), metrics);
        let life: Member = serde_json::from_str(
            r#"{"id":"s1","incarnation":"00000000-0000-0000-0000-000000000001","host":"h","version":"1",
                "pools":[],"connection_prefix":"s1","since":"2026-11-21T12:00:00Z"}"#,
        )
        .unwrap();
        let pool = PoolName::parse("im").unwrap();
        let parts = Parts {
            credentials: BTreeMap::from([(pool.clone(), CredentialReport::default())]),
            ..Parts::default()
        };
        let at = BootMillis;
        let first = describer.describe(&life, &parts, at(1_000));
        assert_eq!(first.apns(&pool), Some(Health::Healthy));
        assert_eq!((first.broker, first.ledger, first.draining), (Health::Healthy, Health::Healthy, false));
        assert_eq!(
            (first.id, first.incarnation),
            (MemberId::parse("s1").unwrap(), Incarnation(uuid::Uuid::from_u128(1)))
        );
        status.paused(&pool, crate::status::Refused::Answering, Some("Forbidden"));
        status.queue(&QueueName::parse("im.q0").unwrap(), Some("away".into()));
        let second = describer.describe(&life, &parts, at(1_500));
        assert_eq!(
            second.apns(&pool),
            Some(Health::Refused),
            "P5: nobody with the same credential fares better"
        );
        assert_eq!(second.report.credentials[&pool].paused.as_deref(), Some("Forbidden"));
        assert_eq!((second.broker, second.report.unattached), (Health::Healthy, 1));
        assert_eq!(describer.describe(&life, &parts, at(2_500)).broker, Health::CutOff);
        status.queue(&QueueName::parse("im.q0").unwrap(), None);
        let third = describer.describe(&life, &parts, at(2_600));
        assert_eq!((third.broker, third.report.attached), (Health::Healthy, 1));

        status.released(&QueueName::parse("im.q0").unwrap());
        assert_eq!(describer.describe(&life, &parts, at(10_000)).apns(&pool), Some(Health::Refused));
        let idle = describer.describe(&life, &parts, at(70_000));
        assert_eq!(
            idle.apns(&pool),
            Some(Health::Healthy),
            "nothing here can show whether it is still refused"
        );
        assert_eq!(idle.report.credentials[&pool].paused.as_deref(), Some("Forbidden"));
        status.queue(&QueueName::parse("im.q0").unwrap(), None);
        assert_eq!(describer.describe(&life, &parts, at(71_000)).apns(&pool), Some(Health::Refused));
    }
}
