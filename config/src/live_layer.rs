//! The layer of live settings: what a fleet was told while it runs, over everything that a process was started with.

use crate::fault::Faults;
use crate::kind::Kind;
use crate::layer::Leaf;
use crate::origin::Origin;
use crate::schema::{Reload, Resolved, schema};
use crate::value::Raw;
use crate::values::Values;
use crate::word_layer::word;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Settings that a fleet was told while it runs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Which version of them.
    pub version: u64,
    /// The text of each, as after `--set`; an empty one takes back what the files say, of a setting without default.
    pub settings: BTreeMap<String, String>,
    /// Which files are on this host, of those that any layer names.
    pub files: Files,
}

/// Which of the files that pools and the front door name, and of the ledger's two keys, are on this host: those that its process
/// reads. The others are not looked at, so that a configuration which all roles share gives no role another's secrets. All other
/// sections' files are everybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    kinds: u8,
    /// Of the pools', those of these alone.
    only: Option<BTreeSet<String>>,
}

const POOLS: u8 = 1;
const FRONT_DOOR: u8 = 1 << 1;
const FINGERPRINT: u8 = 1 << 2;
const PARKING: u8 = 1 << 3;

impl Files {
    /// None.
    pub const NONE: Self = Self::of(0);
    /// Those of the pools.
    pub const POOLS: Self = Self::of(POOLS);
    /// Those of the pools and the key of fingerprints, as on a sender's.
    pub const SENDER: Self = Self::of(POOLS | FINGERPRINT);
    /// Those of the front door and both keys, as on a gateway's: it stores device tokens.
    pub const GATEWAY: Self = Self::of(FRONT_DOOR | FINGERPRINT | PARKING);
    /// All.
    pub const ALL: Self = Self::of(POOLS | FRONT_DOOR | FINGERPRINT | PARKING);

    const fn of(kinds: u8) -> Self {
        Self { kinds, only: None }
    }

    /// Those of these pools, and no other's.
    #[must_use]
    pub const fn of_pools(names: BTreeSet<String>) -> Self {
        Self { kinds: POOLS, only: Some(names) }
    }

    /// These, and those of the front door.
    #[must_use]
    pub const fn and_front_door(mut self) -> Self {
        self.kinds |= FRONT_DOOR;
        self
    }

    /// Whether those of every pool are among them.
    #[must_use]
    pub const fn has_pools(&self) -> bool {
        self.kinds & POOLS != 0 && self.only.is_none()
    }

    /// Whether what a key names is among them.
    pub(crate) fn has(&self, key: &str) -> bool {
        let kinds = [
            ("pools.", POOLS),
            ("gateway.", FRONT_DOOR),
            (FINGERPRINT_KEY, FINGERPRINT),
            (PARKING_KEY, PARKING),
        ];
        let kind = kinds.into_iter().find(|(start, _)| key.starts_with(start));
        let is_left_out = |pool: &str| self.only.as_ref().is_some_and(|only| !only.contains(pool));
        kind.is_none_or(|(_, kind)| self.kinds & kind != 0) && !Live::pool_of(key).is_some_and(is_left_out)
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::ALL
    }
}

/// The key of device tokens' fingerprints, with what names where it is.
pub(crate) const FINGERPRINT_KEY: &str = "ledger.fingerprint_key";
/// The key that seals device tokens.
pub(crate) const PARKING_KEY: &str = "ledger.parking_key";

/// Like a flag's, a text may turn out to hold what must not be printed: only the keys are shown.
impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("version", &self.version)
            .field("settings", &self.settings.keys())
            .finish_non_exhaustive()
    }
}

impl Live {
    /// Nothing set, on a host with these files.
    #[must_use]
    pub fn nothing(files: Files) -> Self {
        Self { files, ..Self::default() }
    }

    /// The pool that a setting belongs to, if it belongs to one.
    #[must_use]
    pub fn pool_of(key: &str) -> Option<&str> {
        key.strip_prefix("pools.")?.split('.').next()
    }

    /// What is said of the pools that the other layers have: a process knows those that it serves.
    pub(crate) fn leaves(&self, values: &mut Values, faults: &mut Faults) -> Vec<Leaf> {
        let pools = values.pools();
        let served = |key: &str| Self::pool_of(key).is_none_or(|pool| pools.iter().any(|p| p == pool));
        let origin = Origin::Live { version: self.version };
        let mut leaves = Vec::new();
        for (key, text) in self.settings.iter().filter(|(key, _)| served(key)) {
            match checked(key, text) {
                Err((what, remedy)) => faults.add(Some(&origin), key, what, remedy),
                Ok(None) => {
                    values.entries.remove(key);
                    values.faulty.remove(key);
                }
                Ok(Some(raw)) => leaves.push(Leaf {
                    key: key.clone(),
                    raw,
                    origin: origin.clone(),
                    folder: PathBuf::new(),
                }),
            }
        }
        leaves
    }
}

fn checked(key: &str, text: &str) -> Result<Option<Raw>, (String, String)> {
    if schema().source_of_secret(key).is_some() {
        let remedy = format!("set {key}_file to a file that each sender has");
        return Err(("is a secret, and live settings are read by the whole fleet".to_owned(), remedy));
    }
    let known = match schema().resolve(key) {
        Resolved::Known(known) => known,
        Resolved::Unknown { what, remedy } => return Err((what, remedy)),
    };
    if known.reload != Reload::Live {
        let remedy = "set it in the configuration file and restart the process";
        return Err(("takes effect at a start only".to_owned(), remedy.to_owned()));
    }
    if text.is_empty() {
        if known.default.is_some() {
            let remedy = format!("give {}, or leave it out of the live settings", known.kind);
            return Err(("is empty".to_owned(), remedy));
        }
        return Ok(None);
    }
    let is_path =
        matches!(known.kind, Kind::PrivateFile | Kind::ApiKeysFile | Kind::SecretFile { .. } | Kind::File);
    if is_path && !Path::new(text).is_absolute() {
        let remedy = "name the whole path: each process has a folder of its own".to_owned();
        return Err((format!("{text:?} is no absolute path"), remedy));
    }
    Ok(Some(word(key, text)))
}
