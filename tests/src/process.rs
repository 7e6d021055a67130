//! The `skein` binary as a child: captured output, signals, readiness, always ended.

use std::{ffi::OsStr, io, path::PathBuf};

pub use skein_dev_services::process::{Child, Program};

/// Where the binary under test is: `SKEIN_BIN`, else `target/release/skein`, else `target/debug/skein`.
///
/// # Errors
/// When none of these is a file.
pub fn skein_binary() -> io::Result<PathBuf> {
    let given = std::env::var_os("SKEIN_BIN").map(PathBuf::from);
    let built = ["release", "debug"].map(|profile| crate::target_folder().join(profile).join("skein"));
    given.into_iter().chain(built).find(|path| path.is_file()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no skein binary: run `cargo build --release` or set SKEIN_BIN",
        )
    })
}

/// The `skein` binary with these arguments.
///
/// # Errors
/// As [`skein_binary`].
pub fn skein<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> io::Result<Program> {
    let mut program = Program::new(skein_binary()?);
    program.command().args(arguments);
    Ok(program)
}
