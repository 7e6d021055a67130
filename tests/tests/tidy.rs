//! The style rules of this repository as a test, and the truth of ARCHITECTURE.md's map.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 400;
const LINES_MEDIAN_MAX: usize = 150;
const MAP_ROWS_MIN: usize = 20;
const MAP_HEADING: &str = "Where is";

/// Files that may be longer than 400 lines, each with its reason.
const LONG: &[(&str, &str)] = &[];

/// What no Rust file contains. (Each is put together so that this file does not contain it either.)
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("todo", "!("), "finish it or leave it out"),
    (concat!("unimplemented", "!("), "finish it or leave it out"),
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    (concat!("allow(dead", "_code"), "delete what nobody calls"),
    (concat!("#[ig", "nore]"), "say why: #[ignore = \"…\"]"),
];

/// Paths of the machine something was written on.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/."), concat!("/fa", "rm/")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "misc", "helpers"];

/// Which crates of the workspace a room may use; what is not listed here is free.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("apns", &[]),
    ("config", &[]),
    ("producer-lib", &["skein-core"]),
    ("backends", &["skein-core", "skein-producer", "skein-config"]),
    ("provision", &["skein-core", "skein-producer", "skein-backends"]),
    ("doctor", &["skein-core", "skein-producer", "skein-backends", "skein-provision", "skein-apns"]),
];

struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    skein_tests::workspace_folder()
}

/// Every file under the root that git would know, as paths relative to it, in order.
fn files() -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink()
                || [".git", "target", ".tools", "node_modules", ".venv"].contains(&name.as_str())
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the workspace is not at {}", root.display());
    found
}

fn sources_with(extensions: &[&str]) -> Vec<Source> {
    let wanted = |path: &String| {
        let extension = Path::new(path).extension().unwrap_or_default().to_string_lossy().into_owned();
        extensions.contains(&extension.as_str())
    };
    let read =
        |path: String| Source { text: fs::read_to_string(root().join(&path)).unwrap_or_default(), path };
    files().into_iter().filter(wanted).map(read).collect()
}

fn rust() -> Vec<Source> {
    sources_with(&["rs"])
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn files_are_short() {
    let mut too_long = Vec::new();
    for Source { path, text } in rust() {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(long, _)| *long == path);
        if lines > LINES_MAX && !excused {
            too_long.push(format!("{path}: {lines} lines; look for the second idea in it"));
        } else if lines <= LINES_MAX && excused {
            too_long.push(format!("{path}: {lines} lines; take it off the list of long files"));
        }
    }
    for (path, reason) in LONG {
        assert!(
            root().join(path).is_file() && reason.len() > 20,
            "{path}: gone, or excused without a reason"
        );
    }
    assert_none("no file is longer than 400 lines", &too_long);
}

#[test]
fn the_median_file_is_read_at_once() {
    let mut lengths: Vec<usize> = rust().iter().map(|source| source.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= LINES_MEDIAN_MAX, "the median file has {median} lines");
}

#[test]
fn nothing_unfinished_is_left() {
    let mut found = Vec::new();
    for Source { path, text } in rust() {
        for (number, line) in text.lines().enumerate() {
            for (pattern, advice) in FORBIDDEN {
                if line.contains(pattern) {
                    found.push(format!("{path}:{}: {pattern} — {advice}", number + 1));
                }
            }
        }
    }
    assert_none("nothing unfinished, unused or silently skipped", &found);
}

#[test]
fn every_file_says_first_what_it_is() {
    let is_test_module = |path: &str| {
        path.ends_with("/tests.rs")
            || path.split_once("/src/").is_some_and(|(_, rest)| rest.contains("tests/"))
    };
    let silent: Vec<String> = rust()
        .into_iter()
        .filter(|source| !is_test_module(&source.path) && !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none("a file's first line is its `//!` doc", &silent);
}

#[test]
fn names_say_what_is_inside() {
    let says_nothing = |path: &String| {
        let path = Path::new(path).with_extension("");
        path.components().any(|part| EMPTY_NAMES.contains(&part.as_os_str().to_string_lossy().as_ref()))
    };
    let offenders: Vec<String> = files().into_iter().filter(says_nothing).collect();
    assert_none("no folder or file is called utils, common or misc", &offenders);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut found = Vec::new();
    for Source { path, text } in sources_with(&[
        "rs", "md", "toml", "sh", "yml", "yaml", "json", "service", "html", "css", "js", "py", "sql", "",
    ]) {
        for (number, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|pattern| mentions(line, pattern)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("no path of a build machine", &found);
}

/// Whether `path` begins in `line`: `framework/` is not the folder `work`.
fn mentions(line: &str, path: &str) -> bool {
    let begins =
        |at: usize| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-$})~>*".contains(c));
    line.match_indices(path).any(|(at, _)| begins(at))
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (room, allowed) in DEPENDENCIES {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies =
            manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let ours = dependencies.keys().filter(|name| name.starts_with("skein"));
        wrong.extend(
            ours.filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{room} uses {name}")),
        );
    }
    assert_none("core ← producer-lib ← backends ← the roles; apns and config are leaves", &wrong);
}

#[test]
fn the_map_where_is_what_is_true() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = map_rows(&text);
    let count = rows.len();
    assert!(count >= MAP_ROWS_MIN, "the map \"{MAP_HEADING} …?\" has {count} rows, not {MAP_ROWS_MIN}");
    let mut cache = BTreeMap::new();
    let mut wrong = Vec::new();
    for [question, file, symbol] in rows {
        let text = cache.entry(file.clone()).or_insert_with(|| fs::read_to_string(root().join(&file)).ok());
        let name = symbol.trim_end_matches("()").rsplit("::").next().unwrap_or_default();
        match text {
            None => wrong.push(format!("{question} {file} does not exist")),
            Some(text) if name.is_empty() || !text.contains(name) => {
                wrong.push(format!("{question} {file} does not contain {symbol:?}"));
            }
            Some(_) => {}
        }
    }
    assert_none("the map names files that contain the symbol", &wrong);
}

/// The rows `question | file | symbol` of the table under the last heading that says "Where is".
fn map_rows(text: &str) -> Vec<[String; 3]> {
    let is_heading = |line: &&str| line.starts_with('#') && line.contains(MAP_HEADING);
    let Some(heading) = text.lines().collect::<Vec<_>>().iter().rposition(is_heading) else {
        return Vec::new();
    };
    let table = text.lines().skip(heading).filter(|line| line.trim_start().starts_with('|'));
    table
        .skip(2)
        .filter_map(|line| {
            let mut cells = line.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
            Some([cells.next()?, cells.next()?, cells.next()?])
        })
        .collect()
}

#[test]
fn the_map_is_read_as_it_is_written() {
    let text = "# A\n## Where is …?\n\n| question | file | symbol |\n|---|---|---|\n| where? | `a/b.rs` | `X::y()` |\n";
    assert_eq!(map_rows(text), [["where?", "a/b.rs", "X::y()"].map(str::to_owned)]);
    assert!(map_rows("| no | heading | here |").is_empty());
}

#[test]
fn a_folder_in_a_longer_name_is_no_machine_path() {
    let path = MACHINE_PATHS[0];
    assert!(mentions(&format!("see {path}main"), path));
    assert!(!mentions(&format!("https://example.com/frame{path}x"), path));
}
