//! What the ledger says after a scenario, in the checker's words.

use std::collections::HashMap;

use skein_apns_sim::checker::{FinalVerdict, Ids, Verdicts};
use skein_core::NotificationId;

/// The ledger's final verdicts and what it marks.
#[derive(Debug, Default)]
pub struct Books {
    pub verdicts: Verdicts,
    /// What APNs may have received more than once.
    pub possible_copies: Ids,
    /// What had an answer in doubt.
    pub in_doubt: Ids,
    /// The sum of the devices' badge counts.
    pub badges: u64,
}

impl Books {
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
