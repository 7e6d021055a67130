//! The harness: real services as child processes, a relay that cuts sockets, the `skein` binary under control.
//!
//! A library for every room's tests (as a dev-dependency; it depends on no other crate of the workspace). Scenarios
//! that need those crates are in `tests/tests/`.

pub mod figures;
pub mod http;
pub mod ports;
pub mod process;
pub mod relay;
pub mod services;
pub mod skipped;

mod guard;
mod wait;

pub use wait::{TimedOut, until};

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
