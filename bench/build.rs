//! Tells the benches which commit they are built from: a figure is of the code that was measured, wherever it runs.
//!
//! `SKEIN_COMMIT`, where it is set while building, else what git says, else `unknown`: a tree without git builds too.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SKEIN_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let commit = std::env::var("SKEIN_COMMIT").ok().or_else(from_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=SKEIN_BUILD_COMMIT={commit}");
}

/// The commit of the checkout that this folder belongs to; none if git knows nothing of its files.
fn from_git() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    // Written whenever HEAD moves, by a commit as by a checkout; absent in a bare-bones clone, then HEAD alone is watched.
    for name in ["logs/HEAD", "HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists());
        if let Some(path) = path {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// What git says, run in this folder; none if it can't be run or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
