//! Building programs in other languages once: into the target folder, under a lock, anew when a source changed.

use crate::skipped::{note, this_test};
use crate::{target_folder, workspace_folder};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One command of a build.
#[derive(Debug)]
pub enum Step {
    /// Needs the network, whose absence is no fault of ours.
    Fetch(Command),
    /// Needs what was fetched.
    Build(Command),
}

/// The folder with what `steps` make of the sources in `folder` (of the workspace, without folders in it); they are told
/// sources and results. `None`, and noted as skipped with the reason, when something can't be fetched.
///
/// # Panics
/// When a build fails, or the target folder can't be written.
pub fn built(folder: &str, steps: impl FnOnce(&Path, &Path) -> Vec<Step>) -> Option<PathBuf> {
    let sources = workspace_folder().join(folder);
    let results = target_folder().join("built").join(folder);
    fs::create_dir_all(&results).unwrap();
    let lock = File::create(results.join("lock")).unwrap();
    lock.lock().unwrap();
    let stamp = results.join("built-from");
    let text = all_sources(&sources);
    if fs::read_to_string(&stamp).is_ok_and(|built_from| built_from == text) {
        return Some(results);
    }
    for step in steps(&sources, &results) {
        let (mut command, is_fetch) = match step {
            Step::Fetch(command) => (command, true),
            Step::Build(command) => (command, false),
        };
        let program = command.get_program().display().to_string();
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        if !output.status.success() {
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(is_fetch, "{program} can't build {folder}:\n{told}");
            let line = told.lines().find(|line| line.contains("ERROR")).or(told.lines().last());
            note(&this_test(), &format!("{program} can't fetch: {}", line.unwrap_or_default()));
            return None;
        }
    }
    fs::write(stamp, text).unwrap();
    Some(results)
}

fn all_sources(folder: &Path) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}
