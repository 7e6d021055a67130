//! The page of alarms: every rule of `deploy/prometheus/alarms.yml`, by whom it wakes.

use std::{fmt::Write as _, fs};

use skein_tests::workspace_folder;

const HEAD: &str = "# Alarms, rule by rule\n\n\
    Made from `deploy/prometheus/alarms.yml`; do not edit. A **page** wakes somebody, since users are hurt; a **ticket** is for working \
    hours. *For*: so long must it have been so before anybody is told. Each name leads to what the alarm means, where to look and what to do.\n";
/// What stands before each line of an expression of several.
const DEEPER: &str = "          ";
const KINDS: [(&str, &str); 2] = [("page", "Pages"), ("ticket", "Tickets")];

/// One rule.
#[derive(Debug, Default, PartialEq)]
struct Alarm {
    name: String,
    severity: String,
    lasts: Option<String>,
    expression: String,
    summary: String,
    runbook: String,
}

/// The page.
pub fn page() -> String {
    let rules = fs::read_to_string(workspace_folder().join("deploy/prometheus/alarms.yml")).unwrap();
    let alarms = read(&rules);
    let mut page = HEAD.to_owned();
    let mut written = 0;
    for (kind, title) in KINDS {
        writeln!(page, "\n## {title}\n\n| alarm | for | what it says |\n| --- | --- | --- |").unwrap();
        let of_kind = || alarms.iter().filter(|alarm| alarm.severity == kind);
        for Alarm { name, lasts, summary, .. } in of_kind() {
            let lasts = lasts.as_deref().unwrap_or("at once");
            writeln!(page, "| [{name}](#{}) | {lasts} | {} |", name.to_lowercase(), cell(summary)).unwrap();
            written += 1;
        }
        for Alarm { name, expression, runbook, .. } in of_kind() {
            let runbook = runbook.strip_prefix("docs/").unwrap();
            writeln!(page, "\n### {name}\n\n[What to do](../{runbook})\n\n```promql\n{expression}\n```")
                .unwrap();
        }
    }
    assert_eq!(written, alarms.len(), "an alarm is neither a page nor a ticket");
    page
}

/// A summary with what Prometheus puts in as a word in angle brackets: `{{ $labels.pool }}` as `<pool>`.
fn cell(summary: &str) -> String {
    let mut cell = String::new();
    let mut rest = summary;
    while let Some((before, inside)) = rest.split_once("{{") {
        let (inside, after) = inside.split_once("}}").unwrap();
        let mut words = inside.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '$');
        let word = words.find(|word| word.starts_with('$')).unwrap();
        write!(cell, "{before}*{}*", word.trim_start_matches("$labels.").trim_start_matches('$')).unwrap();
        rest = after;
    }
    (cell + rest).replace("''", "'").replace('|', "\\|")
}

/// The rules as they are laid out there: each key on a line of its own, an expression of several lines indented below it.
fn read(rules: &str) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("- alert: ") {
            alarms.push(Alarm { name: name.to_owned(), ..Alarm::default() });
            continue;
        }
        let (Some(alarm), Some((key, value))) = (alarms.last_mut(), text.split_once(": ")) else { continue };
        match key {
            "expr" if value == "|-" => {
                let block: Vec<&str> =
                    std::iter::from_fn(|| lines.next_if(|line| line.starts_with(DEEPER))).collect();
                let block: Vec<&str> = block.into_iter().map(|line| &line[DEEPER.len()..]).collect();
                alarm.expression = block.join("\n");
            }
            "expr" => alarm.expression = value.to_owned(),
            "for" => alarm.lasts = Some(value.to_owned()),
            "labels" => {
                alarm.severity = value.trim_matches(['{', '}', ' ']).replace("severity: ", "");
            }
            "summary" => alarm.summary = value.trim_matches('\'').to_owned(),
            "runbook_url" => alarm.runbook = value.to_owned(),
            _ => {}
        }
    }
    for alarm in &alarms {
        let whole = [&alarm.severity, &alarm.expression, &alarm.summary, &alarm.runbook];
        assert!(whole.iter().all(|part| !part.is_empty()), "{alarm:?}");
    }
    alarms
}

#[test]
fn a_rule_is_read_however_long_its_expression() {
    let rules = "      - alert: A\n        expr: |-\n          max(a\n            b) > 1\n        for: 5m\n        \
                 labels: { severity: page }\n        annotations:\n          summary: '{{ $value | humanize }} of {{ $labels.pool }}''s'\n          \
                 runbook_url: docs/alarms.md#a\n      - alert: B\n        expr: max(b) == 1\n        labels: { severity: ticket }\n        \
                 annotations:\n          summary: 'b'\n          runbook_url: docs/alarms.md#b\n";
    let [a, b] = read(rules).try_into().unwrap();
    assert_eq!((a.expression.as_str(), a.lasts.as_deref()), ("max(a\n  b) > 1", Some("5m")));
    assert_eq!((cell(&a.summary).as_str(), a.severity.as_str()), ("*value* of *pool*'s", "page"));
    assert_eq!((b.expression.as_str(), b.lasts, b.severity.as_str()), ("max(b) == 1", None, "ticket"));
}
