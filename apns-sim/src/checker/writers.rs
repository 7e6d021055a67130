//! Two senders that write for one queue at the same time.

use std::collections::HashMap;
use std::time::Duration;

use super::{Evidence, Finding, Report};
use crate::log::{Connection, Row, Snapshot};

/// Who is behind a connection, and which queue a token belongs to.
pub struct Writers<'a> {
    /// The sender behind a connection, by any number that stands for it; `None` leaves the connection out.
    pub sender_of: &'a dyn Fn(&Connection) -> Option<u32>,
    /// The queue of a token's fingerprint.
    pub queue_of: &'a dyn Fn(u64) -> u32,
    /// A sender that writes, is succeeded by another and writes again within this time was not succeeded:
    /// both wrote. Zero switches this rule off; the other one, two answers pending at once, always holds.
    pub alternation_max: Duration,
}

/// What is known of one queue while walking through time.
#[derive(Default)]
struct Queue {
    /// By sender: when it last read, and until when its answers were pending.
    senders: HashMap<u32, (u64, u64)>,
    last: Option<u32>,
}

pub(super) fn find_double_writers(log: &Snapshot, writers: &Writers<'_>, report: &mut Report) {
    let senders: HashMap<u32, u32> = log
        .connections
        .iter()
        .filter_map(|connection| Some((connection.number, (writers.sender_of)(connection)?)))
        .collect();
    let alternation_ns = writers.alternation_max.as_nanos() as u64;
    let mut queues: HashMap<u32, Queue> = HashMap::new();
    for row in &log.rows {
        let Some(&sender) = senders.get(&row.connection()) else { continue };
        let queue_number = (writers.queue_of)(row.token());
        let queue = queues.entry(queue_number).or_default();
        if let Some(what) = queue.second_writer(sender, row, alternation_ns) {
            report.double_writers += 1;
            report.add(Finding::DoubleWriter, || Evidence {
                id: row.id(),
                token: row.token(),
                sequence: row.sequence(),
                read_ns: Some(row.read_ns()),
                connection: Some(row.connection()),
                what: format!("queue {queue_number}: sender {sender} {what}"),
            });
        }
        queue.last = Some(sender);
        let pending_until = row.written_ns().unwrap_or(row.read_ns());
        let seen = queue.senders.entry(sender).or_default();
        *seen = (row.read_ns(), seen.1.max(pending_until));
    }
}

impl Queue {
    fn second_writer(&self, sender: u32, row: &Row, alternation_ns: u64) -> Option<String> {
        let pending =
            self.senders.iter().find(|(other, (_, until))| **other != sender && *until > row.read_ns());
        if let Some((other, _)) = pending {
            return Some(format!("wrote while an answer to sender {other} was pending"));
        }
        let other = self.last.filter(|last| *last != sender)?;
        let (before_ns, _) = self.senders.get(&sender)?;
        (row.read_ns() - before_ns < alternation_ns).then(|| format!("wrote before and after sender {other}"))
    }
}
