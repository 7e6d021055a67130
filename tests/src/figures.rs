//! Measured figures: one JSON row a line in `target/figures/<file>.json`, removed before a run by `tests/run`.

use std::{fs::OpenOptions, io, io::Write as _, path::PathBuf};

use serde::Serialize;

/// Appends `row` to `target/figures/<file>.json` in one write, so that tests running side by side don't mix lines.
///
/// # Errors
/// When the row is no JSON or the file can't be written.
pub fn append(file: &str, row: &impl Serialize) -> io::Result<()> {
    let path = path(file);
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    OpenOptions::new().create(true).append(true).open(path)?.write_all(&line)
}

/// Removes what an earlier run left in `target/figures/<file>.json`; a missing file is fine.
///
/// # Errors
/// When it is there and can't be removed.
pub fn reset(file: &str) -> io::Result<()> {
    match std::fs::remove_file(path(file)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn path(file: &str) -> PathBuf {
    crate::target_folder().join("figures").join(format!("{file}.json"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_are_lines_of_json() {
        let file = format!("selftest-{}", std::process::id());
        super::append(&file, &serde_json::json!({"a": 1})).unwrap();
        super::append(&file, &serde_json::json!({"a": 2})).unwrap();
        assert_eq!(std::fs::read_to_string(super::path(&file)).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
        super::reset(&file).unwrap();
        super::reset(&file).unwrap();
        assert!(!super::path(&file).exists());
    }
}
