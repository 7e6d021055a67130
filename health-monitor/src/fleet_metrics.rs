//! The fleet as metrics: what the API says, made anew from one pass for each scrape, so that none sees half of two passes.
//!
//! Labels are queues, senders, pools and closed sets of words: never a user, a token or a notification. What is not known has no
//! sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};
use skein_core::fleet::Health;

use crate::api::{Fleet, Level, Sender};
use crate::monitor::Shown;

/// Name, help, labels.
const GAUGES: [(&str, &str, &[&str]); 25] = [
    ("skein_fleet_alarm", "1 while a person must look.", &["what", "level"]),
    ("skein_fleet_held", "What the leading monitor's plan holds back.", &["what"]),
    ("skein_fleet_planned", "Changes that the leading monitor has planned and not yet made.", &["change"]),
    ("skein_fleet_senders", "Senders, by state.", &["state"]),
    ("skein_fleet_queues", "Queues of a pool, by state.", &["pool", "state"]),
    ("skein_fleet_queue_owner", "1 for who owns a queue.", &["queue", "sender"]),
    ("skein_fleet_queue_epoch", "The number that fences a queue's owner.", &["queue"]),
    ("skein_fleet_queue_paused", "1 while an operator holds a queue.", &["queue"]),
    (
        "skein_fleet_queue_depth",
        "Messages in a queue, by the broker's last count; one may be of many notifications.",
        &["queue"],
    ),
    (
        "skein_fleet_queue_oldest_seconds",
        "How long the oldest notification of a queue waits, estimated; at least, where it was there before the monitor or the broker's count began.",
        &["queue"],
    ),
    ("skein_fleet_queue_in_per_second", "What comes into a queue, a second.", &["queue"]),
    ("skein_fleet_queue_out_per_second", "What is settled of a queue, a second.", &["queue"]),
    (
        "skein_fleet_sender_up",
        "1 while a sender has a session, 0 once it is gone without a word.",
        &["sender"],
    ),
    ("skein_fleet_sender_queues", "Queues that a sender owns.", &["sender"]),
    ("skein_fleet_sender_per_second", "What a sender writes to APNs, a second.", &["sender"]),
    ("skein_fleet_sender_in_flight", "Written and not yet answered.", &["sender"]),
    ("skein_fleet_sender_held", "Taken and waiting: in a lane, or for a retry.", &["sender"]),
    (
        "skein_fleet_sender_delay_seconds",
        "From submission to the first write, the mean of the last second.",
        &["sender"],
    ),
    ("skein_fleet_sender_healthy", "1 if a service answers a sender, 0 if not.", &["sender", "service"]),
    ("skein_fleet_sender_lease", "1 for how a sender's right to write stands.", &["sender", "lease"]),
    (
        "skein_fleet_credential_info",
        "1 for a sender's credential of a pool.",
        &["pool", "sender", "environment", "kind", "topics"],
    ),
    ("skein_fleet_credential_expiry_timestamp_seconds", "When a certificate runs out.", &["pool", "sender"]),
    ("skein_fleet_credential_days_left", "Whole days until a certificate runs out.", &["pool", "sender"]),
    ("skein_fleet_credential_breaker_open", "1 while APNs refuses a credential.", &["pool", "sender"]),
    ("skein_fleet_credential_healthy", "1 if APNs answers a sender for a pool.", &["pool", "sender"]),
];

/// The collector.
pub struct FleetMetrics {
    shown: Arc<Shown>,
    descriptions: Vec<Desc>,
}

impl FleetMetrics {
    /// Registers them all.
    ///
    /// # Errors
    /// If a name is registered twice: a fault of this file.
    pub fn register(registry: &Registry, shown: Arc<Shown>) -> Result<(), prometheus::Error> {
        let families = Families::new()?;
        let descriptions = families.0.values().flat_map(Collector::desc).cloned().collect();
        registry.register(Box::new(Self { shown, descriptions }))
    }
}

impl Collector for FleetMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        of(&self.shown.fleet()).unwrap_or_default()
    }
}

/// Every family that has a sample.
fn of(fleet: &Fleet) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let families = Families::new()?;
    families.whole(fleet);
    families.queues(fleet);
    fleet.senders.iter().for_each(|sender| families.sender(sender));
    families.credentials(fleet);
    let collected = families.0.values().flat_map(Collector::collect);
    Ok(collected.filter(|family| !family.get_metric().is_empty()).collect())
}

struct Families(BTreeMap<&'static str, GaugeVec>);

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let made = GAUGES
            .iter()
            .map(|(name, help, labels)| Ok((*name, GaugeVec::new(Opts::new(*name, *help), labels)?)));
        made.collect::<Result<_, _>>().map(Self)
    }

    /// Adds to a sample of a family, which begins at 0.
    fn add(&self, name: &str, labels: &[&str], value: f64) {
        self.0[name].with_label_values(labels).add(value);
    }

    fn known(&self, name: &str, labels: &[&str], value: Option<impl Into<f64>>) {
        if let Some(value) = value {
            self.add(name, labels, value.into());
        }
    }

    fn whole(&self, fleet: &Fleet) {
        for alarm in &fleet.alarms {
            let level = if alarm.level == Level::Critical { "critical" } else { "warning" };
            self.0["skein_fleet_alarm"].with_label_values(&[alarm.what.as_str(), level]).set(1.0);
        }
        // What is held and planned is the leader's to say.
        if !fleet.monitor.leads {
            return;
        }
        for held in &fleet.plan.held {
            self.add("skein_fleet_held", &[&held.what], 1.0);
        }
        for planned in &fleet.plan.moves {
            self.add("skein_fleet_planned", &[&planned.change], 1.0);
        }
    }

    fn queues(&self, fleet: &Fleet) {
        for queue in &fleet.queues {
            self.add("skein_fleet_queues", &[queue.queue.pool.as_str(), queue.state.label()], 1.0);
            let name = queue.queue.to_string();
            if let Some(owner) = &queue.owner {
                self.add("skein_fleet_queue_owner", &[&name, owner.as_str()], 1.0);
            }
            self.add("skein_fleet_queue_epoch", &[&name], queue.epoch as f64);
            self.add("skein_fleet_queue_paused", &[&name], f64::from(u8::from(queue.paused)));
            self.known("skein_fleet_queue_depth", &[&name], queue.depth.map(|n| n as f64));
            let oldest = queue.oldest_ms.map(|ms| ms as f64 / 1000.0);
            self.known("skein_fleet_queue_oldest_seconds", &[&name], oldest);
            self.known("skein_fleet_queue_in_per_second", &[&name], queue.in_per_second);
            self.known("skein_fleet_queue_out_per_second", &[&name], queue.out_per_second);
        }
    }

    fn sender(&self, sender: &Sender) {
        let id = sender.member.as_str();
        self.add("skein_fleet_senders", &[&sender.state], 1.0);
        self.add("skein_fleet_sender_up", &[id], f64::from(u8::from(sender.incarnation.is_some())));
        self.add("skein_fleet_sender_queues", &[id], sender.queues.len() as f64);
        self.known("skein_fleet_sender_per_second", &[id], sender.per_second);
        self.known("skein_fleet_sender_in_flight", &[id], sender.in_flight);
        self.known("skein_fleet_sender_held", &[id], sender.held);
        let delay = sender.delay_ms.map(|ms| f64::from(ms) / 1000.0);
        self.known("skein_fleet_sender_delay_seconds", &[id], delay);
        for (service, health) in [("apns", sender.apns), ("broker", sender.broker), ("ledger", sender.ledger)]
        {
            self.known("skein_fleet_sender_healthy", &[id, service], health.map(healthy));
        }
        if let Some(lease) = sender.lease {
            self.add("skein_fleet_sender_lease", &[id, lease.label()], 1.0);
        }
    }

    fn credentials(&self, fleet: &Fleet) {
        for credential in &fleet.credentials {
            let (of, report) = ([credential.pool.as_str(), credential.member.as_str()], &credential.report);
            let kind = report.kind.as_deref().unwrap_or_default();
            let topics = report.topics.join(",");
            self.add("skein_fleet_credential_info", &[of[0], of[1], &report.environment, kind, &topics], 1.0);
            let expiry = report.expires_at.map(|at| at.as_millis() as f64 / 1000.0);
            self.known("skein_fleet_credential_expiry_timestamp_seconds", &of, expiry);
            self.known("skein_fleet_credential_days_left", &of, report.days_left.map(|n| n as f64));
            let open = f64::from(u8::from(report.paused.is_some()));
            self.add("skein_fleet_credential_breaker_open", &of, open);
            self.add("skein_fleet_credential_healthy", &of, f64::from(healthy(credential.apns)));
        }
    }
}

fn healthy(health: Health) -> u8 {
    u8::from(health == Health::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health_page::fixture;

    /// The text of a scrape.
    fn text(fleet: &Fleet) -> String {
        prometheus::TextEncoder::new().encode_to_string(&of(fleet).unwrap()).unwrap()
    }

    #[test]
    fn a_bad_day_in_metrics() {
        let text = text(&fixture::fleet());
        for line in [
            "skein_fleet_queue_owner{queue=\"im.q1\",sender=\"sender-2\"} 1",
            "skein_fleet_queue_epoch{queue=\"im.q1\"} 8",
            "skein_fleet_queue_depth{queue=\"im.q0\"} 15",
            "skein_fleet_queue_paused{queue=\"im.q0\"} 0",
            "skein_fleet_queue_oldest_seconds{queue=\"im.q0\"} 0.12",
            "skein_fleet_queue_out_per_second{queue=\"im.q0\"} 60",
            "skein_fleet_sender_up{sender=\"sender-2\"} 0",
            "skein_fleet_sender_delay_seconds{sender=\"sender-1\"} 0.042",
            "skein_fleet_sender_healthy{sender=\"sender-1\",service=\"ledger\"} 0",
            "skein_fleet_sender_lease{lease=\"open\",sender=\"sender-1\"} 1",
            "skein_fleet_credential_expiry_timestamp_seconds{pool=\"im\",sender=\"sender-1\"} 1796083200",
            "skein_fleet_credential_breaker_open{pool=\"im\",sender=\"sender-1\"} 1",
            "skein_fleet_alarm{level=\"critical\",what=\"owner_gone\"} 1",
            "skein_fleet_planned{change=\"assign\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("queue_depth{queue=\"im.q2\"}"), "what is not known has no sample");
        assert!(!text.contains("sender_delay_seconds{sender=\"sender-2\"}"), "nor what only it can say");
    }

    #[test]
    fn names_follow_the_convention_and_an_empty_fleet_is_no_fault() {
        assert_eq!(text(&Fleet::default()), "");
        for (name, help, _) in GAUGES {
            assert!(name.starts_with("skein_fleet_") && !name.ends_with("_total"), "{name} is a gauge");
            assert!(!name.ends_with("_ms") && help.ends_with('.'), "{name}");
        }
        let registry = Registry::new();
        FleetMetrics::register(&registry, Arc::default()).unwrap();
        assert!(FleetMetrics::register(&registry, Arc::default()).is_err(), "each once");
    }
}
