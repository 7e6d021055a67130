//! P1 to P3 with kill -9 in the middle of the load, again and again.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use skein_core::seam::{Ledger, LookUp};
use skein_core::{DeviceToken, NotificationId, NotificationKey, Timestamp};

use crate::child::{DRAIN, FILE, QUEUES, key, open, pool};

const KILLS: usize = 8;

/// Runs the child until it told `lines` lines, then kills it; gives what it told.
fn run(path: &Path, lines: Option<usize>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::child", "--nocapture"]).env(FILE, path).stdout(Stdio::piped());
    if lines.is_none() {
        command.env(DRAIN, "1");
    }
    let mut child = command.spawn().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let is_told = |line: &String| {
        ["confirmed ", "written ", "recorded ", "drained"].iter().any(|word| line.starts_with(word))
    };
    let mut told = told.filter(is_told);
    let mut seen: Vec<String> = told.by_ref().take(lines.unwrap_or(usize::MAX)).collect();
    if lines.is_some() {
        child.kill().unwrap();
    }
    // What it told between the last line looked at and its death.
    seen.extend(told);
    let status = child.wait().unwrap();
    assert_eq!(status.success(), lines.is_none(), "{status}");
    seen
}

#[tokio::test]
async fn p1_p2_p3_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skein.db");
    let mut told = Vec::new();
    for kill in 0..KILLS {
        told.extend(run(&path, Some(200 + 371 * kill)));
    }
    let last = run(&path, None);
    assert_eq!(last.last().map(String::as_str), Some("drained"));
    told.extend(last);

    let mut confirmed: Vec<(String, NotificationId)> = Vec::new();
    let (mut recorded, mut copies) = (HashSet::new(), 0);
    let mut first_writes: HashMap<String, Vec<NotificationId>> = HashMap::new();
    let mut written = HashSet::new();
    for line in &told {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["confirmed", token, id] => confirmed.push((token.into(), NotificationId::parse(id).unwrap())),
            ["written", token, id] => {
                let id = NotificationId::parse(id).unwrap();
                assert!(!recorded.contains(&id), "P3: {id} is written again after its verdict was recorded");
                if written.insert(id) {
                    first_writes.entry(token.into()).or_default().push(id);
                } else {
                    copies += 1;
                }
            }
            ["recorded", id] => drop(recorded.insert(NotificationId::parse(id).unwrap())),
            _ => {}
        }
    }
    assert!(confirmed.len() > 500, "{}", confirmed.len());
    for (token, ids) in &first_writes {
        // One submitter, waiting for each confirmation, with ids that grow.
        assert!(ids.is_sorted(), "P2: order of {token}");
    }

    let engine = open(&path).await;
    let ledger = engine.ledger();
    let asked: Vec<LookUp> = confirmed
        .iter()
        .map(|(token, id)| LookUp {
            key: NotificationKey { id: *id, generation: 0 },
            token: key().token(&DeviceToken::parse(token).unwrap()),
        })
        .collect();
    let known = ledger.look_up(&asked).await.unwrap();
    let lost = known.iter().filter(|known| known.verdict.is_none()).count();
    assert_eq!(lost, 0, "P1: confirmed and without a verdict");
    let tally = ledger.tally(&pool(), Timestamp::from_millis(0)).await.unwrap();
    assert_eq!(tally.total(), written.len() as u64, "each that was written ended once");
    // Each final verdict counted its badge once.
    let badges: HashMap<&str, u32> = confirmed
        .iter()
        .zip(&known)
        .map(|((token, _), known)| (token.as_str(), known.device.badge))
        .collect();
    for (token, badge) in badges {
        assert_eq!(badge as usize, first_writes[token].len(), "badge of {token}");
    }
    eprintln!(
        "{} confirmed, {} written, {copies} copies, {KILLS} kills, {QUEUES} queues",
        confirmed.len(),
        written.len()
    );
}
