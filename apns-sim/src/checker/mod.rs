//! The history checker: what the producer was promised against what the simulator saw.
//!
//! A pure function over the producer's confirmed list, the simulator's log, the ledger's verdicts and the ids that
//! the ledger recorded as possible copies. It finds what was lost, written twice, overtaken, or written by two
//! senders at once. O(n log n) in the number of rows; beside its input it needs about 40 bytes a row.

mod confirmed;
mod histories;
mod order;
mod report;
mod writers;

pub use confirmed::{ConfirmedError, read_confirmed, write_confirmed};
pub use report::{Evidence, Finding, Report};
pub use writers::Writers;

use std::collections::{HashMap, HashSet};

use crate::log::Snapshot;
use histories::Histories;

/// One notification that the producer was told is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The notification's id, which is its `apns-id`.
    pub id: u128,
    /// The fingerprint of its device token.
    pub token: u64,
    /// Its place in the order of submission of that token; gaps are allowed.
    pub sequence: u64,
}

/// The ledger's final verdict on a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the ledger")]
pub enum FinalVerdict {
    Accepted,
    TokenInvalid,
    Failed,
    Expired,
    Superseded,
    Suppressed,
    Cancelled,
    Dead,
}

impl FinalVerdict {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::TokenInvalid,
        Self::Failed,
        Self::Expired,
        Self::Superseded,
        Self::Suppressed,
        Self::Cancelled,
        Self::Dead,
    ];

    /// The ledger's word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::TokenInvalid => "token_invalid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// The verdict with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.label() == label)
    }
}

/// Final verdicts by notification id.
pub type Verdicts = HashMap<u128, FinalVerdict>;
/// A set of notification ids.
pub type Ids = HashSet<u128>;
/// Everything that is known after a run.
pub struct History<'a> {
    /// What the producer was told is accepted, in any order.
    pub confirmed: &'a [Confirmed],
    /// The simulator's log.
    pub log: &'a Snapshot,
    /// The ledger's verdicts. Without them, what the log shows decides: a notification is lost unless it was
    /// answered by a 200 or a refusal that no retry can change.
    pub verdicts: Option<&'a Verdicts>,
    /// Ids that the ledger recorded as possible copies.
    pub possible_copies: &'a Ids,
    /// Who writes and for which queue, to find two writers at once.
    pub writers: Option<&'a Writers<'a>>,
}

/// Checks a history. Never fails: what is wrong is in the report.
pub fn check(history: &History<'_>) -> Report {
    let rows = &history.log.rows;
    let histories = Histories::new(rows);
    let mut report =
        Report { confirmed: history.confirmed.len() as u64, rows: rows.len() as u64, ..Report::default() };
    report.log_rows_dropped = history.log.dropped;

    let mut confirmed: Vec<u32> = (0..history.confirmed.len() as u32).collect();
    confirmed.sort_unstable_by_key(|at| history.confirmed[*at as usize].id);
    find_losses(history, &histories, &confirmed, &mut report);
    histories::find_duplicates(&histories, history.possible_copies, &mut report);
    histories::count_unconfirmed(&histories, history.confirmed, &confirmed, &mut report);
    order::find_inversions(history.confirmed, &histories, confirmed, &mut report);
    if let Some(writers) = history.writers {
        writers::find_double_writers(history.log, writers, &mut report);
    }
    report
}

fn find_losses(history: &History<'_>, histories: &Histories<'_>, by_id: &[u32], report: &mut Report) {
    let mut cursor = histories.cursor();
    for at in by_id {
        let confirmed = &history.confirmed[*at as usize];
        let reads = cursor.seek(confirmed.id);
        report.read += u64::from(!reads.is_empty());
        let accepted = reads.iter().any(|read| histories.row(*read).status() == Some(200));
        let verdict = history.verdicts.map(|verdicts| verdicts.get(&confirmed.id).copied());
        let fine = match verdict {
            Some(Some(FinalVerdict::Accepted)) => accepted,
            Some(other) => other.is_some(),
            None => accepted || reads.iter().any(|read| histories::is_final(histories.row(*read))),
        };
        if !fine {
            report.lost += 1;
            report.add(Finding::Lost, || Evidence {
                id: confirmed.id,
                token: confirmed.token,
                sequence: Some(confirmed.sequence),
                what: match verdict.flatten() {
                    Some(verdict) => {
                        format!("verdict {}, but no 200 in {} reads", verdict.label(), reads.len())
                    }
                    None => format!("no final verdict, {} reads", reads.len()),
                },
                ..Evidence::default()
            });
        }
    }
}

#[cfg(test)]
mod tests;
