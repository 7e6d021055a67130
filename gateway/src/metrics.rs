//! The gateway's metrics. No label per caller, user, token or notification.

use std::iter;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

use skein_core::PoolName;

use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::{devices, notifications, trace};

/// Where a request ends, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The gateway's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    notifications: IntCounterVec,
    confirmed: IntCounterVec,
    /// From the first byte of a submission's body wanted to its answer.
    pub(crate) seconds: Histogram,
    /// Requests under way.
    pub(crate) open: IntGauge,
    /// Keys remembered.
    pub(crate) keys: IntGauge,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If they are registered already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "skein_gateway_requests_total",
                    "Requests by route and by the word of their answer",
                ),
                &["route", "answer"],
            )?,
            notifications: IntCounterVec::new(
                Opts::new("skein_gateway_notifications_total", "Submitted notifications by pool and outcome"),
                &["pool", "outcome"],
            )?,
            confirmed: IntCounterVec::new(
                Opts::new(
                    "skein_gateway_confirmed_total",
                    "Notifications that were submitted once and confirmed: what the ledger must come to hold",
                ),
                &["pool"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new("skein_gateway_submit_seconds", "Time of a submission, body to answer")
                    .buckets(SECONDS.to_vec()),
            )?,
            open: IntGauge::new("skein_gateway_requests_open", "Requests under way")?,
            keys: IntGauge::new("skein_gateway_idempotency_keys", "Idempotency-Keys remembered")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.notifications.clone()))?;
        registry.register(Box::new(metrics.confirmed.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.keys.clone()))?;
        // What begins at 1 has no increase: an alarm or a panel would miss the first.
        for route in [notifications::PATH, trace::PATH, devices::PATH] {
            for answer in iter::once("ok").chain(Problem::LABELS) {
                metrics.requests.with_label_values(&[route, answer]);
            }
        }
        Ok(metrics)
    }

    /// Whatever is submitted to these pools is counted from 0.
    pub(crate) fn begin<'a>(&self, pools: impl IntoIterator<Item = &'a PoolName>) {
        for pool in pools {
            self.confirmed.with_label_values(&[pool.as_str()]);
            for outcome in Outcome::ALL {
                self.notifications.with_label_values(&[pool.as_str(), outcome.label()]);
            }
        }
    }

    /// A request was answered; `answer` is `ok` or the problem's word.
    pub(crate) fn answered(&self, route: &'static str, answer: &'static str) {
        self.requests.with_label_values(&[route, answer]).inc();
    }

    /// So many notifications, never submitted before, are confirmed. What is submitted again is not counted: its first copy may have
    /// been.
    pub(crate) fn confirmed(&self, pool: &str, count: usize) {
        self.confirmed.with_label_values(&[pool]).inc_by(count as u64);
    }

    /// Notifications of a pool had an outcome.
    pub(crate) fn submitted(&self, pool: &str, outcome: Outcome, count: usize) {
        if count > 0 {
            self.notifications.with_label_values(&[pool, outcome.label()]).inc_by(count as u64);
        }
    }
}
