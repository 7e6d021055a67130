//! What is counted of a pool begins at 0: what begins at 1 has no increase, so that an alarm or a panel misses its first. What is
//! named here is all that Skein and Apple have words for; it grows with nothing.

use prometheus::IntCounterVec;
use skein_core::fact::NoteKind;
use skein_core::wire::Malformed;
use skein_core::{FinalVerdict, PoolName, Reason};

use super::Metrics;

/// Dead letters: a message that each of its owners died of.
pub(crate) const KILLED_ITS_OWNER: &str = "killed_its_owner";
/// Dead letters: an item that breaks a rule of the wire contract.
pub(crate) const MALFORMED_ITEM: &str = "malformed";
/// Dead letters: an item whose facts the ledger takes in no form.
pub(crate) const LEDGER_REFUSED: &str = "ledger_refused";
/// What becomes of a new credential.
const ROTATIONS: [&str; 5] = ["rotated", "taken", "refused", "reverted", "postponed"];
/// Which days left of a certificate are warned of.
const EXPIRING: [&str; 5] = ["30", "14", "7", "1", "expired"];

impl Metrics {
    /// Every counter of a pool is there, at 0 if it never counted.
    pub(crate) fn begin(&self, pool: &PoolName) {
        let name = pool.as_str();
        let each = |counters: &IntCounterVec, words: &[&str]| {
            words.iter().for_each(|word| drop(counters.with_label_values(&[name, *word])));
        };
        for counters in [&self.deliveries, &self.redelivered, &self.cuts] {
            counters.with_label_values(&[name]);
        }
        each(&self.notifications, &FinalVerdict::ALL.map(FinalVerdict::label));
        each(&self.retries, &[NoteKind::Retry.label(), NoteKind::InDoubt.label()]);
        each(&self.credential_rotations, &ROTATIONS);
        each(&self.credential_expiring, &EXPIRING);
        each(&self.dead_letters, &Malformed::LABELS);
        each(&self.dead_letters, &[KILLED_ITS_OWNER, MALFORMED_ITEM, LEDGER_REFUSED]);
        for status in ["200", "in_doubt", "not_sent"] {
            self.answers.with_label_values(&[name, status, ""]);
        }
        for reason in Reason::KNOWN {
            let status = reason.status().map_or_else(|| "other".into(), |status| status.to_string());
            self.answers.with_label_values(&[name, &status, reason.label()]);
        }
        self.account.begin(pool);
        drop(self.apps.named());
        self.connections.begin(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::Registry;
    use skein_core::answer::{Answer, Evidence, Reply};

    use super::*;
    use crate::connection_metrics::ConnectionMetrics;
    use crate::metrics::PoolMetrics;

    fn counters(registry: &Registry) -> Vec<(String, Vec<String>, f64)> {
        let families = registry.gather();
        let all = families.iter().filter(|family| family.name().ends_with("_total"));
        let each = all.flat_map(|family| family.get_metric().iter().map(|metric| (family.name(), metric)));
        let labels = |metric: &prometheus::proto::Metric| {
            metric.get_label().iter().map(|label| label.value().to_owned()).collect()
        };
        each.map(|(name, metric)| (name.to_owned(), labels(metric), metric.get_counter().get_value()))
            .collect()
    }

    #[test]
    fn what_is_counted_of_a_pool_was_there_before_at_0() {
        let metrics = Arc::new(Metrics::new(Registry::new()).unwrap());
        let pool = PoolName::parse("im").unwrap();
        metrics.begin(&pool);
        let before = counters(metrics.registry());
        assert!(before.iter().all(|(_, _, count)| *count == 0.0), "{before:?}");

        let of_pool = PoolMetrics::new(&metrics, &pool);
        let _connections = ConnectionMetrics::new(&metrics, &pool);
        of_pool.taken(1, 1);
        of_pool.cut();
        FinalVerdict::ALL.into_iter().for_each(|verdict| of_pool.verdict(verdict, Some("an app")));
        [NoteKind::Retry, NoteKind::InDoubt].into_iter().for_each(|kind| of_pool.retried(kind));
        ROTATIONS.iter().for_each(|outcome| metrics.credential_rotation(&pool, outcome));
        EXPIRING.iter().for_each(|days| metrics.credential_expiring(&pool, days));
        let letters = [KILLED_ITS_OWNER, MALFORMED_ITEM, LEDGER_REFUSED];
        Malformed::LABELS.iter().chain(&letters).for_each(|reason| of_pool.dead_letter(reason));
        let reply =
            |status, reason| Answer::Reply(Reply { status, reason, timestamp: None, unique_id: None });
        let evidence = Evidence { connection: 1, stream: 1, duration_us: 1 };
        of_pool.answered(&reply(200, None), &evidence);
        for reason in Reason::KNOWN {
            of_pool.answered(&reply(reason.status().unwrap(), Some(reason.clone())), &evidence);
        }
        let after = counters(metrics.registry());
        assert_eq!(after.len(), before.len(), "nothing came into being when it was counted");
    }
}
