//! What became of the demo: the ledger's verdicts, and the checker's judgement of the whole history.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use prometheus::Registry;
use serde_json::{Value, json};
use skein_apns_sim::checker::{self, Confirmed, History, Report, Verdicts};
use skein_apns_sim::fingerprint;
use skein_apns_sim::log::Snapshot;
use skein_core::seam::{Ledger, LookUp, Tally};
use skein_core::{FinalVerdict, FingerprintKey};

use super::setup::Stage;
use super::traffic::Accepted;
use crate::exit::Failure;

/// Look-ups a question.
const LOOK_UPS: usize = 1000;

/// The summary of a demo.
pub struct Summary {
    submitted: u64,
    tally: Tally,
    report: Report,
    in_doubt: u64,
    took: Duration,
    cpu_us: u64,
}

impl Summary {
    /// Puts together what the producer, the simulator and the ledger say.
    #[expect(clippy::too_many_arguments, reason = "each is one source of the history")]
    pub async fn of(
        accepted: &[Accepted],
        log: &Snapshot,
        ledger: &impl Ledger,
        key: &FingerprintKey,
        tally: Tally,
        registry: &Registry,
        took: Duration,
        cpu_us: u64,
    ) -> Result<Self, Failure> {
        let verdicts = verdicts(accepted, ledger, key).await?;
        let possible_copies = possible_copies(accepted, log, ledger).await?;
        let confirmed: Vec<Confirmed> = accepted
            .iter()
            .map(|a| Confirmed {
                id: a.key.id.as_uuid().as_u128(),
                token: fingerprint(a.token.as_bytes()),
                sequence: a.sequence,
            })
            .collect();
        let history = History {
            confirmed: &confirmed,
            log,
            verdicts: Some(&verdicts),
            possible_copies: &possible_copies,
            writers: None,
        };
        let report = checker::check(&history);
        let submitted = accepted.len() as u64;
        Ok(Self { submitted, tally, report, in_doubt: in_doubt(registry), took, cpu_us })
    }

    fn pending(&self) -> u64 {
        self.submitted.saturating_sub(self.tally.total())
    }

    /// Whether the accounting identity holds and the checker found nothing.
    pub fn is_clean(&self) -> bool {
        self.report.is_clean() && self.pending() == 0 && self.submitted == self.tally.total()
    }

    fn per_second(&self) -> u64 {
        (self.submitted as f64 / self.took.as_secs_f64().max(0.001)) as u64
    }

    /// The line for machines.
    pub fn json(&self) -> Value {
        let of = |verdict| self.tally.of(verdict);
        json!({
            "submitted": self.submitted,
            "accepted": of(FinalVerdict::Accepted),
            "token_invalid": of(FinalVerdict::TokenInvalid),
            "failed": of(FinalVerdict::Failed),
            "expired": of(FinalVerdict::Expired),
            "superseded": of(FinalVerdict::Superseded),
            "suppressed": of(FinalVerdict::Suppressed),
            "cancelled": of(FinalVerdict::Cancelled),
            "dead": of(FinalVerdict::Dead),
            "pending": self.pending(),
            "lost": self.report.lost,
            "duplicates": self.report.duplicates,
            "inversions": self.report.inversions,
            "in_doubt": self.in_doubt,
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "per_second": self.per_second(),
            "cpu_us": self.cpu_us / self.submitted.max(1),
        })
    }

    /// The same for people.
    pub fn text(&self, stage: &Stage) -> String {
        let mut text = String::new();
        let counts = stage.simulator.stats();
        let seconds = self.took.as_secs_f64();
        let _ = writeln!(
            text,
            "\n{:>10}  submitted, in {seconds:.1} s: {} a second",
            self.submitted,
            self.per_second()
        );
        for verdict in FinalVerdict::ALL {
            let count = self.tally.of(verdict);
            if count > 0 {
                let _ = writeln!(text, "{count:>10}  {}", verdict.label());
            }
        }
        let _ = writeln!(text, "{:>10}  pending", self.pending());
        let _ = writeln!(
            text,
            "\nthe simulator read {} requests on {} connections; {} writes ended in doubt",
            counts.requests, counts.connections, self.in_doubt
        );
        let _ = writeln!(
            text,
            "history: lost {}, inversions {}, duplicates {} (each recorded as a possible copy: {})",
            self.report.lost,
            self.report.inversions,
            self.report.duplicates,
            if self.report.duplicates_unrecorded == 0 { "yes" } else { "NO" }
        );
        let sum = if self.is_clean() {
            "every notification has exactly one verdict, and the order of every device was kept"
        } else {
            "THE HISTORY IS NOT CLEAN"
        };
        let _ = write!(text, "{sum}");
        text
    }
}

async fn verdicts(
    accepted: &[Accepted],
    ledger: &impl Ledger,
    key: &FingerprintKey,
) -> Result<Verdicts, Failure> {
    let mut verdicts = HashMap::with_capacity(accepted.len());
    for chunk in accepted.chunks(LOOK_UPS) {
        let asked: Vec<LookUp> =
            chunk.iter().map(|a| LookUp { key: a.key, token: key.token(&a.token) }).collect();
        let known = ledger.look_up(&asked).await.context("the ledger does not answer")?;
        for (asked, known) in asked.iter().zip(known) {
            if let Some(verdict) = known.verdict.and_then(|v| checker::FinalVerdict::from_label(v.label())) {
                verdicts.insert(asked.key.id.as_uuid().as_u128(), verdict);
            }
        }
    }
    Ok(verdicts)
}

/// Of the ids that the simulator read more than once, those that the ledger recorded as possible copies.
async fn possible_copies(
    accepted: &[Accepted],
    log: &Snapshot,
    ledger: &impl Ledger,
) -> Result<HashSet<u128>, Failure> {
    let mut reads: HashMap<u128, u32> = HashMap::with_capacity(accepted.len());
    log.rows.iter().for_each(|row| *reads.entry(row.id()).or_default() += 1);
    let mut copies = HashSet::new();
    for a in accepted {
        let id = a.key.id.as_uuid().as_u128();
        if reads.get(&id).is_some_and(|reads| *reads > 1) {
            let trace = ledger.trace(a.key.id).await.context("the ledger does not answer")?;
            if trace.events.iter().any(|event| event.possible_copy) {
                copies.insert(id);
            }
        }
    }
    Ok(copies)
}

fn in_doubt(registry: &Registry) -> u64 {
    count(registry, "skein_apns_answers_total", |label, value| label == "status" && value == "in_doubt")
}

/// How many notifications have a verdict, durable or on its way.
pub fn judged(registry: &Registry) -> u64 {
    count(registry, "skein_notifications_total", |label, _| label == "verdict")
}

/// How many of them APNs accepted.
pub fn accepted(registry: &Registry) -> u64 {
    count(registry, "skein_notifications_total", |label, value| label == "verdict" && value == "accepted")
}

/// The sum of a counter over the series that have such a label.
fn count(registry: &Registry, name: &str, has: impl Fn(&str, &str) -> bool) -> u64 {
    let families = registry.gather();
    let series =
        families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    let counted =
        series.filter(|metric| metric.get_label().iter().any(|label| has(label.name(), label.value())));
    counted.map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// CPU time of this process so far, user and system, in microseconds.
pub fn cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}
