//! What operators do to a running fleet by its live settings, and what holds after it.

use std::process::Command;

use serde_json::Value;
use skein_apns_sim::checker::{Confirmed, FinalVerdict, History, check};
use skein_test_site::{
    books::Books,
    load::Load,
    run::{Run, commit},
};
use skein_tests::{figures, process::skein_binary};

use crate::{
    outcome::{end, settled},
    rig::{MONITORS, Rig, SENDERS},
};

/// Senders and monitors: everybody who follows the live settings.
pub const PROCESSES: usize = SENDERS as usize + MONITORS as usize;

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub lines: Vec<Value>,
}

impl Said {
    /// The last line.
    pub fn last(&self) -> &Value {
        self.lines.last().unwrap_or_else(|| panic!("it said nothing: {self:?}"))
    }

    /// How many processes go by this version, and for how many it is refused.
    pub fn standing(&self, version: u64) -> (usize, usize) {
        let processes = self.last()["processes"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        let by = processes.iter().filter(|process| process["version"] == version).count();
        let refused = processes.iter().filter(|process| process["refused"]["version"] == version).count();
        (by, refused)
    }
}

impl Rig {
    /// Runs `skein --json …` as an operator of this fleet.
    pub async fn operate(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(skein_binary().unwrap());
        command.args(["--json", "--config"]).arg(&self.monitors[0].config).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        Said {
            code: output.status.code(),
            lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }

    /// The latest version, which everybody goes by.
    pub async fn version_in_force(&self) -> u64 {
        let said = self.operate(&["config", "live", "show"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let version = said.last()["version"].as_u64().unwrap();
        assert_eq!(said.standing(version), (PROCESSES, 0), "{said:?}");
        version
    }
}

/// Ends the traffic and the fleet, checks P1, P2 and P3, and that nothing failed; appends the row.
pub async fn conclude(mut rig: Rig, run: &Run, load: Load, mut row: Value) {
    let sent = load.finish().await;
    let settled = settled(&rig, sent.len()).await;
    end(&mut rig).await;
    let log = rig.site.simulator.log();
    let books = Books::read(&rig.ledger, &rig.database).await;
    let confirmed: Vec<Confirmed> = sent.iter().map(|sent| sent.confirmed).collect();
    let history = History {
        confirmed: &confirmed,
        log: &log,
        verdicts: Some(&books.verdicts),
        possible_copies: &books.possible_copies,
        writers: None,
    };
    let report = check(&history);
    let failed = books.verdicts.values().filter(|verdict| **verdict == FinalVerdict::Failed).count();
    row["row"] = run.row.into();
    row["submitted"] = sent.len().into();
    row["failed"] = failed.into();
    row["lost"] = report.lost.into();
    row["inversions"] = report.inversions.into();
    row["commit"] = commit().into();
    eprintln!("{row}");
    figures::append("operations", &row).unwrap();
    assert!(settled, "P1: {} of {} have a verdict; {report}", books.verdicts.len(), sent.len());
    assert!(report.is_clean(), "P1, P2, P3: {report}");
    assert_eq!(failed, 0, "nothing fails for what an operator changes");
    assert_eq!(report.duplicates, 0, "nothing is written twice: {report}");
    books.assert_identity(&sent, &log);
}
