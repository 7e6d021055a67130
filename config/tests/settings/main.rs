//! Configurations as an operator writes them: good, bad and layered.

mod bad_files;
mod examples;
mod layers;
mod live;
mod secrets;

use skein_config::{Config, Faults, Loaded, Sources};
use std::path::{Path, PathBuf};

/// A folder with configuration files, gone at the end.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that only its owner can read.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        set_mode(&path, 0o600);
        path
    }

    /// Loads one file of this text.
    fn load(&self, text: &str) -> Result<Loaded, Faults> {
        self.load_with(text, &[], &[])
    }

    /// Loads one file of this text under this environment and these flags.
    fn load_with(&self, text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, Faults> {
        Config::load(&Sources { files: vec![self.write("skein.toml", text)], ..words(environment, flags) })
    }
}

/// Environment and flags.
fn words(environment: &[(&str, &str)], flags: &[&str]) -> Sources {
    Sources {
        files: Vec::new(),
        environment: environment.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        flags: flags.iter().map(|flag| (*flag).into()).collect(),
        live: None,
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode set");
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}
