//! What the ledger says after a scenario, in the checker's words.

use std::collections::HashMap;

use skein_apns_sim::{
    checker::{Confirmed, FinalVerdict, History, Ids, Report, Verdicts, check},
    log::Snapshot,
};
use skein_core::NotificationId;
use skein_tests::services::PostgreSqlAddress;

use crate::load::Sent;

/// The ledger's final verdicts and what it marks.
#[derive(Debug, Default)]
pub struct Books {
    /// By id.
    pub verdicts: Verdicts,
    /// What APNs may have received more than once.
    pub possible_copies: Ids,
    /// What had an answer in doubt.
    pub in_doubt: Ids,
    /// The sum of the devices' badge counts.
    pub badges: u64,
}

impl Books {
    /// Holds what was confirmed, what the simulator read and these against each other: P1, P2, P3.
    pub fn against(&self, sent: &[Sent], log: &Snapshot) -> Report {
        let confirmed: Vec<Confirmed> = sent.iter().map(|sent| sent.confirmed).collect();
        check(&History {
            confirmed: &confirmed,
            log,
            verdicts: Some(&self.verdicts),
            possible_copies: &self.possible_copies,
            writers: None,
        })
    }

    /// Reads a database of PostgreSQL.
    pub async fn read(ledger: &PostgreSqlAddress, database: &str) -> Self {
        let rows = async |sql: &str| ledger.query(database, sql).await.unwrap();
        let mut books = Self::default();
        for row in rows("SELECT id, verdict, possible_copy FROM skein.final").await {
            let code = row[1].as_deref().unwrap().parse().unwrap();
            books.enter_final(number(row[0].as_deref().unwrap()), code, row[2].as_deref() == Some("t"));
        }
        for row in rows("SELECT DISTINCT id, kind FROM skein.note WHERE possible_copy").await {
            let kind = row[1].as_deref().unwrap().parse().unwrap();
            books.enter_note(number(row[0].as_deref().unwrap()), kind);
        }
        let badges = rows("SELECT coalesce(sum(badge), 0) FROM skein.device").await;
        books.badges = badges[0][0].as_deref().unwrap().parse().unwrap();
        books
    }

    /// Asserts the accounting identity: a verdict for each that was accepted and for nothing else, what APNs took is not called
    /// refused, each badge counts once.
    pub fn assert_identity(&self, sent: &[Sent], log: &Snapshot) {
        let submitted: Ids = sent.iter().map(|sent| sent.confirmed.id).collect();
        assert!(self.verdicts.keys().all(|id| submitted.contains(id)), "a verdict of nobody's notification");
        assert_eq!(self.verdicts.len(), submitted.len(), "the identity: {:?}", self.by_label());
        let taken = |id: &u128| self.verdicts.get(id) == Some(&FinalVerdict::Accepted);
        let answered = log.rows.iter().filter(|row| row.status() == Some(200)).map(|row| row.id());
        let disputed: Vec<u128> =
            answered.filter(|id| !taken(id) && !self.possible_copies.contains(id)).collect();
        assert!(disputed.is_empty(), "APNs took {} that the ledger says it refused", disputed.len());
        let badges: u64 = sent.iter().map(|sent| sent.badge).sum();
        assert_eq!(self.badges, badges, "each badge counts once");
    }

    /// Enters a final row: id, verdict's code, whether it is a possible copy.
    pub fn enter_final(&mut self, id: u128, code: i16, possible_copy: bool) {
        let verdict = skein_core::FinalVerdict::from_code(code).map(skein_core::FinalVerdict::label);
        let verdict = verdict.and_then(FinalVerdict::from_label).unwrap_or_else(|| panic!("verdict {code}"));
        let first = self.verdicts.insert(id, verdict);
        assert!(first.is_none(), "P1: two final verdicts of one generation");
        if possible_copy {
            self.possible_copies.insert(id);
        }
    }

    /// Enters a note about a possible copy.
    pub fn enter_note(&mut self, id: u128, kind: i16) {
        self.possible_copies.insert(id);
        if kind == skein_core::fact::NoteKind::InDoubt.code() {
            self.in_doubt.insert(id);
        }
    }

    /// How many ended so.
    pub fn count(&self, verdict: FinalVerdict) -> u64 {
        self.verdicts.values().filter(|v| **v == verdict).count() as u64
    }

    /// How many ended how, by the ledger's word.
    pub fn by_label(&self) -> HashMap<&'static str, u64> {
        let mut counts = HashMap::new();
        for verdict in self.verdicts.values() {
            *counts.entry(verdict.label()).or_default() += 1;
        }
        counts
    }
}

/// An id's text as the checker's number.
pub fn number(id: &str) -> u128 {
    NotificationId::parse(id).unwrap().as_uuid().as_u128()
}
