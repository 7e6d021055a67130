//! Every metric of a sender: its one home. Prometheus' conventions; no label per user, token or notification.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector as _;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use skein_core::answer::{Answer, Evidence};
use skein_core::fact::NoteKind;
use skein_core::{FinalVerdict, PoolName, Reason};

use crate::connection_metrics::Families;
use crate::status::View;

pub mod account;
mod apps;
pub(crate) mod zero;

/// Buckets for what takes between 1 ms and a minute, in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The metrics of a process.
pub struct Metrics {
    registry: Registry,
    notifications: IntCounterVec,
    answers: IntCounterVec,
    retries: IntCounterVec,
    dwell: HistogramVec,
    request: HistogramVec,
    paused: IntGaugeVec,
    deliveries: IntCounterVec,
    redelivered: IntCounterVec,
    dead_letters: IntCounterVec,
    held: IntGaugeVec,
    fullness: GaugeVec,
    cuts: IntCounterVec,
    record_rows: IntCounter,
    record_seconds: Histogram,
    draining: IntGauge,
    ledger_away: IntGauge,
    queues_away: IntGauge,
    coordinator_away: IntGauge,
    begun: IntGaugeVec,
    credential_expires: IntGaugeVec,
    credential_rotations: IntCounterVec,
    credential_expiring: IntCounterVec,
    account: account::Account,
    apps: apps::Apps,
    connections: Families,
}

/// The metrics of one pool, looked up once.
pub struct PoolMetrics {
    all: Arc<Metrics>,
    pool: PoolName,
    verdicts: [IntCounter; 8],
    ok: IntCounter,
    in_doubt: IntCounter,
    not_sent: IntCounter,
    retry: IntCounter,
    retry_in_doubt: IntCounter,
    dwell: Histogram,
    request: Histogram,
    deliveries: IntCounter,
    redelivered: IntCounter,
    cuts: IntCounter,
    begun: IntGauge,
    apps: Arc<apps::Named>,
}

/// What all pools together have counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Writes to APNs that have come to an end, however.
    pub writes: u64,
    /// Written and not yet durable.
    pub begun: u64,
    /// In lanes.
    pub held: u64,
    /// First writes.
    pub firsts: u64,
    /// From their submission to their first write, all together, in seconds.
    pub dwell_seconds: f64,
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// If a name is registered twice: a fault of this file.
    pub fn new(registry: Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(metric.clone()))?;
                Ok(metric)
            };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| -> Result<HistogramVec, prometheus::Error> {
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let record_rows = IntCounter::new("skein_ledger_facts_total", "Facts made durable in the ledger.")?;
        registry.register(Box::new(record_rows.clone()))?;
        let record_seconds = Histogram::with_opts(
            HistogramOpts::new("skein_ledger_commit_seconds", "One group commit into the ledger.")
                .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(record_seconds.clone()))?;
        let fullness = GaugeVec::new(
            Opts::new(
                "skein_lanes_fullness_ratio",
                "How much a shard holds of what it may of a pool: notifications or bytes, whichever is nearer its bound.",
            ),
            &["pool", "shard"],
        )?;
        registry.register(Box::new(fullness.clone()))?;
        let draining = IntGauge::new("skein_sender_draining", "1 while the sender leaves its queues.")?;
        registry.register(Box::new(draining.clone()))?;
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        Ok(Self {
            ledger_away: gauge("skein_ledger_away", "1 while the ledger takes no facts.")?,
            coordinator_away: gauge(
                "skein_coordinator_away",
                "1 while ZooKeeper does not answer this sender: it goes on with what it owns.",
            )?,
            begun: gauges(
                "skein_items_begun",
                "Notifications that are with APNs, or whose verdict is not yet durable.",
                &["pool"],
            )?,
            queues_away: gauge("skein_queues_unattached", "Owned queues that are not attached.")?,
            credential_expires: gauges(
                "skein_apns_credential_expires_timestamp_seconds",
                "When the pool's certificate runs out, in seconds since the epoch; absent for a token key, which has no end.",
                &["pool"],
            )?,
            credential_rotations: counters(
                "skein_apns_credential_rotations_total",
                "New credentials: rotated (put in place), taken (APNs took a push of it), refused, reverted, postponed.",
                &["pool", "outcome"],
            )?,
            credential_expiring: counters(
                "skein_apns_credential_expiry_warnings_total",
                "Warnings that the pool's certificate runs out, by the days left: 30, 14, 7, 1, expired.",
                &["pool", "days"],
            )?,
            notifications: counters(
                "skein_notifications_total",
                "Notifications by final verdict.",
                &["pool", "verdict"],
            )?,
            answers: counters(
                "skein_apns_answers_total",
                "What came back for writes to APNs: the HTTP status and reason, not_sent or in_doubt.",
                &["pool", "status", "reason"],
            )?,
            retries: counters(
                "skein_retries_total",
                "Notifications held to be written again.",
                &["pool", "kind"],
            )?,
            dwell: seconds("skein_dwell_seconds", "From submission to the first write to APNs.", &["pool"])?,
            request: seconds("skein_apns_request_seconds", "From a write to APNs to its answer.", &["pool"])?,
            paused: gauges(
                "skein_pool_paused",
                "1 while APNs refuses the pool's credential or settings.",
                &["pool"],
            )?,
            deliveries: counters("skein_deliveries_total", "Messages taken from queues.", &["pool"])?,
            redelivered: counters(
                "skein_deliveries_redelivered_total",
                "Messages taken from queues that had been delivered before.",
                &["pool"],
            )?,
            dead_letters: counters(
                "skein_dead_letters_total",
                "Messages or items sent to the dead letters.",
                &["pool", "reason"],
            )?,
            held: gauges(
                "skein_items_in_lanes",
                "Notifications in lanes: waiting, held or in flight.",
                &["pool", "shard"],
            )?,
            fullness,
            account: account::Account::new(&registry)?,
            apps: apps::Apps::new(&registry)?,
            connections: Families::new(&registry)?,
            cuts: counters("skein_broker_cuts_total", "Attachments to queues that were cut.", &["pool"])?,
            record_rows,
            record_seconds,
            draining,
            registry,
        })
    }

    /// What `/metrics` gives.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn connections(&self) -> &Families {
        &self.connections
    }

    /// So many facts are durable.
    pub fn recorded(&self, rows: usize) {
        self.record_rows.inc_by(rows as u64);
    }

    /// A group commit took so long.
    pub fn record_took(&self, took: Duration) {
        self.record_seconds.observe(took.as_secs_f64());
    }

    /// What of the broker and the ledger is away.
    pub fn away(&self, view: &View) {
        self.ledger_away.set(i64::from(view.ledger.is_some()));
        self.queues_away.set(view.queues.values().filter(|why| why.is_some()).count() as i64);
    }

    /// ZooKeeper does not answer, or does.
    pub fn coordinator_away(&self, away: bool) {
        self.coordinator_away.set(i64::from(away));
    }

    /// What all pools together have counted.
    pub fn totals(&self) -> Totals {
        let gauges = |metric: &IntGaugeVec| {
            let families = metric.collect();
            let values = families.iter().flat_map(|f| f.get_metric()).map(|m| m.get_gauge().get_value());
            values.sum::<f64>().max(0.0) as u64
        };
        let answers = self.answers.collect();
        let writes: f64 =
            answers.iter().flat_map(|f| f.get_metric()).map(|m| m.get_counter().get_value()).sum();
        let mut totals = Totals {
            writes: writes as u64,
            begun: gauges(&self.begun),
            held: gauges(&self.held),
            ..Totals::default()
        };
        for metric in self.dwell.collect().iter().flat_map(|family| family.get_metric()) {
            totals.firsts += metric.get_histogram().get_sample_count();
            totals.dwell_seconds += metric.get_histogram().get_sample_sum();
        }
        totals
    }

    /// Until when the pool's credential is valid; `None` if it has no end, or there is none.
    pub fn credential_expires(&self, pool: &PoolName, not_after: Option<SystemTime>) {
        let seconds =
            not_after.and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
        match seconds {
            Some(seconds) => self
                .credential_expires
                .with_label_values(&[pool.as_str()])
                .set(i64::try_from(seconds).unwrap_or(i64::MAX)),
            // It may have had none before.
            None => drop(self.credential_expires.remove_label_values(&[pool.as_str()])),
        }
    }

    /// What became of a new credential.
    pub fn credential_rotation(&self, pool: &PoolName, outcome: &str) {
        self.credential_rotations.with_label_values(&[pool.as_str(), outcome]).inc();
    }

    /// A warning that the credential runs out.
    pub fn credential_expiring(&self, pool: &PoolName, days: &str) {
        self.credential_expiring.with_label_values(&[pool.as_str(), days]).inc();
    }

    /// The sender leaves its queues.
    pub fn draining(&self) {
        self.draining.set(1);
    }
}

impl PoolMetrics {
    /// Those of one pool.
    pub fn new(all: &Arc<Metrics>, pool: &PoolName) -> Self {
        let name = pool.as_str();
        let answer = |status: &str, reason: &str| all.answers.with_label_values(&[name, status, reason]);
        let retry = |kind: NoteKind| all.retries.with_label_values(&[name, kind.label()]);
        all.begin(pool);
        Self {
            verdicts: FinalVerdict::ALL.map(|v| all.notifications.with_label_values(&[name, v.label()])),
            ok: answer("200", ""),
            in_doubt: answer("in_doubt", ""),
            not_sent: answer("not_sent", ""),
            retry: retry(NoteKind::Retry),
            retry_in_doubt: retry(NoteKind::InDoubt),
            dwell: all.dwell.with_label_values(&[name]),
            request: all.request.with_label_values(&[name]),
            deliveries: all.deliveries.with_label_values(&[name]),
            redelivered: all.redelivered.with_label_values(&[name]),
            cuts: all.cuts.with_label_values(&[name]),
            begun: all.begun.with_label_values(&[name]),
            apps: all.apps.named(),
            pool: pool.clone(),
            all: Arc::clone(all),
        }
    }

    /// A final verdict was judged, of a notification of this app.
    pub fn verdict(&self, verdict: FinalVerdict, app: Option<&str>) {
        self.apps.verdict(app, verdict);
        if let Some(index) = FinalVerdict::ALL.iter().position(|v| *v == verdict) {
            self.verdicts[index].inc();
        }
    }

    /// A write was answered.
    pub fn answered(&self, answer: &Answer, evidence: &Evidence) {
        match answer {
            Answer::InDoubt(_) => self.in_doubt.inc(),
            Answer::NotSent(_) => self.not_sent.inc(),
            Answer::Reply(reply) => {
                self.request.observe(f64::from(evidence.duration_us) / 1e6);
                if reply.status == 200 {
                    self.ok.inc();
                } else {
                    let reason = reply.reason.as_ref().map_or("", Reason::label);
                    let status = if (100..600).contains(&reply.status) {
                        reply.status.to_string()
                    } else {
                        "other".into()
                    };
                    self.all.answers.with_label_values(&[self.pool.as_str(), &status, reason]).inc();
                }
            }
        }
    }

    /// A notification is held to be written again.
    pub fn retried(&self, kind: NoteKind) {
        if kind == NoteKind::InDoubt { self.retry_in_doubt.inc() } else { self.retry.inc() }
    }

    /// A notification is written for the first time, so long after its submission.
    pub fn first_write(&self, dwell: Option<Duration>) {
        if let Some(dwell) = dwell {
            self.dwell.observe(dwell.as_secs_f64());
        }
    }

    /// The pool is paused, or not.
    pub fn paused(&self, paused: bool) {
        self.all.paused.with_label_values(&[self.pool.as_str()]).set(i64::from(paused));
    }

    /// Messages were taken from a queue.
    pub fn taken(&self, deliveries: usize, redelivered: usize) {
        self.deliveries.inc_by(deliveries as u64);
        self.redelivered.inc_by(redelivered as u64);
    }

    /// A message or item went to the dead letters.
    pub fn dead_letter(&self, reason: &str) {
        self.all.dead_letters.with_label_values(&[self.pool.as_str(), reason]).inc();
    }

    /// A notification has begun.
    pub fn began(&self) {
        self.begun.inc();
    }

    /// One that had begun is durable, held or put back.
    pub fn ended(&self) {
        self.begun.dec();
    }

    /// An attachment was cut.
    pub fn cut(&self) {
        self.cuts.inc();
    }

    /// So many items are in this shard's lanes, and so much of its permits is out.
    pub fn in_lanes(&self, shard: usize, items: usize, fullness: f64) {
        let labels = &[self.pool.as_str(), &shard.to_string()];
        self.all.held.with_label_values(labels).set(items as i64);
        self.all.fullness.with_label_values(labels).set(fullness);
    }
}
