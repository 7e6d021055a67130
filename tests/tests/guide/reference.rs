//! The pages of `docs/reference/` are what the code says. When one isn't:
//!
//! ```text
//! SKEIN_WRITE_REFERENCE=1 cargo test -p skein-tests --test guide reference
//! ```

use std::fs;

use skein_tests::workspace_folder;

use crate::{alarm_table, metric_names, verdict_table};

fn holds(name: &str, made: &str) {
    let path = workspace_folder().join("docs/reference").join(name);
    if std::env::var_os("SKEIN_WRITE_REFERENCE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differing = written.lines().zip(made.lines()).find(|(written, made)| written != made);
    assert!(
        written == made,
        "docs/reference/{name} is not what the code says, first: {differing:?}; write it anew with\n  \
         SKEIN_WRITE_REFERENCE=1 cargo test -p skein-tests --test guide reference"
    );
}

#[test]
fn reference_of_settings() {
    holds("settings.md", &skein_config::reference_markdown());
}

#[test]
fn reference_of_verdicts() {
    holds("verdicts.md", &verdict_table::page());
}

#[test]
fn reference_of_metrics() {
    holds("metrics.md", &metric_names::page());
}

#[test]
fn reference_of_alarms() {
    holds("alarms.md", &alarm_table::page());
}
