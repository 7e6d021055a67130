//! Every file of `deploy/`, held against the tool that will read it; and the dashboards and alarms against a real Prometheus that reads a
//! real fleet. A tool that is not installed is named as skipped.

mod alarms;
mod composed;
mod container;
mod containers;
mod dashboards;
mod firing;
mod helm;
mod host;
mod installation;
mod pictures;
mod pod;
mod postgresql;
mod prometheus;
mod services;
mod standby;
mod systemd;
mod upgrade;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder of `deploy/`.
fn deploy(folder: &str) -> PathBuf {
    skein_tests::workspace_folder().join("deploy").join(folder)
}

/// Runs a tool in a folder; what it printed. Panics, with that, unless it succeeds.
fn run<S: AsRef<OsStr>>(folder: &Path, program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let (success, text) = try_run(folder, program, arguments);
    assert!(success, "{program} refuses it:\n{text}");
    text
}

/// The same, for one that may refuse: whether it succeeds, and what it printed.
fn try_run<S: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> (bool, String) {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("{program} does not start: {e}"));
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.success(), text.concat())
}

/// Copies a folder with what is in it, links followed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}
