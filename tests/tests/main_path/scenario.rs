//! A scenario's counts, what is checked when it is over, and its row of figures.

use serde_json::json;
use skein_apns_sim::checker::{FinalVerdict, Report};
use skein_apns_sim::log::Snapshot;
use skein_test_site::run::{Run, commit};
use skein_tests::figures;

use crate::{
    books::Books,
    fleet::Fleet,
    load::{Load, Random, Sent},
};

/// One scenario.
pub struct Scenario {
    row: &'static str,
    pub runs: u64,
    pub seed: u64,
    pub random: Random,
    started: String,
}

impl Scenario {
    /// `quick` faults, or `full` with `SKEIN_FAULTS=full`.
    pub fn new(row: &'static str, quick: u64, full: u64) -> Self {
        let Run { row, runs, seed, random, started } = Run::new(row, quick, full);
        Self { row, runs, seed, random, started }
    }

    /// Ends the traffic, waits for every verdict, drains the sender, and checks P1, P2 and P3 and the accounting identity.
    pub async fn check(self, mut fleet: Fleet, load: Load) -> Verdict {
        let sent = load.finish().await;
        let settled = fleet.settled(sent.len()).await;
        fleet.end_sender().await;
        let (pending, dead, facts) = fleet.waiting().await;
        let books = fleet.books().await;
        let log = fleet.site.simulator.log();
        let verdict = self.judge(&sent, &books, log);
        assert!(settled, "P1: {} of {} have a verdict; {}", books.verdicts.len(), sent.len(), verdict.report);
        assert_eq!((pending, facts), (0, 0), "messages in the pool's queues and in skein.facts");
        assert_eq!(u64::from(dead), books.count(FinalVerdict::Dead), "dead letters against the ledger");
        let report = &verdict.report;
        let bound = fleet.at_risk + books.in_doubt.len() as u64;
        assert!(
            report.duplicates <= bound,
            "P3: {} were written twice, {} were written and not durable at a kill, {} in doubt by APNs; {report}",
            report.duplicates,
            fleet.at_risk,
            books.in_doubt.len()
        );
        assert!(fleet.errors().is_empty(), "errors in the sender's log: {:#?}", fleet.errors());
        verdict
    }

    /// Holds the three sides against each other and appends the row.
    pub fn judge(&self, sent: &[Sent], books: &Books, log: Snapshot) -> Verdict {
        let report = books.against(sent, &log);
        let accepted = books.count(FinalVerdict::Accepted);
        let row = json!({
            "row": self.row,
            "runs": self.runs,
            "submitted": sent.len(),
            "accepted": accepted,
            "lost": report.lost,
            "inversions": report.inversions,
            "duplicates": report.duplicates,
            "possible_copies": books.possible_copies.len(),
            "seed": self.seed,
            "commit": commit(),
            "started": self.started,
        });
        eprintln!("{row}");
        figures::append("main-path", &row).unwrap();
        assert!(report.is_clean(), "P1, P2, P3: {report}");
        assert_eq!(report.unconfirmed, 0, "all that was written was confirmed to the producer");
        books.assert_identity(sent, &log);
        Verdict { report, accepted, log }
    }
}

/// What a scenario showed.
pub struct Verdict {
    pub report: Report,
    pub accepted: u64,
    pub log: Snapshot,
}
