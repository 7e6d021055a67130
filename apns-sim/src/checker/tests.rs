//! Each fault is planted in a clean history and must be found, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::log::{Connection, NewRow};
use crate::reason::Reason;

const MS: u64 = 1_000_000;

/// `tokens` devices with `each` notifications, every one read and answered within a millisecond.
struct Clean {
    confirmed: Vec<Confirmed>,
    rows: Vec<NewRow>,
    verdicts: Verdicts,
    copies: Ids,
}

fn clean(tokens: u64, each: u64) -> Clean {
    let mut clean =
        Clean { confirmed: vec![], rows: vec![], verdicts: Verdicts::default(), copies: Ids::default() };
    for sequence in 0..each {
        for token in 0..tokens {
            let n = sequence * tokens + token;
            let id = u128::from(n) + 1;
            let read_ns = (n + 1) * MS;
            clean.confirmed.push(Confirmed { id, token, sequence });
            clean.verdicts.insert(id, FinalVerdict::Accepted);
            let (status, written_ns) = (Some(200), Some(read_ns + MS / 2));
            let connection = (token % 2) as u32;
            clean.rows.push(NewRow {
                id,
                token,
                connection,
                read_ns,
                status,
                written_ns,
                ..NewRow::default()
            });
        }
    }
    clean
}

fn connections() -> Vec<Connection> {
    let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let connection =
        |number| Connection { number, peer: peer(4000 + number as u16), opened_ns: 0, closed_ns: None };
    (0..4).map(connection).collect()
}

impl Clean {
    fn snapshot(&self) -> Snapshot {
        let mut rows: Vec<_> = self.rows.iter().map(|row| (*row).into()).collect();
        rows.sort_by_key(crate::log::Row::read_ns);
        Snapshot { rows, connections: connections(), ..Snapshot::default() }
    }

    fn check(&self) -> Report {
        check(&History {
            confirmed: &self.confirmed,
            log: &self.snapshot(),
            verdicts: Some(&self.verdicts),
            possible_copies: &self.copies,
            writers: None,
        })
    }

    fn check_writers(&self, alternation_max: Duration) -> Report {
        let writers = Writers {
            sender_of: &|connection| Some(connection.number),
            queue_of: &|token| (token % 2) as u32,
            alternation_max,
        };
        check(&History {
            confirmed: &self.confirmed,
            log: &self.snapshot(),
            verdicts: None,
            possible_copies: &self.copies,
            writers: Some(&writers),
        })
    }
}

#[test]
fn a_clean_history_passes() {
    let clean = clean(100, 100);
    let report = clean.check();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.confirmed, report.read, report.rows), (10_000, 10_000, 10_000));
    assert_eq!((report.duplicates, report.retries, report.unconfirmed), (0, 0, 0));
    assert!(clean.check_writers(Duration::from_secs(1)).is_clean());
}

#[test]
fn p1_a_loss_is_found() {
    let mut planted = clean(10, 10);
    planted.verdicts.remove(&17);
    let report = planted.check();
    assert_eq!((report.lost, report.samples[0].1.id), (1, 17));

    let mut planted = clean(10, 10);
    planted.rows.retain(|row| row.id != 17);
    assert_eq!(planted.check().lost, 1, "accepted, but never read");
    planted.verdicts.insert(17, FinalVerdict::Suppressed);
    assert_eq!(planted.check().lost, 0, "suppressed needs no read");
    assert_eq!(planted.check_writers(Duration::ZERO).lost, 1, "without verdicts an unread one is lost");

    let mut planted = clean(10, 10);
    planted.rows[16].status = Some(503);
    assert_eq!(planted.check().lost, 1, "accepted, but only refused");
}

#[test]
fn p3_a_duplicate_is_found_and_a_retry_is_none() {
    let mut planted = clean(10, 10);
    let copy = NewRow { read_ns: 5_000 * MS, written_ns: Some(5_001 * MS), ..planted.rows[30] };
    planted.rows.push(copy);
    let report = planted.check();
    assert_eq!((report.duplicates, report.duplicates_unrecorded, report.copies), (1, 1, 1));
    assert_eq!(report.samples[0].0, Finding::DuplicateUnrecorded);
    planted.copies.insert(31);
    let report = planted.check();
    assert_eq!((report.duplicates, report.duplicates_unrecorded), (1, 0));
    assert!(report.is_clean());

    for unanswered in [None, Some(200)] {
        planted.rows[30].status = unanswered;
        planted.rows[30].written_ns = None;
        assert_eq!(planted.check().duplicates, 1, "unanswered as {unanswered:?}");
    }

    planted.copies.clear();
    let answered = Some(31 * MS + 1);
    for (status, reason, refused) in [
        (Some(429), Some(Reason::TooManyRequests), false),
        (Some(500), Some(Reason::InternalServerError), false),
        (None, None, true),
    ] {
        let retried = NewRow { status, reason, refused, written_ns: answered, ..planted.rows[30] };
        planted.rows[30] = retried;
        let report = planted.check();
        assert_eq!((report.duplicates, report.retries), (0, 1), "after {status:?}");
        assert_eq!(report.lost, 0);
    }
}

#[test]
fn p2_an_inversion_is_found() {
    let mut planted = clean(10, 10);
    let (early, late) = (planted.rows[20].read_ns, planted.rows[30].read_ns);
    planted.rows[20].read_ns = late;
    planted.rows[20].written_ns = Some(late + 1);
    planted.rows[30].read_ns = early;
    planted.rows[30].written_ns = Some(early + 1);
    let report = planted.check();
    assert_eq!((report.inversions, report.samples[0].1.sequence), (1, Some(3)));

    let mut planted = clean(10, 10);
    planted.rows[20].written_ns = Some(planted.rows[30].read_ns + 1);
    assert_eq!(planted.check().inversions, 1, "read before the earlier one's final answer");
    planted.rows[20].written_ns = Some(planted.rows[30].read_ns - 1);
    assert_eq!(planted.check().inversions, 0);
}

#[test]
fn p2_an_overtaken_retry_is_an_inversion_and_a_late_copy_is_none() {
    let mut planted = clean(10, 10);
    planted.rows[20].status = Some(500);
    planted.rows[20].reason = Some(Reason::InternalServerError);
    let next = planted.rows[30].read_ns;
    let retry = |read_ns| NewRow {
        status: Some(200),
        reason: None,
        read_ns,
        written_ns: Some(read_ns + 1),
        ..planted.rows[20]
    };
    let (in_time, too_late) = (retry(next - 10), retry(next + 10));
    planted.rows.push(in_time);
    assert_eq!(planted.check().inversions, 0);
    planted.rows.pop();
    planted.rows.push(too_late);
    assert_eq!(planted.check().inversions, 1);

    let mut planted = clean(10, 10);
    let copy = NewRow { read_ns: 5_000 * MS, written_ns: Some(5_001 * MS), ..planted.rows[20] };
    planted.rows.push(copy);
    planted.copies.insert(21);
    assert_eq!(planted.check().inversions, 0, "only first writes count");
}

#[test]
fn a_second_writer_is_found() {
    let mut planted = clean(10, 10);
    planted.rows[41].connection = 3;
    let report = planted.check_writers(Duration::from_millis(100));
    assert_eq!(report.double_writers, 1, "{report}");
    assert_eq!(planted.check_writers(Duration::ZERO).double_writers, 0, "one after the other is a hand-over");

    let mut planted = clean(10, 10);
    for row in planted.rows.iter_mut().filter(|row| row.connection == 1 && row.read_ns > 50 * MS) {
        row.connection = 3;
    }
    assert_eq!(planted.check_writers(Duration::from_millis(100)).double_writers, 0, "a clean hand-over");
    let last = planted.rows.iter().rposition(|row| row.connection == 1).expect("written before");
    planted.rows[last].written_ns = Some(90 * MS);
    assert!(planted.check_writers(Duration::ZERO).double_writers > 0, "the old one was not done");
}

#[test]
fn what_nobody_confirmed_is_counted_apart() {
    let mut planted = clean(10, 10);
    planted.confirmed.pop();
    planted.confirmed.remove(0);
    assert_eq!(planted.check().unconfirmed, 2);
    assert!(planted.check().is_clean());
}

#[test]
fn a_log_with_gaps_proves_nothing() {
    let clean = clean(2, 2);
    let log = Snapshot { dropped: 1, ..clean.snapshot() };
    let (confirmed, copies) = (&clean.confirmed, &clean.copies);
    let report =
        check(&History { confirmed, log: &log, verdicts: None, possible_copies: copies, writers: None });
    assert!(!report.is_clean());
}

#[test]
fn a_confirmed_list_survives_its_file() {
    let list = clean(3, 3).confirmed;
    let mut text = Vec::new();
    write_confirmed(&list, &mut text).expect("memory");
    assert_eq!(read_confirmed(text.as_slice()).expect("just written"), list);
    let bad = b"00000000-0000-0000-0000-000000000001 00 1\nnonsense\n";
    assert!(matches!(read_confirmed(&bad[..]), Err(ConfirmedError::Line { line: 2 })));
}
