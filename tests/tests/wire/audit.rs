//! What the client says became of each write, held against what the server says it read.

use crate::load::{Answers, Done};
use skein_apns::Answer;
use std::collections::BTreeMap;

/// One request as a server read it, to the last byte of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its `apns-id`, hyphenated.
    pub id: String,
    /// Device token, hex.
    pub token: String,
    pub body_bytes: u64,
    /// Sum of the body's bytes, where the server tells.
    pub body_sum: Option<u64>,
}

impl Read {
    /// What a server that read `done` whole must say.
    pub fn of(done: &Done) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let id = hex(&done.request.apns_id);
        Self {
            id: [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-"),
            token: hex(&done.request.token),
            body_bytes: done.request.payload.len() as u64,
            body_sum: Some(done.request.payload.iter().map(|byte| u64::from(*byte)).sum()),
        }
    }
}

/// Writes by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub replies: usize,
    pub not_sent: usize,
    pub in_doubt: usize,
    /// Of those in doubt, the ones that the server did read.
    pub in_doubt_and_read: usize,
}

/// P2, P3: each write has one answer; what is *not sent* was never read; what has a reply was read whole and once; what
/// was read without a reply is in doubt. Of two lives of a server, `reads` is what both say.
pub fn audit(answers: &Answers, reads: &[Read]) -> Tally {
    let mut by_id = BTreeMap::new();
    for read in reads {
        let second = by_id.insert(read.id.clone(), read);
        assert_eq!(second, None, "read twice");
    }
    let mut tally = Tally::default();
    for (key, done) in answers {
        let expected = Read::of(done);
        let read = by_id.remove(&expected.id);
        if let Some(read) = read {
            let sum = read.body_sum.or(expected.body_sum);
            assert_eq!(
                Read { body_sum: sum, ..read.clone() },
                expected,
                "push {key} was read otherwise than written"
            );
        }
        match &done.answer {
            Answer::Reply { .. } => {
                assert!(read.is_some(), "push {key} has a reply and was never read: {:?}", done.answer);
                tally.replies += 1;
            }
            Answer::NotSent { .. } => {
                assert!(read.is_none(), "push {key} is told as not sent and was read: {:?}", done.answer);
                tally.not_sent += 1;
            }
            Answer::InDoubt { .. } => {
                tally.in_doubt += 1;
                tally.in_doubt_and_read += usize::from(read.is_some());
            }
        }
    }
    assert!(by_id.is_empty(), "read, and never written: {by_id:?}");
    tally
}

/// Every write got a reply, read whole and once; gives how many.
pub fn all_replied(answers: &Answers, reads: &[Read]) -> usize {
    let tally = audit(answers, reads);
    let other = answers.iter().find(|(_, done)| !matches!(done.answer, Answer::Reply { .. }));
    assert!(other.is_none(), "{tally:?}, as {other:?}");
    tally.replies
}

/// The account of a server of ours: a line `read ID TOKEN BYTES SUM` for each request, written before its answer.
pub fn reads_of(output: &str) -> Vec<Read> {
    let whole = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .filter_map(|line| {
            let mut words = line.strip_prefix("read ")?.split_ascii_whitespace();
            let mut word = || words.next().expect("four words");
            Some(Read {
                id: word().to_owned(),
                token: word().to_owned(),
                body_bytes: word().parse().unwrap(),
                body_sum: Some(word().parse().unwrap()),
            })
        })
        .collect()
}
