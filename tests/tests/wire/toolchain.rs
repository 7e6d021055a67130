//! Building the servers of `tests/wire-servers/` once: into `target/wire-servers/`, under a lock, anew when a source changed.

use skein_tests::skipped::{note, this_test};
use skein_tests::{target_folder, workspace_folder};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn source_folder(kind: &str) -> PathBuf {
    workspace_folder().join("tests/wire-servers").join(kind)
}

/// The folder with what `steps` make of the sources of `kind`; they are told sources and results. `None`, and noted as
/// skipped with the reason, when a step fails: a registry out of reach, for one.
pub fn built(kind: &str, steps: impl FnOnce(&Path, &Path) -> Vec<Command>) -> Option<PathBuf> {
    let (sources, results) = (source_folder(kind), target_folder().join("wire-servers").join(kind));
    fs::create_dir_all(&results).unwrap();
    let lock = File::create(results.join("lock")).unwrap();
    lock.lock().unwrap();
    let stamp = results.join("built-from");
    let text = all_sources(&sources);
    if fs::read_to_string(&stamp).is_ok_and(|built_from| built_from == text) {
        return Some(results);
    }
    for mut step in steps(&sources, &results) {
        let program = step.get_program().display().to_string();
        let output = step.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        if !output.status.success() {
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8_lossy(&told).into_owned();
            let line = told.lines().find(|line| line.contains("ERROR")).or(told.lines().last());
            note(&this_test(), &format!("{program} failed: {}", line.unwrap_or_default()));
            return None;
        }
    }
    fs::write(stamp, text).unwrap();
    Some(results)
}

fn all_sources(folder: &Path) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}
