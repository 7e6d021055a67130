//! What the checker found, with samples of the evidence.

use std::fmt;

use serde::Serialize;

use crate::log::id_text;

/// The most samples kept for each kind of finding.
const SAMPLES_MAX: usize = 20;

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Confirmed, and nobody knows what became of it (promise P1).
    Lost,
    /// Read again although an earlier read may have been processed; recorded as a possible copy (P3).
    Duplicate,
    /// The same, not recorded (P3 broken).
    DuplicateUnrecorded,
    /// First read before an earlier one of its token was done with (P2 broken).
    Inversion,
    /// Written by a second sender of its queue.
    DoubleWriter,
}

/// One sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The notification.
    #[serde(serialize_with = "id_as_text")]
    pub id: u128,
    /// The fingerprint of its device token.
    #[serde(serialize_with = "token_as_text")]
    pub token: u64,
    /// Its sequence within the token.
    pub sequence: Option<u64>,
    /// When the offending read happened, in monotonic nanoseconds.
    pub read_ns: Option<u64>,
    /// On which connection.
    pub connection: Option<u32>,
    /// What is wrong, in words.
    pub what: String,
}

fn id_as_text<S: serde::Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id_text(*id))
}

fn token_as_text<S: serde::Serializer>(token: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{token:016x}"))
}

/// The checker's findings in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Notifications that the producer was told are accepted.
    pub confirmed: u64,
    /// Requests in the log.
    pub rows: u64,
    /// Confirmed notifications that were read at least once.
    pub read: u64,
    /// Confirmed notifications without a final verdict, or with verdict *accepted* and without a 200 in the log.
    pub lost: u64,
    /// Ids read again although an earlier read may have been processed.
    pub duplicates: u64,
    /// Those of them that are not among the possible copies; must be 0.
    pub duplicates_unrecorded: u64,
    /// Reads beyond the first of the duplicates.
    pub copies: u64,
    /// Reads after an answer that said the earlier one was not processed.
    pub retries: u64,
    /// Reads that the client was told were not processed.
    pub refused: u64,
    /// First reads that overtook an earlier notification of their token.
    pub inversions: u64,
    /// Requests written by a second sender of a queue.
    pub double_writers: u64,
    /// Ids in the log that the producer holds no confirmation for.
    pub unconfirmed: u64,
    /// Rows the log had no room for. With any, losses may be false and duplicates missed.
    pub log_rows_dropped: u64,
    /// Up to 20 samples of each kind.
    pub samples: Vec<(Finding, Evidence)>,
}

impl Report {
    /// Nothing lost, no unrecorded duplicate, no inversion, no second writer, and a whole log.
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicates_unrecorded + self.inversions + self.double_writers + self.log_rows_dropped
            == 0
    }

    pub(super) fn add(&mut self, finding: Finding, evidence: impl FnOnce() -> Evidence) {
        if self.samples.iter().filter(|(kind, _)| *kind == finding).count() < SAMPLES_MAX {
            self.samples.push((finding, evidence()));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "confirmed {} read {} lost {} duplicates {} (unrecorded {}) retries {} refused {} inversions {} double writers {}",
            self.confirmed,
            self.read,
            self.lost,
            self.duplicates,
            self.duplicates_unrecorded,
            self.retries,
            self.refused,
            self.inversions,
            self.double_writers
        )?;
        if self.log_rows_dropped > 0 {
            writeln!(
                f,
                "{} rows found no room in the log: this history proves nothing",
                self.log_rows_dropped
            )?;
        }
        for (finding, evidence) in &self.samples {
            writeln!(
                f,
                "{finding:?}: id {} token {:016x} sequence {:?}: {}",
                id_text(evidence.id),
                evidence.token,
                evidence.sequence,
                evidence.what
            )?;
        }
        Ok(())
    }
}
