//! The log's rows grouped by id, and what can be said about one id alone.

use super::{Confirmed, Evidence, Finding, Ids, Report};
use crate::log::Row;
use crate::reason::Reason;

/// Row numbers ordered by id, then by time of reading.
pub(super) struct Histories<'a> {
    rows: &'a [Row],
    order: Vec<u32>,
}

impl<'a> Histories<'a> {
    pub(super) fn new(rows: &'a [Row]) -> Self {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|at| {
            let row = &rows[*at as usize];
            (row.id(), row.read_ns(), row.connection())
        });
        Self { rows, order }
    }

    pub(super) fn row(&self, at: u32) -> &'a Row {
        &self.rows[at as usize]
    }

    pub(super) fn cursor(&self) -> Cursor<'_, 'a> {
        Cursor { histories: self, at: 0 }
    }

    /// The reads of each id, in order of id; malformed ids are left out.
    fn each(&self) -> impl Iterator<Item = &[u32]> {
        self.order
            .chunk_by(|a, b| self.row(*a).id() == self.row(*b).id())
            .filter(|reads| self.row(reads[0]).id() != 0)
    }
}

/// Walks the histories along growing ids.
pub(super) struct Cursor<'h, 'a> {
    histories: &'h Histories<'a>,
    at: usize,
}

impl<'h> Cursor<'h, '_> {
    /// The reads of `id`, in order of time; ids must not shrink from call to call.
    pub(super) fn seek(&mut self, id: u128) -> &'h [u32] {
        let order = &self.histories.order;
        let id_at = |at: usize| self.histories.row(order[at]).id();
        while self.at < order.len() && id_at(self.at) < id {
            self.at += 1;
        }
        let mut end = self.at;
        while end < order.len() && id_at(end) == id {
            end += 1;
        }
        &order[self.at..end]
    }
}

/// An answer after which the same notification is not tried again for the same reason.
pub(super) fn is_final(row: &Row) -> bool {
    match (row.status(), row.reason()) {
        (Some(200), _) => true,
        (Some(400 | 404 | 405 | 410 | 413), reason) => !reason.is_some_and(Reason::is_transient),
        _ => false,
    }
}

/// The client could not know that this read was not processed.
fn may_have_been_processed(row: &Row) -> bool {
    !row.refused() && (row.status() == Some(200) || row.status().is_none() || row.written_ns().is_none())
}

/// Ids read again although an earlier read may have been processed, and plain retries apart from them.
pub(super) fn find_duplicates(histories: &Histories<'_>, possible_copies: &Ids, report: &mut Report) {
    for reads in histories.each() {
        let mut open = false;
        let mut copies = 0_u64;
        for read in reads {
            let row = histories.row(*read);
            if row.refused() {
                report.refused += 1;
                continue;
            }
            copies += u64::from(open);
            open |= may_have_been_processed(row);
        }
        let first = histories.row(reads[0]);
        report.retries += reads.len() as u64 - 1 - copies;
        if copies == 0 {
            continue;
        }
        report.duplicates += 1;
        report.copies += copies;
        let recorded = possible_copies.contains(&first.id());
        report.duplicates_unrecorded += u64::from(!recorded);
        report.add(if recorded { Finding::Duplicate } else { Finding::DuplicateUnrecorded }, || {
            let last = histories.row(reads[reads.len() - 1]);
            Evidence {
                id: first.id(),
                token: first.token(),
                sequence: first.sequence(),
                read_ns: Some(last.read_ns()),
                connection: Some(last.connection()),
                what: format!(
                    "read {} times; first on connection {}, answered {:?}",
                    reads.len(),
                    first.connection(),
                    first.status()
                ),
            }
        });
    }
}

/// Ids that were read but never confirmed: their producer does not know what became of them.
pub(super) fn count_unconfirmed(
    histories: &Histories<'_>,
    confirmed: &[Confirmed],
    by_id: &[u32],
    report: &mut Report,
) {
    let mut expected = by_id.iter().map(|at| confirmed[*at as usize].id).peekable();
    for reads in histories.each() {
        let id = histories.row(reads[0]).id();
        while expected.peek().is_some_and(|next| *next < id) {
            expected.next();
        }
        report.unconfirmed += u64::from(expected.peek() != Some(&id));
    }
}
