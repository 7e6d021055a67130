//! The kept corpus of the fuzz targets, through the same checks.

#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;

use std::fs;
use std::path::Path;

/// Runs each kept input; says how many there were.
fn run(target: &str, check: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        check(&fs::read(&path).unwrap());
        inputs += 1;
    }
    inputs
}

#[test]
fn the_kept_corpus_still_passes() {
    for (target, check) in [
        ("body", fuzzed::body::check as fn(&[u8])),
        ("frames", fuzzed::frames::check),
        ("hpack", fuzzed::hpack::check),
        ("machine", fuzzed::machine::check),
    ] {
        assert!(run(target, check) > 10, "{target} has lost its corpus");
    }
}
