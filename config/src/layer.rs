//! One layer: keys with their raw values and where each stands.

use crate::fault::Faults;
use crate::origin::Origin;
use crate::schema::{Resolved, join, schema};
use crate::value::Raw;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One value of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) key: String,
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
    /// The folder a relative path is meant from; empty for the working directory.
    pub(crate) folder: PathBuf,
}

/// The values of one layer, and the sections that were opened in it.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) sections: BTreeMap<String, Origin>,
}

impl Layer {
    /// Takes a value in if its key is known, or is a secret's own key; otherwise adds a fault.
    pub(crate) fn push(&mut self, leaf: Leaf, faults: &mut Faults) {
        let exempt = leaf.origin.is_default() || schema().source_of_secret(&leaf.key).is_some();
        if !exempt && let Resolved::Unknown { what, remedy } = schema().resolve(&leaf.key) {
            faults.add(Some(&leaf.origin), &leaf.key, what, remedy);
            return;
        }
        let mut path = String::new();
        for part in leaf.key.split('.') {
            path = join(&path, part);
            if schema().is_section(&path) {
                self.sections.entry(path.clone()).or_insert_with(|| leaf.origin.clone());
            }
        }
        self.leaves.push(leaf);
    }
}
