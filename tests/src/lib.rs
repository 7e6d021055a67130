//! The harness: real services as child processes, a relay that cuts sockets, the `skein` binary under control.
//!
//! A library for every room's tests (as a dev-dependency; of the workspace it depends on `dev-services` alone). Scenarios
//! that need those crates are in `tests/tests/`.

pub mod figures;
pub mod process;
pub mod relay;
pub mod skipped;
pub mod toolchain;

pub use skein_dev_services as services;
pub use skein_dev_services::{TimedOut, http, ports, until};

use std::path::PathBuf;

/// The workspace's folder for everything that is made and may be deleted: `CARGO_TARGET_DIR`, or `target`.
#[must_use]
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_folder().join("target"), PathBuf::from)
}

/// The workspace's root: the parent of this crate's folder.
#[must_use]
pub fn workspace_folder() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    here.ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map_or_else(|| here.clone(), PathBuf::from)
}
