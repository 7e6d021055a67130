//! The open streams of a connection: a slab, and a window of ids over it.

use super::config::{STREAM_IDS_SPARE, STREAM_SPREAD_MAX};
use crate::frame::MAX_31_BITS;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;

const VACANT: u32 = u32::MAX;

/// `Stream::end` while its last byte is not queued.
pub(super) const NOT_QUEUED: u64 = u64::MAX;

pub(super) struct Stream {
    pub key: u64,
    /// 0 in a free slot.
    pub id: u32,
    pub accepted: Instant,
    pub deadline: Instant,
    /// Where in all bytes ever queued on the connection its END_STREAM frame ends.
    pub end: u64,
    /// The part of the body that waits for a window.
    pub rest: Bytes,
    /// WINDOW_UPDATE for this stream minus bytes sent; on top of the peer's initial window.
    pub credit: i64,
    /// Body bytes received.
    pub received: usize,
    /// 0 until the response's header has come.
    pub status: u16,
    pub apns_id: Option<[u8; 16]>,
    pub apns_unique_id: Option<Box<str>>,
    pub body: Vec<u8>,
    /// For a call: what the response says, kept whole.
    pub heard: Option<Box<super::Heard>>,
}

impl Stream {
    pub(super) fn new(key: u64, id: u32, accepted: Instant, deadline: Instant) -> Self {
        Self {
            key,
            id,
            accepted,
            deadline,
            end: NOT_QUEUED,
            rest: Bytes::new(),
            credit: 0,
            received: 0,
            status: 0,
            apns_id: None,
            apns_unique_id: None,
            body: Vec::new(),
            heard: None,
        }
    }

    fn vacated(&self) -> Self {
        Stream::new(0, 0, self.accepted, self.deadline)
    }
}

/// Ids grow by two, so the slot of an id is found by its distance from the oldest open one.
pub(super) struct Streams {
    slab: Vec<Stream>,
    free: Vec<u32>,
    /// Slots of the ids from `base` on; the first is never vacant.
    window: VecDeque<u32>,
    base: u32,
    next_id: u32,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { slab: Vec::new(), free: Vec::new(), window: VecDeque::new(), base: 1, next_id: 1 }
    }

    pub(super) fn open(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// The id that the next stream gets; above 2³¹ − 1 when ids are used up.
    pub(super) fn next_id(&self) -> u32 {
        self.next_id
    }

    pub(super) fn are_used_up(&self) -> bool {
        self.next_id > MAX_31_BITS
    }

    pub(super) fn are_running_out(&self) -> bool {
        self.next_id > MAX_31_BITS - 2 * STREAM_IDS_SPARE
    }

    pub(super) fn is_spread_out(&self) -> bool {
        self.window.len() >= STREAM_SPREAD_MAX
    }

    /// Enters a stream whose id is `next_id`.
    pub(super) fn insert(&mut self, stream: Stream) -> u32 {
        debug_assert_eq!(stream.id, self.next_id);
        if self.window.is_empty() {
            self.base = self.next_id;
        }
        self.next_id += 2;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = stream;
                slot
            }
            None => {
                self.slab.push(stream);
                (self.slab.len() - 1) as u32
            }
        };
        self.window.push_back(slot);
        slot
    }

    pub(super) fn slot_of(&self, id: u32) -> Option<u32> {
        let index = id.checked_sub(self.base)? / 2;
        self.window.get(index as usize).copied().filter(|slot| *slot != VACANT)
    }

    /// Whether a stream of that id was ever opened by us.
    pub(super) fn was_opened(&self, id: u32) -> bool {
        id % 2 == 1 && id < self.next_id
    }

    pub(super) fn get(&self, slot: u32) -> &Stream {
        &self.slab[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Stream {
        &mut self.slab[slot as usize]
    }

    pub(super) fn remove(&mut self, slot: u32) -> Stream {
        let place = &mut self.slab[slot as usize];
        let vacated = place.vacated();
        let stream = std::mem::replace(place, vacated);
        self.free.push(slot);
        self.window[((stream.id - self.base) / 2) as usize] = VACANT;
        while self.window.front() == Some(&VACANT) {
            self.window.pop_front();
            self.base += 2;
        }
        stream
    }

    /// The oldest open stream, which has the earliest deadline.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.window.front().copied()
    }

    /// Open slots, oldest first.
    pub(super) fn open_slots(&self) -> Vec<u32> {
        self.window.iter().copied().filter(|slot| *slot != VACANT).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slab.iter().filter(|stream| stream.id != 0)
    }

    #[cfg(test)]
    pub(super) fn skip_to(&mut self, next_id: u32) {
        assert!(self.window.is_empty());
        self.next_id = next_id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_find_their_slots_whatever_the_order_of_removal() {
        let now = Instant::now();
        let mut streams = Streams::new();
        for n in 0..10 {
            let id = streams.next_id();
            streams.insert(Stream::new(n, id, now, now));
        }
        for id in [9, 1, 3, 19] {
            let slot = streams.slot_of(id).unwrap();
            assert_eq!(streams.remove(slot).key, (id as u64 - 1) / 2);
            assert_eq!(streams.slot_of(id), None);
        }
        assert_eq!(streams.get(streams.oldest().unwrap()).id, 5);
        assert_eq!(streams.open(), 6);
        assert_eq!(streams.slot_of(21), None);
        assert!(streams.was_opened(19) && !streams.was_opened(21) && !streams.was_opened(2));
        let id = streams.next_id();
        let slot = streams.insert(Stream::new(77, id, now, now));
        assert_eq!(streams.slot_of(21), Some(slot));
        let keys: Vec<u64> = streams.open_slots().into_iter().map(|slot| streams.get(slot).key).collect();
        assert_eq!(keys, [2, 3, 5, 6, 7, 8, 77]);
    }
}
