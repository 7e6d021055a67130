//! The page of metrics: every definition in the code of the roles, by its name, labels and help.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use skein_tests::workspace_folder;

/// The rooms whose processes serve `/metrics`, and what they are called there.
const ROLES: [(&str, &str); 3] =
    [("sender/src", "Sender"), ("health-monitor/src", "Monitor"), ("gateway/src", "Gateway")];
const HEAD: &str = "# Metrics\n\n\
    Made from the code; do not edit. Each role serves its own at `/metrics` of `http.listen`, in Prometheus' text format. \
    No label names a user, a device token or a notification. `_total` counts since the start of the process; of a name in \
    `_seconds` with `_bucket`, `_sum` and `_count`, Prometheus makes quantiles.\n";
/// Characters between a definition's help and its labels.
const LABELS_WITHIN: usize = 40;

struct Metric {
    help: String,
    labels: String,
}

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (folder, role) in ROLES {
        let mut metrics = BTreeMap::new();
        read(&workspace_folder().join(folder), &mut metrics);
        assert!(metrics.len() > 4, "{folder}: its metrics are written in a way that this page can't read");
        writeln!(page, "\n## {role}\n\n| metric | labels | what it says |\n| --- | --- | --- |").unwrap();
        for (name, Metric { help, labels }) in metrics {
            writeln!(page, "| `{name}` | {labels} | {help} |").unwrap();
        }
    }
    page
}

fn read(folder: &Path, metrics: &mut BTreeMap<String, Metric>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, metrics);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            definitions(text.split("#[cfg(test)]").next().unwrap_or_default(), metrics);
        }
    }
}

/// A definition is a name, a comma, and its help, both string literals.
fn definitions(text: &str, metrics: &mut BTreeMap<String, Metric>) {
    for (at, _) in text.match_indices("\"skein_") {
        let Some((name, rest)) = literal(&text[at..]) else { continue };
        let Some((help, rest)) =
            rest.trim_start().strip_prefix(',').and_then(|rest| literal(rest.trim_start()))
        else {
            continue;
        };
        let near = &rest[..rest.floor_char_boundary(rest.find(';').unwrap_or(rest.len()).min(LABELS_WITHIN))];
        let labels = near.find("&[").map(|start| {
            let labels = rest[start + 2..].split(']').next().unwrap_or_default();
            labels.split(',').map(|label| format!("`{}`", label.trim().trim_matches('"')))
        });
        let labels = labels.map(|labels| labels.collect::<Vec<_>>().join(", ")).unwrap_or_default();
        metrics.insert(name, Metric { help: help.replace('|', "\\|"), labels });
    }
}

/// A string literal at the start of a text, without escapes but that of a line's end, and what follows it.
fn literal(text: &str) -> Option<(String, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    let mut lines = inside.split("\\\n");
    let first = lines.next()?.to_owned();
    Some((lines.fold(first, |all, line| all + line.trim_start()), rest))
}

#[test]
fn a_definition_is_read_however_it_is_laid_out() {
    let text = "a(\n  \"skein_a_total\",\n  \"One, \\\n     two.\",\n  &[\"pool\", \"how\"],\n)?;\n\
                Opts::new(\"skein_b\", \"Three.\"); other(&[\"no\"]); add(\"skein_a_total\", &[name]);";
    let mut metrics = BTreeMap::new();
    definitions(text, &mut metrics);
    let read: Vec<_> =
        metrics.iter().map(|(name, m)| (name.as_str(), m.help.as_str(), m.labels.as_str())).collect();
    assert_eq!(read, [("skein_a_total", "One, two.", "`pool`, `how`"), ("skein_b", "Three.", "")]);
}
