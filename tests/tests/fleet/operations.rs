//! What operators do to a running fleet by its live settings, and what holds after it.

use std::process::Command;

use serde_json::Value;
use skein_apns_sim::checker::FinalVerdict;
use skein_test_site::{
    books::Books,
    load::Load,
    run::{Run, commit},
};
use skein_tests::{figures, process::skein_binary, until};

use crate::{
    outcome::{end, settled},
    rig::{MONITORS, REST_LIMIT, Rig, SENDERS},
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
    fn standing(&self, version: u64) -> Option<(usize, usize)> {
        let processes = self.lines.last()?["processes"].as_array()?;
        let by = processes.iter().filter(|process| process["version"] == version).count();
        let refused = processes.iter().filter(|process| process["refused"]["version"] == version).count();
        Some((by, refused))
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

    /// Waits until everybody goes by the latest version, and gives it. A machine that stands still may cost a process its session with
    /// ZooKeeper, and its word with it, until the next.
    pub async fn version_in_force(&self) -> u64 {
        let in_force = async || {
            let said = self.operate(&["config", "live", "show"]).await;
            let version = said.lines.last()?["version"].as_u64()?;
            (said.standing(version) == Some((PROCESSES, 0))).then_some(version)
        };
        until("everybody to go by the latest version", REST_LIMIT, in_force).await.unwrap()
    }

    /// Waits until every sender refuses this version, and everybody else goes by it.
    pub async fn refused_by_senders(&self, version: u64) {
        let senders = usize::from(SENDERS);
        let refused = async || {
            let said = self.operate(&["config", "live", "show"]).await;
            (said.standing(version) == Some((PROCESSES - senders, senders))).then_some(())
        };
        until("every sender to refuse it", REST_LIMIT, refused).await.unwrap();
    }
}

/// Ends the traffic and the fleet, checks P1, P2 and P3, and that nothing failed; appends the row.
pub async fn conclude(mut rig: Rig, run: &Run, load: Load, mut row: Value) {
    let sent = load.finish().await;
    let settled = settled(&rig, sent.len()).await;
    end(&mut rig).await;
    let log = rig.site.simulator.log();
    let books = Books::read(&rig.ledger, &rig.database).await;
    let report = books.against(&sent, &log);
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
