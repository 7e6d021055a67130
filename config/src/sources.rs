//! What a configuration is loaded from.

use crate::live_layer::Live;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Files, environment, flags and live settings, in the order of the layers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Configuration files, each over the one before.
    pub files: Vec<PathBuf>,
    /// The environment: `SKEIN_…` settings and the variables that `…_env` settings name.
    pub environment: BTreeMap<String, String>,
    /// The texts of `--set key=value`, each over the one before.
    pub flags: Vec<String>,
    /// What the fleet was told while it runs, over all the others.
    pub live: Option<Live>,
}

impl Sources {
    /// These files and flags, with the environment of this process; variables that are no UTF-8 are left out.
    #[must_use]
    pub fn of_process(files: Vec<PathBuf>, flags: Vec<String>) -> Self {
        let utf8 = |(name, text): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, text.into_string().ok()?))
        };
        Self { files, environment: std::env::vars_os().filter_map(utf8).collect(), flags, live: None }
    }
}

/// The environment and the flags may hold secrets: only their number is shown.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("files", &self.files)
            .field("environment", &self.environment.len())
            .field("flags", &self.flags.len())
            .field("live", &self.live)
            .finish()
    }
}
