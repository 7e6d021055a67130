//! What a pool's connections to APNs add to the metrics: one of these a shard, each adds its share to the pool's figures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use skein_apns::{Client, ConnectFailure};
use skein_core::PoolName;

use crate::metrics::Metrics;

/// How often a shard's client is looked at, while it has anything to do.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How a connection ends.
const ENDED: [&str; 3] = ["retired", "lost", "silent"];

/// The families, registered once.
pub(crate) struct Families {
    connections: IntGaugeVec,
    connects: IntCounterVec,
    ended: IntCounterVec,
    goaways: IntCounterVec,
}

impl Families {
    /// Registers them.
    ///
    /// # Errors
    /// If a name is registered twice.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone())).map(|()| metric)
        };
        let connections = IntGaugeVec::new(
            Opts::new(
                "skein_apns_connections",
                "Connections to APNs by state: open (in service), connecting, retiring (only finishing).",
            ),
            &["pool", "state"],
        )?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self {
            connections,
            connects: counters(
                "skein_apns_connects_total",
                "Attempts to connect to APNs: made, or the class of the failure.",
                &["pool", "outcome"],
            )?,
            ended: counters(
                "skein_apns_connections_ended_total",
                "Connections to APNs that ended: retired in good order, lost, or silent (lost because the peer said nothing).",
                &["pool", "how"],
            )?,
            goaways: counters("skein_apns_goaways_total", "GOAWAY frames that APNs sent.", &["pool"])?,
        })
    }

    /// What is counted of a pool begins at 0.
    pub(crate) fn begin(&self, pool: &str) {
        self.goaways.with_label_values(&[pool]);
        ENDED.iter().for_each(|how| drop(self.ended.with_label_values(&[pool, *how])));
        self.connects.with_label_values(&[pool, "made"]);
        for failure in ConnectFailure::ALL {
            self.connects.with_label_values(&[pool, failure.label()]);
        }
    }
}

/// One shard's share of a pool's connections.
pub struct ConnectionMetrics {
    states: [IntGauge; 3],
    made: IntCounter,
    failed: Vec<IntCounter>,
    ended: [IntCounter; 3],
    goaways: IntCounter,
    told: Told,
    looked: Option<Instant>,
}

/// What has been added so far.
#[derive(Default, Clone)]
struct Told {
    states: [i64; 3],
    made: u64,
    failed: [u64; ConnectFailure::ALL.len()],
    ended: [u64; 3],
    goaways: u64,
}

impl ConnectionMetrics {
    /// Those of one pool.
    pub fn new(all: &Arc<Metrics>, pool: &PoolName) -> Self {
        let families = all.connections();
        let name = pool.as_str();
        Self {
            states: ["open", "connecting", "retiring"]
                .map(|state| families.connections.with_label_values(&[name, state])),
            made: families.connects.with_label_values(&[name, "made"]),
            failed: ConnectFailure::ALL
                .iter()
                .map(|failure| families.connects.with_label_values(&[name, failure.label()]))
                .collect(),
            ended: ENDED.map(|how| families.ended.with_label_values(&[name, how])),
            goaways: families.goaways.with_label_values(&[name]),
            told: Told::default(),
            looked: None,
        }
    }

    /// Looks at the client, at most twice a second.
    pub(crate) fn look(&mut self, client: &Client) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let (status, health) = (client.status(), client.health());
        self.tell(Told {
            states: [status.open, status.connecting, status.retiring].map(|n| n as i64),
            made: health.connects,
            failed: health.connect_failures,
            ended: [health.retired, health.connections_lost.saturating_sub(health.silent), health.silent],
            goaways: health.connections.goaways,
        });
    }

    fn tell(&mut self, now: Told) {
        let was = std::mem::replace(&mut self.told, now);
        let now = &self.told;
        for (gauge, (now, was)) in self.states.iter().zip(now.states.iter().zip(was.states)) {
            gauge.add(now - was);
        }
        let counts = |counters: &[IntCounter], now: &[u64], was: &[u64]| {
            for (counter, (now, was)) in counters.iter().zip(now.iter().zip(was)) {
                counter.inc_by(now.saturating_sub(*was));
            }
        };
        counts(&self.failed, &now.failed, &was.failed);
        counts(&self.ended, &now.ended, &was.ended);
        self.made.inc_by(now.made.saturating_sub(was.made));
        self.goaways.inc_by(now.goaways.saturating_sub(was.goaways));
    }
}

impl Drop for ConnectionMetrics {
    fn drop(&mut self) {
        // What is counted stays; what is open is not any more.
        let mut none = self.told.clone();
        none.states = [0; 3];
        self.tell(none);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_and_one_that_ends_takes_its_share_with_it() {
        let registry = Registry::new();
        let all = Arc::new(Metrics::new(registry.clone()).unwrap());
        let pool = PoolName::parse("im").unwrap();
        let mut first = ConnectionMetrics::new(&all, &pool);
        let mut second = ConnectionMetrics::new(&all, &pool);
        let told = |open, goaways| Told { states: [open, 0, 1], goaways, made: 3, ..Told::default() };
        first.tell(told(2, 5));
        second.tell(told(1, 1));
        first.tell(told(4, 6));
        let read = |open: i64, retiring: i64| {
            let families = all.connections();
            let state = |state| families.connections.with_label_values(&["im", state]).get();
            assert_eq!((state("open"), state("retiring")), (open, retiring));
            assert_eq!(families.goaways.with_label_values(&["im"]).get(), 7);
            assert_eq!(families.connects.with_label_values(&["im", "made"]).get(), 6);
        };
        read(5, 2);
        drop(first);
        read(1, 1);
    }
}
