//! `skein demo`: the whole in one process, with its own verdict.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use skein_tests::process::skein;

const NOTIFICATIONS: u64 = 20_000;
const LIMIT: Duration = Duration::from_secs(180);
const VERDICTS: [&str; 9] = [
    "suppressed",
    "accepted",
    "failed",
    "expired",
    "superseded",
    "token_invalid",
    "cancelled",
    "dead",
    "pending",
];
const OTHERS: [&str; 8] =
    ["submitted", "lost", "duplicates", "inversions", "in_doubt", "seconds", "per_second", "cpu_us"];

/// P1, P2: one line with exactly the documented keys, nothing lost or overtaken, and the identity adds up.
#[tokio::test]
async fn the_demo_loses_nothing_and_adds_up() {
    let count = NOTIFICATIONS.to_string();
    let mut demo = skein(["demo", "--notifications", &count, "--json"]).unwrap().start().unwrap();
    let status = demo.wait_exit(LIMIT).await.unwrap();
    let output = demo.output();
    assert_eq!(status.code(), Some(0), "{output}{}", demo.log());
    let line = output.lines().last().unwrap();
    let summary: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let keys: BTreeSet<&str> = summary.keys().map(String::as_str).collect();
    assert_eq!(keys, VERDICTS.into_iter().chain(OTHERS).collect::<BTreeSet<_>>());
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key} is no number: {line}"));
    assert_eq!(number("submitted"), NOTIFICATIONS as f64);
    assert_eq!((number("lost"), number("inversions"), number("pending")), (0.0, 0.0, 0.0), "{line}");
    assert_eq!(VERDICTS.iter().map(|verdict| number(verdict)).sum::<f64>(), number("submitted"), "{line}");
    assert!(number("accepted") >= 0.97 * number("submitted"), "{line}");
    assert!(number("duplicates") <= number("in_doubt"), "{line}");
}
