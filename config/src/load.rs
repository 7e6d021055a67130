//! Loading: layer over layer, then the checks, then the structs; every fault of the run at once.

use crate::fault::Faults;
use crate::file_layer::read_file_layer;
use crate::layer::{Layer, Leaf};
use crate::origin::Origin;
use crate::rules::check_rules;
use crate::schema::{DEFAULT_TOML, POOL, Reload, generic, schema};
use crate::secret_sources::{check_files, check_inline_secret, resolve_secrets};
use crate::settings::Config;
use crate::sources::Sources;
use crate::value::{Raw, Value};
use crate::values::{Entry, Reader, Setting, Values};
use crate::word_layer::{read_environment, read_flags};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Largest configuration file in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A configuration that passed every check, and where each value came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    pub(crate) values: Values,
}

/// A setting that two loads have differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The full key.
    pub key: String,
    /// When the change takes effect.
    pub reload: Reload,
}

impl Config {
    /// Loads and checks a configuration. Blocks for reading the files; reads nothing else than `sources` names.
    ///
    /// # Errors
    /// Every fault that can be found in one run, sorted by place.
    pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
        let mut faults = Faults::default();
        let mut values = Values::default();
        let defaults =
            read_file_layer(DEFAULT_TOML, Path::new(""), &|line| Origin::Default { line }, &mut faults);
        let mut layers: Vec<Layer> =
            sources.files.iter().filter_map(|path| read_file(path, &mut faults)).collect();
        layers.push(read_environment(&sources.environment, &mut faults));
        layers.push(read_flags(&sources.flags, &mut faults));

        put_defaults(&mut values, defaults, &layers, &mut faults);
        let live_layer = layers.len() + 1;
        for (number, layer) in (1..).zip(layers) {
            for leaf in layer.leaves {
                put_leaf(&mut values, leaf, number, &mut faults);
            }
        }
        if let Some(live) = &sources.live {
            values.files = live.files.clone();
            for leaf in live.leaves(&mut values, &mut faults) {
                put_leaf(&mut values, leaf, live_layer, &mut faults);
            }
        }
        resolve_secrets(&mut values, &sources.environment, &mut faults);
        check_files(&mut values, &mut faults);
        check_rules(&values, &mut faults);
        let config = Self::read(&mut Reader { values: &values, faults: &mut faults }, "");
        match config {
            Some(config) if faults.0.is_empty() => Ok(Loaded { config, values }),
            _ => {
                faults.sort();
                Err(faults)
            }
        }
    }
}

impl Default for Config {
    /// What `default.toml` says, with no pool.
    fn default() -> Self {
        Self::load(&Sources::default()).expect("a test loads default.toml").config
    }
}

impl Loaded {
    /// Where the value of a key came from; `None` if it is not set.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.origin(key)
    }

    /// That there is at least one pool, which whoever sends or accepts needs.
    ///
    /// # Errors
    /// One fault that tells how to add a pool.
    pub fn require_pool(&self) -> Result<(), Faults> {
        let remedy = "add a section [pools.<name>] with environment, topics and credential";
        require(!self.config.pools.is_empty(), "pools", "there is no pool, so nothing can be sent", remedy)
    }

    /// That the front door knows who may submit, which the gateway needs.
    ///
    /// # Errors
    /// One fault that tells how to name the keys.
    pub fn require_api_keys(&self) -> Result<(), Faults> {
        let what = "is missing, so nobody could submit over HTTP";
        let remedy =
            "set it to a file (mode 0600) of lines \"name = <BLAKE3 hash of the key, 64 hex digits>\"";
        require(self.config.gateway.api_keys.is_some(), "gateway.api_keys_file", what, remedy)
    }

    /// What a newer load changes, with when each change takes effect; sorted by key.
    ///
    /// A pool that came or went counts as its settings. A secret counts when its content changed, under its own key;
    /// a file that another room loads (a pool's `key_file`) only when its path did.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let (old, new) = (&self.values.entries, &newer.values.entries);
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .filter(|key| old.get(*key).map(|e| &e.value) != new.get(*key).map(|e| &e.value))
            .map(|key| {
                let known = schema().key(key).or_else(|| schema().source_of_secret(key));
                let api_keys = schema().key(&format!("{key}_file"));
                let reload = known.or(api_keys).map_or(Reload::Restart, |k| k.reload);
                Change { key: key.clone(), reload }
            })
            .collect()
    }
}

fn require(is_there: bool, key: &str, what: &str, remedy: &str) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if !is_there {
        faults.add(None, key, what, remedy);
        return Err(faults);
    }
    Ok(())
}

fn read_file(path: &Path, faults: &mut Faults) -> Option<Layer> {
    let origin = |line| Origin::File { file: path.to_owned(), line };
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = read {
        let what = format!("cannot be read: {error}");
        faults.add(Some(&origin(None)), "", what, "name a file that exists and that this user can read");
        return None;
    }
    if text.len() as u64 > FILE_BYTES_MAX {
        let what = format!("is larger than {FILE_BYTES_MAX} bytes");
        faults.add(Some(&origin(None)), "", what, "name a configuration file");
        return None;
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Some(read_file_layer(&text, folder, &|line| origin(Some(line)), faults))
}

/// The defaults, and for each pool that any layer opens the pool's defaults.
fn put_defaults(values: &mut Values, defaults: Layer, layers: &[Layer], faults: &mut Faults) {
    for layer in layers {
        for (section, origin) in &layer.sections {
            values.sections.entry(section.clone()).or_insert_with(|| origin.clone());
        }
    }
    let pools = values.pools();
    for leaf in defaults.leaves {
        match leaf.key.strip_prefix(&format!("pools.{POOL}.")) {
            Some(name) => {
                for pool in &pools {
                    let key = format!("pools.{pool}.{name}");
                    put_leaf(values, Leaf { key, ..leaf.clone() }, 0, faults);
                }
            }
            None => put_leaf(values, leaf, 0, faults),
        }
    }
}

fn put_leaf(values: &mut Values, leaf: Leaf, layer: usize, faults: &mut Faults) {
    let Some(known) = schema().key(&leaf.key) else {
        check_inline_secret(values, leaf, layer, faults);
        return;
    };
    let Leaf { key, raw, origin, folder } = leaf;
    if raw == Raw::Broken {
        values.faulty.insert(key);
        return;
    }
    match known.kind.check(&raw) {
        Err(what) => {
            faults.add(Some(&origin), &key, what, format!("give {}", known.kind));
            values.faulty.insert(key);
        }
        Ok(value) if has_password(&value) && !matches!(origin, Origin::Environment { .. }) => {
            let remedy = format!("take it out and set {}", password_keys(&key));
            faults.add(Some(&origin), &key, "has a password in it", remedy);
            values.faulty.insert(key);
        }
        Ok(value) => {
            let value = match value {
                Value::Path(path) => Value::Path(folder.join(path)),
                other => other,
            };
            values.faulty.remove(&key);
            values.entries.insert(key, Entry { value, origin, layer });
        }
    }
}

fn has_password(value: &Value) -> bool {
    match value {
        Value::Url(url) => url.has_password(),
        Value::List(items) => items.iter().any(has_password),
        _ => false,
    }
}

/// The settings beside a URL that give its password.
fn password_keys(key: &str) -> String {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    debug_assert!(
        schema()
            .key(&format!("{}.password_file", generic(key).rsplit_once('.').map_or("", |s| s.0)))
            .is_some()
    );
    format!("{section}.username and {section}.password_file or {section}.password_env")
}
