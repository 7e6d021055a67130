//! One queue of the file: what the process knows of it in memory. The file holds every message; here are those that were
//! stored since the attachment caught up, within bounds, so that a healthy queue is never read from the file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// The most messages of a queue kept in memory; the others are read from the file when their turn comes.
const FRESH_MESSAGES_MAX: usize = 4096;
/// The most bytes of a queue kept in memory.
const FRESH_BYTES_MAX: usize = 4 << 20;
/// The bits of a place that hold the sequence.
const SEQUENCE_BITS: u32 = 40;

/// A message as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) place: i64,
    pub(super) kind: i64,
    pub(super) body: Bytes,
}

/// The kinds of messages, as the file numbers them.
pub(super) const NOTIFICATION: i64 = 0;
/// A batch.
pub(super) const BATCH: i64 = 1;
/// Added to the kind of a message that its producer marked as published before.
pub(super) const REPEAT: i64 = 2;

/// One queue.
pub(super) struct Queue {
    /// The places of its messages.
    pub(super) places: std::ops::Range<i64>,
    /// Held by the one attachment.
    pub(super) consumer: Arc<tokio::sync::Mutex<()>>,
    /// Something was stored, or the engine closes.
    pub(super) changed: Notify,
    state: Mutex<State>,
}

struct State {
    /// The last place given out to a message.
    assigned: i64,
    /// The last place committed.
    committed: i64,
    /// The last place that the present attachment has delivered.
    position: i64,
    /// The last place that any attachment, or an earlier process, has delivered.
    delivered: i64,
    /// Messages past `position` are in the file only.
    is_behind: bool,
    fresh: VecDeque<Stored>,
    fresh_bytes: usize,
    is_attached: bool,
}

/// What an attachment does next.
pub(super) enum Next {
    /// Deliver these.
    Deliver(Vec<Stored>),
    /// Read the file past the position.
    Read {
        /// The last place delivered.
        position: i64,
        /// The last place committed before the reading.
        committed: i64,
    },
    /// Wait for a change.
    Wait,
}

impl Queue {
    /// A queue of the number given, whose last message in the file is at `last`.
    pub(super) fn new(number: i64, last: Option<i64>) -> Self {
        let places = Self::places_of(number);
        let last = last.unwrap_or(places.start);
        Self {
            places: places.clone(),
            consumer: Arc::default(),
            changed: Notify::new(),
            state: Mutex::new(State {
                assigned: last,
                committed: last,
                position: places.start,
                delivered: last,
                is_behind: true,
                fresh: VecDeque::new(),
                fresh_bytes: 0,
                is_attached: false,
            }),
        }
    }

    /// The places of the queue of a number. The first is never given to a message.
    pub(super) fn places_of(number: i64) -> std::ops::Range<i64> {
        number << SEQUENCE_BITS..(number + 1) << SEQUENCE_BITS
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next message. Places given out and not used leave a gap, which is no harm.
    pub(super) fn assign(&self) -> i64 {
        let mut state = self.state();
        state.assigned += 1;
        state.assigned
    }

    /// A message is committed, in the order of places.
    pub(super) fn publish(&self, message: Stored) {
        let mut state = self.state();
        state.committed = state.committed.max(message.place);
        if state.is_behind || message.place <= state.position {
            return;
        }
        let fits = state.fresh.len() < FRESH_MESSAGES_MAX && state.fresh_bytes < FRESH_BYTES_MAX;
        if state.is_attached && fits {
            state.fresh_bytes += message.body.len();
            state.fresh.push_back(message);
        } else {
            state.is_behind = true;
        }
    }

    /// An attachment begins, at the front. Gives the last place that was delivered before it.
    pub(super) fn begin(&self) -> i64 {
        let mut state = self.state();
        state.is_attached = true;
        state.position = self.places.start;
        state.forget();
        state.delivered
    }

    /// The attachment ended.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_attached = false;
        state.forget();
    }

    /// What comes next, at most `most` messages.
    pub(super) fn next(&self, most: usize) -> Next {
        let mut state = self.state();
        if !state.fresh.is_empty() {
            let taken: Vec<Stored> = {
                let count = most.min(state.fresh.len());
                state.fresh.drain(..count).collect()
            };
            state.fresh_bytes -= taken.iter().map(|m| m.body.len()).sum::<usize>();
            state.advance(taken.last().map(|m| m.place));
            Next::Deliver(taken)
        } else if state.is_behind {
            Next::Read { position: state.position, committed: state.committed }
        } else {
            Next::Wait
        }
    }

    /// What the file gave past the position: its last place, and whether that was everything. `committed` is what
    /// [`Next::Read`] said: what was committed before the reading, so that it cannot have been missed.
    pub(super) fn have_read(&self, last: Option<i64>, all: bool, committed: i64) {
        let mut state = self.state();
        state.advance(last);
        if all {
            state.position = state.position.max(committed);
            state.is_behind = state.committed > state.position;
        }
    }
}

impl State {
    fn advance(&mut self, last: Option<i64>) {
        if let Some(last) = last {
            self.position = last;
            self.delivered = self.delivered.max(last);
        }
    }

    fn forget(&mut self) {
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.is_behind = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(place: i64) -> Stored {
        Stored { place, kind: NOTIFICATION, body: Bytes::new() }
    }

    fn delivered(queue: &Queue) -> Vec<i64> {
        match queue.next(usize::MAX) {
            Next::Deliver(messages) => messages.iter().map(|m| m.place).collect(),
            _ => Vec::new(),
        }
    }

    fn reads(queue: &Queue) -> Option<(i64, i64)> {
        match queue.next(usize::MAX) {
            Next::Read { position, committed } => Some((position, committed)),
            _ => None,
        }
    }

    /// P1: a message committed while the file is read is neither lost nor delivered twice.
    #[test]
    fn p1_commits_during_a_reading() {
        for seen_by_the_reading in [false, true] {
            let queue = Queue::new(0, Some(2));
            assert_eq!(queue.begin(), 2);
            assert_eq!(reads(&queue), Some((0, 2)));
            // 3 commits now; the reading may have it already, and its publication may come before or after.
            let last = if seen_by_the_reading { 3 } else { 2 };
            queue.have_read(Some(last), true, 2);
            queue.publish(stored(3));
            queue.publish(stored(4));
            let rest = if seen_by_the_reading { vec![4] } else { vec![3, 4] };
            assert_eq!(delivered(&queue), rest);

            let queue = Queue::new(0, Some(2));
            queue.begin();
            queue.publish(stored(3));
            queue.have_read(Some(last), true, 2);
            // Published meanwhile: read again, unless the reading had it.
            assert_eq!(reads(&queue), (!seen_by_the_reading).then_some((2, 3)));
        }
    }

    /// All that was there is settled: the reading finds nothing, and what comes then is not taken for it.
    #[test]
    fn an_empty_reading_catches_up_to_what_was_committed_before_it() {
        let queue = Queue::new(0, Some(9));
        queue.begin();
        queue.publish(stored(10));
        queue.have_read(None, true, 9);
        assert_eq!(reads(&queue), Some((9, 10)));
        queue.have_read(Some(10), true, 10);
        queue.publish(stored(11));
        assert_eq!(delivered(&queue), [11]);
        queue.end();
        assert_eq!(queue.begin(), 11);
        assert_eq!(reads(&queue), Some((0, 11)));
    }

    /// P8: what exceeds the bound is read from the file, in its turn.
    #[test]
    fn p8_memory_is_bounded() {
        let queue = Queue::new(0, None);
        queue.begin();
        queue.have_read(None, true, 0);
        let past = FRESH_MESSAGES_MAX as i64 + 100;
        (1..=past).for_each(|place| queue.publish(stored(place)));
        assert_eq!(delivered(&queue).len(), FRESH_MESSAGES_MAX);
        assert_eq!(reads(&queue), Some((FRESH_MESSAGES_MAX as i64, past)));
    }
}
