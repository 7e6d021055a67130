//! What a loaded configuration says, with where each value came from; secrets masked.

use crate::load::Loaded;
use crate::origin::Origin;
use crate::schema::{POOL, Reload, key_table, schema};
use crate::values::Entry;
use serde::Serialize;

/// One line of `show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The full key.
    pub key: String,
    /// Its value; durations and sizes as text, a secret as `"(secret)"`.
    pub value: serde_json::Value,
    /// Where it came from.
    #[serde(rename = "from")]
    pub origin: Origin,
    /// When a change takes effect.
    pub reload: Reload,
    #[serde(skip)]
    toml: String,
}

/// Every value that is set, in the order of `default.toml`, pools by name; secrets masked always.
#[must_use]
pub fn shown(loaded: &Loaded, only_non_default: bool) -> Vec<Shown> {
    let entries = &loaded.values.entries;
    let mut lines = Vec::new();
    let mut push = |key: &str, reload: Reload| {
        let Some(Entry { value, origin, .. }) = entries.get(key) else { return };
        if !(only_non_default && origin.is_default()) {
            let (key, origin) = (key.to_owned(), origin.clone());
            lines.push(Shown { key, value: value.to_json(), toml: value.to_toml(), origin, reload });
        }
    };
    let is_pool = |key: &str| key.contains(POOL);
    let mut put = |known: &crate::Key, key: String| {
        if let Some(base) = key.strip_suffix("_file").filter(|base| schema().source_of_secret(base).is_some())
        {
            push(base, known.reload);
        }
        push(&key, known.reload);
    };
    for known in key_table().iter().filter(|k| !is_pool(&k.key)) {
        put(known, known.key.clone());
    }
    for pool in loaded.config.pools.keys() {
        for known in key_table().iter().filter(|k| is_pool(&k.key)) {
            put(known, known.key.replace(POOL, pool));
        }
    }
    lines
}

/// [`shown`] as text: one line each, `key = value  # where it came from`.
#[must_use]
pub fn show(loaded: &Loaded, only_non_default: bool) -> String {
    let line = |s: &Shown| format!("{} = {}  # {}\n", s.key, s.toml, s.origin);
    shown(loaded, only_non_default).iter().map(line).collect()
}
