//! The layers of words: the environment (`SKEIN_BROKER__URLS`) and the flags (`--set broker.urls=…`).

use crate::fault::Faults;
use crate::kind::Kind;
use crate::layer::{Layer, Leaf};
use crate::origin::Origin;
use crate::schema::{POOL, key_table, schema};
use crate::value::Raw;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the variables of Skein begin with.
const PREFIX: &str = "SKEIN_";

/// Reads `SKEIN_…` variables: `__` separates, `_` belongs to the name, in a pool's name `_` stands for `-`.
///
/// A variable without `__` that is no setting is left alone (Kubernetes makes `SKEIN_GATEWAY_PORT` for a service
/// of that name), unless it is a setting with single underscores. An empty variable counts as not set.
pub(crate) fn read_environment(environment: &BTreeMap<String, String>, faults: &mut Faults) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !text.is_empty()) else { continue };
        let origin = Origin::Environment { name: name.clone() };
        let key = environment_key(rest);
        if !rest.contains("__") && schema().key(&key).is_none() {
            let flat = |key: &str| key.replace('.', "_");
            if let Some(meant) = key_table().iter().find(|k| flat(&k.key) == rest.to_ascii_lowercase()) {
                let remedy = format!("write {}", environment_name(&meant.key));
                faults.add(Some(&origin), &meant.key, "is separated by single underscores", remedy);
            }
            continue;
        }
        let raw = word(&key, text);
        layer.push(Leaf { key, raw, origin, folder: PathBuf::new() }, faults);
    }
    layer
}

/// Reads `key=value` flags.
pub(crate) fn read_flags(flags: &[String], faults: &mut Faults) -> Layer {
    let mut layer = Layer::default();
    for (n, flag) in flags.iter().enumerate() {
        let origin = Origin::Flag { number: n + 1 };
        let Some((key, text)) = flag.split_once('=') else {
            faults.add(
                Some(&origin),
                "",
                "has no '='",
                "write --set key=value, such as --set sender.lease=800ms",
            );
            continue;
        };
        let key = key.trim().to_owned();
        let raw = word(&key, text.trim());
        layer.push(Leaf { key, raw, origin, folder: PathBuf::new() }, faults);
    }
    layer
}

/// The variable of a key: `SKEIN_BROKER__URLS` for `broker.urls`.
#[must_use]
pub fn environment_name(key: &str) -> String {
    let name = key.replace('.', "__").replace('-', "_");
    format!("{PREFIX}{}", if name.contains(POOL) { name } else { name.to_ascii_uppercase() })
}

fn environment_key(rest: &str) -> String {
    let mut parts: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    if parts.len() > 1 && parts[0] == "pools" {
        parts[1] = parts[1].replace('_', "-");
    }
    parts.join(".")
}

/// A list may also be written as TOML: `["a", "b"]`.
pub(crate) fn word(key: &str, text: &str) -> Raw {
    let is_list = schema().key(key).is_some_and(|k| matches!(k.kind, Kind::List(_)));
    if is_list
        && text.starts_with('[')
        && let Ok(toml::Value::Array(items)) = text.parse::<toml::Value>()
    {
        return Raw::List(
            items.into_iter().map(|item| Raw::Word(item.as_str().unwrap_or_default().to_owned())).collect(),
        );
    }
    Raw::Word(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        assert_eq!(environment_name("broker.urls"), "SKEIN_BROKER__URLS");
        assert_eq!(
            environment_name("pools.im-dev.credential.key_file"),
            "SKEIN_POOLS__IM_DEV__CREDENTIAL__KEY_FILE"
        );
        assert_eq!(
            environment_key("POOLS__IM_DEV__CREDENTIAL__KEY_FILE"),
            "pools.im-dev.credential.key_file"
        );
        assert_eq!(environment_key("ENGINE"), "engine");
    }
}
