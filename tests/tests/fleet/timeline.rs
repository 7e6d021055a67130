//! What the simulator's log says of each queue: who wrote when.

use std::collections::{HashMap, HashSet};

use skein_apns_sim::log::{NewRow, Row, Snapshot};
use skein_core::{Slot, SlotMap};

use crate::member::{Life, number_of};

/// How long after its thaw a process that still wrote did so in ignorance: no queue comes to it again so soon.
const ESCAPE_NS: u64 = 2_000_000_000;

/// What one flush carried is read within this time; between two of them a shard looks at its lease.
const ONE_FLUSH_NS: u64 = 100_000_000;

/// What had to wait for the end of a pause is read within this time of it.
const AFTER_A_PAUSE_NS: u64 = 50_000_000;

/// A process: a sender's number and which of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    pub sender: u8,
    pub life: usize,
}

impl Writer {
    /// As one number, for the checker.
    pub fn code(self) -> u32 {
        u32::from(self.sender) << 16 | self.life as u32
    }
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    pub at_ns: u64,
    pub writer: Writer,
    /// The connection's number.
    pub connection: u32,
    pub id: u128,
    /// The device token's fingerprint.
    pub token: u64,
}

/// The log, queue by queue.
pub struct Timeline {
    pub queues: HashMap<u16, Vec<Write>>,
    pub writers: HashMap<u32, Writer>,
    lives: Vec<Vec<Life>>,
    homes: HashMap<u64, u16>,
    /// Wall clock minus the log's clock.
    wall_offset_ns: i128,
}

impl Timeline {
    /// `slots`: of every token, by its fingerprint. `lives`: of every sender, by its number.
    pub fn new(log: &Snapshot, slots: &HashMap<u64, Slot>, queues: u16, lives: Vec<Vec<Life>>) -> Self {
        let map = SlotMap::even(queues);
        let homes: HashMap<u64, u16> =
            slots.iter().map(|(fingerprint, slot)| (*fingerprint, map.queue(*slot))).collect();
        let writers: HashMap<u32, Writer> = log
            .connections
            .iter()
            .filter_map(|connection| {
                let sender = number_of(connection.peer.ip())?;
                let life = lives[usize::from(sender)].partition_point(|l| l.began_ns <= connection.opened_ns);
                Some((connection.number, Writer { sender, life: life.checked_sub(1)? }))
            })
            .collect();
        let mut all: HashMap<u16, Vec<Write>> = HashMap::new();
        for row in &log.rows {
            let Some(queue) = homes.get(&row.token()) else { continue };
            let writer = *writers.get(&row.connection()).expect("every connection is a sender's");
            all.entry(*queue).or_default().push(Write {
                at_ns: row.read_ns(),
                writer,
                connection: row.connection(),
                id: row.id(),
                token: row.token(),
            });
        }
        let wall_offset_ns = i128::from(log.wall_offset_ms) * 1_000_000;
        Self { queues: all, writers, lives, homes, wall_offset_ns }
    }

    /// When a notification was made: its id is a UUIDv7, which begins with the milliseconds of the wall clock.
    pub fn made_ns(&self, id: u128) -> u64 {
        u64::try_from((id >> 80) as i128 * 1_000_000 - self.wall_offset_ns).unwrap_or(0)
    }

    /// A token's queue.
    pub fn queue_of(&self, fingerprint: u64) -> u16 {
        self.homes.get(&fingerprint).copied().unwrap_or(u16::MAX)
    }

    fn life(&self, writer: Writer) -> &Life {
        &self.lives[usize::from(writer.sender)][writer.life]
    }

    /// The first write of a queue after an instant by another process than this.
    pub fn first_by_another(&self, queue: u16, after_ns: u64, than: Writer) -> Option<Write> {
        let writes = self.queues.get(&queue)?;
        let from = writes.partition_point(|write| write.at_ns <= after_ns);
        writes[from..].iter().find(|write| write.writer != than).copied()
    }

    /// The last write of a queue before an instant.
    pub fn last_before(&self, queue: u16, before_ns: u64) -> Option<Write> {
        let writes = self.queues.get(&queue)?;
        writes[..writes.partition_point(|write| write.at_ns < before_ns)].last().copied()
    }

    /// The longest pause of a queue that begins after `from_ns` and before `until_ns`, or is under way then: its two ends. It
    /// begins with the last request, or when the first of those that come at its end could have been written: while a queue is
    /// empty it does not pause.
    pub fn longest_pause(&self, queue: u16, from_ns: u64, until_ns: u64) -> Option<(u64, u64)> {
        let writes = self.queues.get(&queue)?;
        let ready = self.ready(writes);
        let pauses = (1..writes.len()).map(|at| {
            let (before, end) = (writes[at - 1].at_ns, writes[at].at_ns);
            let count = writes[at..].partition_point(|write| write.at_ns <= end + AFTER_A_PAUSE_NS);
            let first = ready[at..at + count].iter().min().copied().unwrap_or(end);
            (before.max(first.min(end)), end)
        });
        let meant = pauses.filter(|(begin, end)| *end > from_ns && *begin < until_ns);
        meant.max_by_key(|(begin, end)| end - begin)
    }

    /// Since when each of a queue's writes could have come: it was made, and the one before of its token was read. What is written
    /// again waits by its own schedule, and for no owner.
    fn ready(&self, writes: &[Write]) -> Vec<u64> {
        let (mut seen, mut last) = (HashSet::new(), HashMap::new());
        let since = |write: &Write| {
            let before = last.insert(write.token, write.at_ns).unwrap_or(0);
            if seen.insert(write.id) { self.made_ns(write.id).max(before) } else { write.at_ns }
        };
        writes.iter().map(since).collect()
    }

    /// What a thawed process still wrote for queues that others had written for meanwhile.
    pub fn escaped(&self) -> Vec<Write> {
        let mut found = Vec::new();
        for writes in self.queues.values() {
            for (at, write) in writes.iter().enumerate() {
                let thawed = &self.life(write.writer).thawed_ns;
                let just = |at: &&u64| (**at..**at + ESCAPE_NS).contains(&write.at_ns);
                let foreign =
                    writes[..at].last().is_some_and(|before| before.writer.sender != write.writer.sender);
                if thawed.iter().any(|at| just(&at)) && foreign {
                    found.push(*write);
                }
            }
        }
        found
    }

    /// The most flushes that a thawed process still made on one of its connections, by [`escaped`](Self::escaped).
    pub fn flushes_after_a_thaw(&self) -> usize {
        let mut by_thaw: HashMap<(u32, usize), Vec<u64>> = HashMap::new();
        for write in self.escaped() {
            let thaws = self.life(write.writer).thawed_ns.partition_point(|thawed| *thawed <= write.at_ns);
            by_thaw.entry((write.connection, thaws)).or_default().push(write.at_ns);
        }
        by_thaw.into_values().map(flushes).max().unwrap_or(0)
    }

    /// The log without what only seems to be two writers at once: an answer that was on its way to a process that was killed
    /// meanwhile binds nobody, and what escaped a thawed process is counted by itself.
    pub fn for_writers(&self, log: &Snapshot) -> Snapshot {
        let escaped: HashSet<(u128, u64)> =
            self.escaped().iter().map(|write| (write.id, write.at_ns)).collect();
        let rows = log.rows.iter().filter(|row| !escaped.contains(&(row.id(), row.read_ns())));
        let row = |row: &Row| {
            let ended = self.writers.get(&row.connection()).and_then(|writer| self.life(*writer).ended_ns);
            let alive = |written: &u64| ended.is_none_or(|ended| *written < ended);
            Row::from(NewRow {
                id: row.id(),
                token: row.token(),
                sequence: row.sequence(),
                connection: row.connection(),
                read_ns: row.read_ns(),
                status: row.status(),
                reason: row.reason(),
                written_ns: row.written_ns().filter(alive),
                delivered: row.delivered(),
                refused: row.refused(),
            })
        };
        Snapshot { rows: rows.map(row).collect(), ..log.clone() }
    }
}

/// How many flushes wrote at these times. One begins with its first write, and carries what comes shortly after that.
fn flushes(mut times: Vec<u64>) -> usize {
    times.sort_unstable();
    let (mut begun, mut until) = (0, 0);
    for time in times {
        if begun == 0 || time > until {
            (begun, until) = (begun + 1, time + ONE_FLUSH_NS);
        }
    }
    begun
}

#[cfg(test)]
mod tests {
    use super::{HashMap, Timeline, Write, Writer, flushes};

    const MS: u64 = 1_000_000;

    /// Writes by (read at, made at, token), in milliseconds.
    fn longest(writes: &[(u64, u64, u64)]) -> Option<(u64, u64)> {
        let write = |(number, (at, made, token)): (usize, &(u64, u64, u64))| Write {
            at_ns: at * MS,
            writer: Writer { sender: 0, life: 0 },
            connection: 0,
            id: u128::from(*made) << 80 | number as u128,
            token: *token,
        };
        let timeline = Timeline {
            queues: HashMap::from([(0, writes.iter().enumerate().map(write).collect())]),
            writers: HashMap::new(),
            lives: Vec::new(),
            homes: HashMap::new(),
            wall_offset_ns: 0,
        };
        timeline.longest_pause(0, 0, 10_000 * MS).map(|(begin, end)| (begin / MS, end / MS))
    }

    #[test]
    fn who_writes_on_and_on_flushes_more_than_once() {
        assert_eq!(flushes(Vec::new()), 0);
        assert_eq!(flushes(vec![30 * MS, 7 * MS, 90 * MS]), 1);
        assert_eq!(flushes((0..50).map(|number| number * 20 * MS).collect()), 9, "for a second");
    }

    #[test]
    fn a_queue_pauses_while_something_waits_and_not_while_it_is_empty() {
        assert_eq!(longest(&[(10, 9, 1), (500, 490, 2), (600, 598, 3)]), Some((490, 500)));
        assert_eq!(longest(&[(10, 9, 1), (500, 20, 2), (600, 598, 3)]), Some((20, 500)), "held up");
        assert_eq!(
            longest(&[(10, 9, 1), (500, 499, 2), (501, 30, 3)]),
            Some((30, 500)),
            "by the one behind it"
        );
        assert_eq!(longest(&[(10, 9, 1), (500, 5, 2), (600, 598, 3)]), Some((10, 500)), "all the time");
        assert_eq!(longest(&[(10, 9, 1), (500, 490, 2), (505, 20, 2)]), Some((490, 500)), "its token's turn");
    }
}
