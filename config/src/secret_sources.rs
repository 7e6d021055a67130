//! Secrets come from a file or from the environment, never from the configuration itself; and the files that
//! settings name are looked at.

use crate::api_keys::parse_api_keys;
use crate::fault::Faults;
use crate::kind::Kind;
use crate::layer::Leaf;
use crate::origin::Origin;
use crate::private_file::{FileFault, check_file, check_private_file, read_private_file};
use crate::schema::schema;
use crate::value::{Raw, Value};
use crate::values::{Entry, Values};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use zeroize::Zeroize as _;

/// A secret's own key: taken from the environment, refused from anywhere else.
pub(crate) fn check_inline_secret(values: &mut Values, leaf: Leaf, layer: usize, faults: &mut Faults) {
    let Leaf { key, raw, origin, .. } = leaf;
    let key = key.as_str();
    let Some(source) = schema().source_of_secret(key) else { return };
    let hex = matches!(source.kind, Kind::SecretFile { hex: true });
    let remedy = format!(
        "set {key}_file to a file with it (mode 0600), {key}_env to a variable, or {}",
        crate::word_layer::environment_name(key)
    );
    let what = match origin {
        Origin::Environment { .. } => match (Kind::Secret { hex }).check(&raw) {
            Ok(value) => {
                values.entries.insert(key.to_owned(), Entry { value, origin, layer });
                return;
            }
            Err(what) => what,
        },
        Origin::Flag { .. } => {
            "is a secret on the command line, where every user of the machine sees it".to_owned()
        }
        _ => "is a secret written in a file that is not only for it".to_owned(),
    };
    faults.add(Some(&origin), key, what, remedy);
    values.faulty.insert(key.to_owned());
}

/// Reads each secret from the source of the highest layer that names one.
pub(crate) fn resolve_secrets(
    values: &mut Values,
    environment: &BTreeMap<String, String>,
    faults: &mut Faults,
) {
    for key in secrets_named(values) {
        let names = [key.clone(), format!("{key}_file"), format!("{key}_env")];
        let rank = |name: &String| values.entries.get(name).map(|entry| entry.layer);
        let highest = names.iter().filter_map(rank).max();
        let mut chosen: Vec<&String> = names.iter().filter(|name| rank(name) == highest).collect();
        let Some(name) = chosen.pop() else { continue };
        let entry = values.entries[name].clone();
        if let Some(other) = chosen.first() {
            let what = format!("is given twice, also by {other}");
            faults.add(Some(&entry.origin), name, what, "leave one of them");
            continue;
        }
        if values.is_elsewhere(name) {
            continue;
        }
        let hex = schema().key(&names[1]).is_some_and(|k| k.kind == Kind::SecretFile { hex: true });
        let text = match &entry.value {
            Value::Path(path) => read_private_file(path).map_err(|fault| (fault.what, fault.remedy)),
            Value::Text(variable) => {
                environment.get(variable).filter(|text| !text.is_empty()).cloned().ok_or_else(|| {
                    (format!("the variable {variable} is not set"), format!("set it, or use {}", names[1]))
                })
            }
            _ => continue,
        };
        let checked = text.and_then(|text| {
            let kind = Kind::Secret { hex };
            let mut raw = Raw::Word(text);
            let value = kind.check(&raw).and_then(not_blank);
            if let Raw::Word(text) = &mut raw {
                text.zeroize();
            }
            value.map_err(|what| (format!("what it names {what}"), format!("put {kind} there, nothing else")))
        });
        match checked {
            Ok(value) => {
                values.entries.insert(key, Entry { value, ..entry });
            }
            Err((what, remedy)) => {
                faults.add(Some(&entry.origin), name, what, remedy);
                values.faulty.insert(key);
            }
        }
    }
}

fn not_blank(value: Value) -> Result<Value, String> {
    match &value {
        Value::Secret(secret) if secret.expose().trim().is_empty() => Err("is empty".to_owned()),
        _ => Ok(value),
    }
}

fn secrets_named(values: &Values) -> BTreeSet<String> {
    let base = |key: &String| {
        let base = key.strip_suffix("_file").or_else(|| key.strip_suffix("_env")).unwrap_or(key);
        schema().source_of_secret(base).map(|_| base.to_owned())
    };
    values.entries.keys().filter_map(base).collect()
}

/// That the files which settings name are there, with the mode they need; the API keys are read.
pub(crate) fn check_files(values: &mut Values, faults: &mut Faults) {
    let mut api_keys = None;
    let mut faulty = Vec::new();
    for (key, entry) in &values.entries {
        let (Some(known), Value::Path(path)) = (schema().key(key), &entry.value) else { continue };
        let result = match known.kind {
            _ if values.is_elsewhere(key) => Ok(()),
            Kind::File => check_file(path),
            Kind::PrivateFile => check_private_file(path),
            Kind::ApiKeysFile => read_private_file(path).map(|text| {
                let keys = parse_api_keys(&text, path, key, faults);
                api_keys = Some(Entry { value: Value::ApiKeys(keys), ..entry.clone() });
            }),
            Kind::Path => check_place(path),
            Kind::Folder if path.is_dir() => Ok(()),
            Kind::Folder => check_place(path),
            _ => Ok(()),
        };
        if let Err(fault) = result {
            faults.add(Some(&entry.origin), key, fault.what, fault.remedy);
            faulty.push(key.clone());
        }
    }
    values.faulty.extend(faulty);
    if let Some(entry) = api_keys {
        values.entries.insert("gateway.api_keys".to_owned(), entry);
    }
}

fn check_place(path: &Path) -> Result<(), FileFault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) && !path.is_dir() {
        return Ok(());
    }
    let folder = folder.unwrap_or(Path::new("."));
    Err(FileFault {
        what: format!("{} is no place for a file or folder", path.display()),
        remedy: format!("make the folder {}, and name a file in it", folder.display()),
    })
}
