//! The known settings, read from the comments of `default.toml`.

use crate::kind::{Kind, is_pool_name};
use crate::nearest::nearest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The compiled-in file: every setting, documented, with its default.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

/// What stands in a key for a pool's name.
pub(crate) const POOL: &str = "<name>";

/// When a change of a setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// While running.
    Live,
    /// At the next start.
    Restart,
}

impl Reload {
    /// The word for tables and messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
        }
    }
}

/// One setting, as `default.toml` documents it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// Full key, such as `sender.lease`; a pool's settings have `<name>` for the pool: `pools.<name>.port`.
    pub key: String,
    /// What values it takes, with the range.
    #[serde(rename = "type")]
    pub kind_text: String,
    /// Default as TOML text, if there is one.
    pub default: Option<String>,
    /// Example as TOML text, for a setting without default.
    pub example: Option<String>,
    /// `duration`, `bytes`, `count`, `share`, or empty.
    pub unit: &'static str,
    /// When a change takes effect.
    pub reload: Reload,
    /// What it is and why it is bounded so, one line.
    pub doc: String,
    /// Line in `default.toml`.
    #[serde(skip)]
    pub(crate) line: u32,
    #[serde(skip)]
    pub(crate) kind: Kind,
}

/// All settings and sections.
pub(crate) struct Schema {
    /// In the order of `default.toml`.
    pub(crate) keys: Vec<Key>,
    /// Sections with their description, in the order of `default.toml`.
    pub(crate) sections: Vec<(String, String)>,
    by_key: BTreeMap<String, usize>,
    section_names: BTreeSet<String>,
    /// What is wrong with `default.toml` itself; empty, as a test checks.
    pub(crate) defects: Vec<String>,
}

/// What a key of a layer turned out to be.
pub(crate) enum Resolved {
    /// A known setting.
    Known(&'static Key),
    /// None: what is wrong, and what would be right.
    Unknown { what: String, remedy: String },
}

/// The settings of `default.toml`.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(DEFAULT_TOML));
    &SCHEMA
}

/// Every setting in the order of `default.toml`, for documentation and tools.
#[must_use]
pub fn key_table() -> &'static [Key] {
    &schema().keys
}

impl Schema {
    fn read(text: &str) -> Self {
        let mut schema = Self {
            keys: Vec::new(),
            sections: vec![(String::new(), String::new())],
            by_key: BTreeMap::new(),
            section_names: ["", "pools"].map(str::to_owned).into(),
            defects: Vec::new(),
        };
        let mut section = String::new();
        let mut doc: Vec<&str> = Vec::new();
        let mut note: Option<(Reload, Kind)> = None;
        for (number, line) in (1u32..).zip(text.lines()) {
            let line = line.trim();
            if let Some(annotation) = line.strip_prefix("#@ ") {
                note = read_note(annotation);
            } else if line == "#" || line.starts_with("# ") {
                doc.push(line[1..].trim());
            } else if line.is_empty() {
                doc.clear();
            } else if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.replace('"', "");
                schema.sections.push((section.clone(), doc.join(" ")));
                schema.section_names.insert(section.clone());
                doc.clear();
            } else if let (Some((name, value)), Some((reload, kind))) = (line.split_once(" = "), note.take())
            {
                let (name, is_default) = name.strip_prefix('#').map_or((name, true), |name| (name, false));
                let value = value.to_owned();
                schema.push(Key {
                    key: join(&section, name),
                    kind_text: kind.to_string(),
                    default: is_default.then(|| value.clone()),
                    example: (!is_default).then_some(value),
                    unit: kind.unit(),
                    reload,
                    doc: doc.join(" "),
                    line: number,
                    kind,
                });
                doc.clear();
            } else {
                schema.defects.push(format!("default.toml:{number}: no setting with a #@ line before it"));
            }
        }
        schema
    }

    fn push(&mut self, key: Key) {
        if key.doc.is_empty() || self.by_key.contains_key(&key.key) {
            self.defects
                .push(format!("default.toml:{}: no description, or a key that stands twice", key.line));
        }
        self.by_key.insert(key.key.clone(), self.keys.len());
        self.keys.push(key);
    }

    /// The setting of a full key; `pools.enterprise.port` finds `pools.<name>.port`.
    pub(crate) fn key(&self, key: &str) -> Option<&Key> {
        self.by_key.get(&generic(key)).map(|n| &self.keys[*n])
    }

    /// Whether a table may stand under this path.
    pub(crate) fn is_section(&self, path: &str) -> bool {
        self.section_names.contains(&generic(path))
    }

    /// The setting whose file or variable gives the secret `key`, which itself only the environment may have.
    pub(crate) fn source_of_secret(&self, key: &str) -> Option<&Key> {
        self.key(&format!("{key}_file")).filter(|k| matches!(k.kind, Kind::SecretFile { .. }))
    }

    /// Looks a key up; for an unknown one says what was probably meant.
    pub(crate) fn resolve(&'static self, key: &str) -> Resolved {
        if let Some(fault) = pool_name_fault(key) {
            return fault;
        }
        if let Some(known) = self.key(key) {
            return Resolved::Known(known);
        }
        if self.is_section(key) {
            let example = self.keys.iter().find(|k| k.key.starts_with(&generic(key)));
            return Resolved::Unknown {
                what: "is a section, not a setting".to_owned(),
                remedy: format!(
                    "set a key in it, such as {}",
                    example.map_or("[pools.enterprise]", |k| &k.key)
                ),
            };
        }
        let pool = key.strip_prefix("pools.").and_then(|rest| rest.split('.').next());
        let near = self.meant(&generic(key)).map(|near| near.replace(POOL, pool.unwrap_or(POOL)));
        Resolved::Unknown {
            what: "is no setting of Skein".to_owned(),
            remedy: near.map_or_else(
                || "remove it; the settings are listed in default.toml".to_owned(),
                |near| format!("did you mean {near}? otherwise remove it"),
            ),
        }
    }

    /// What an unknown key probably meant: a like name in the same section, the same name in another one, a section
    /// of a like name, or the likest key of all.
    fn meant(&self, key: &str) -> Option<&str> {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let split = |key: &'static str| key.rsplit_once('.').unwrap_or(("", key));
        let keys = || schema().keys.iter().map(|k| (k.key.as_str(), split(&k.key)));
        let beside = nearest(name, keys().filter(|(_, (s, _))| *s == section).map(|(_, (_, name))| name));
        if let Some(beside) = beside {
            return keys().find(|(_, split)| *split == (section, beside)).map(|(key, _)| key);
        }
        let elsewhere = keys().find(|(_, (_, other))| *other == name).map(|(key, _)| key);
        let is_inside = self.is_section(section) && !section.is_empty();
        let sections = || self.sections.iter().map(|(name, _)| name.as_str()).filter(|s| !s.is_empty());
        elsewhere
            .or_else(|| nearest(key, sections()).filter(|_| !is_inside))
            .or_else(|| nearest(key, keys().map(|(key, _)| key)).filter(|_| !is_inside))
    }
}

fn pool_name_fault(key: &str) -> Option<Resolved> {
    let name = key.strip_prefix("pools.")?.split('.').next()?;
    (!is_pool_name(name)).then(|| Resolved::Unknown {
        what: format!("{name:?} cannot be a pool's name"),
        remedy: "a pool's name has 1 to 32 of a-z, 0-9 and '-', a letter first".to_owned(),
    })
}

/// Joins a section's path and a name.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The key with its pool's name replaced by `<name>`.
pub(crate) fn generic(key: &str) -> String {
    match key.strip_prefix("pools.") {
        Some(rest) => match rest.split_once('.') {
            Some((_, tail)) => format!("pools.{POOL}.{tail}"),
            None => format!("pools.{POOL}"),
        },
        None => key.to_owned(),
    }
}

fn read_note(text: &str) -> Option<(Reload, Kind)> {
    let (reload, kind) = text.split_once(' ')?;
    let reload = [Reload::Live, Reload::Restart].into_iter().find(|r| r.label() == reload)?;
    Some((reload, Kind::parse(kind)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_toml_documents_every_line() {
        assert_eq!(schema().defects, Vec::<String>::new());
        assert!(key_table().len() > 90, "{} settings", key_table().len());
        for key in key_table() {
            assert!(key.doc.ends_with('.') && !key.doc.contains("  "), "{}: {:?}", key.key, key.doc);
        }
    }

    #[test]
    fn each_secret_has_a_file_and_a_variable() {
        for key in key_table() {
            if let Kind::SecretFile { hex } = key.kind {
                let base = key.key.strip_suffix("_file").expect("named so");
                let variable = schema().key(&format!("{base}_env")).expect("a twin");
                assert_eq!(variable.kind, Kind::SecretEnv { hex });
                assert!(schema().key(base).is_none());
            }
        }
    }
}
