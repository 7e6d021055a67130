//! Lanes: the FIFO of each device token inside a sender. At most one notification of a token is begun at a time, and the next
//! begins only when the one before it is finished for good (P2). Pure: no clock, no I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hashbrown::HashMap;

use crate::lease::BootMillis;
use crate::token::DeviceToken;

/// A lane, for as long as it holds something. Never reused for another token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(u64);

impl LaneId {
    fn new(place: usize, stamp: u32) -> Self {
        Self(u64::from(stamp) << 32 | place as u64)
    }

    /// As a number, for a transport's key.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// From its number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    const fn place(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its head may begin.
    Ready,
    /// Its head waits until then.
    Held(BootMillis),
    /// Its head has begun and is not finished.
    Begun,
}

#[derive(Debug)]
struct Lane<T> {
    id: LaneId,
    token: DeviceToken,
    state: State,
    head: T,
    rest: VecDeque<T>,
}

/// All lanes of a shard's pool.
#[derive(Debug)]
pub struct Lanes<T> {
    places: Vec<Option<Lane<T>>>,
    free: Vec<usize>,
    of_token: HashMap<DeviceToken, usize>,
    ready: VecDeque<LaneId>,
    held: BinaryHeap<Reverse<(BootMillis, LaneId)>>,
    next_stamp: u32,
    items: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            of_token: HashMap::new(),
            ready: VecDeque::new(),
            held: BinaryHeap::new(),
            next_stamp: 0,
            items: 0,
        }
    }
}

impl<T> Lanes<T> {
    /// How many items all lanes hold.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether no lane holds anything.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Appends an item to the lane of its token.
    pub fn enter(&mut self, token: &DeviceToken, item: T) {
        self.items += 1;
        if let Some(lane) = self.of_token.get(token).and_then(|place| self.places[*place].as_mut()) {
            lane.rest.push_back(item);
            return;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let id = LaneId::new(place, self.next_stamp);
        self.next_stamp = self.next_stamp.wrapping_add(1);
        self.of_token.insert(token.clone(), place);
        self.places[place] =
            Some(Lane { id, token: token.clone(), state: State::Ready, head: item, rest: VecDeque::new() });
        self.ready.push_back(id);
    }

    /// Begins the head of the lane that has been ready longest. It stays its lane's head until [`Lanes::finish`],
    /// [`Lanes::hold`] or [`Lanes::put_back`].
    pub fn begin(&mut self) -> Option<(LaneId, &mut T)> {
        loop {
            let id = self.ready.pop_front()?;
            if matches!(self.lane(id), Some(lane) if lane.state == State::Ready) {
                let lane = self.places[id.place()].as_mut()?;
                lane.state = State::Begun;
                return Some((id, &mut lane.head));
            }
        }
    }

    /// The head that has begun in a lane.
    pub fn begun(&mut self, id: LaneId) -> Option<&mut T> {
        self.lane_mut(id).filter(|lane| lane.state == State::Begun).map(|lane| &mut lane.head)
    }

    /// Undoes [`Lanes::begin`]: nothing was done with the head. It is ready again, behind the other ready lanes.
    pub fn put_back(&mut self, id: LaneId) {
        if let Some(lane) = self.lane_mut(id) {
            lane.state = State::Ready;
            self.ready.push_back(id);
        }
    }

    /// Holds the head, which stays in front of its lane, until an instant; other lanes pass. (Of the boot clock: under a wall clock
    /// that is set back it would wait for as long.)
    pub fn hold(&mut self, id: LaneId, until: BootMillis) {
        if let Some(lane) = self.lane_mut(id) {
            lane.state = State::Held(until);
            self.held.push(Reverse((until, id)));
        }
    }

    /// Makes the held heads ready whose time has come.
    pub fn wake(&mut self, now: BootMillis) {
        while let Some(Reverse((until, id))) = self.held.peek().copied() {
            if until > now {
                break;
            }
            self.held.pop();
            if let Some(lane) = self.lane_mut(id).filter(|lane| lane.state == State::Held(until)) {
                lane.state = State::Ready;
                self.ready.push_back(id);
            }
        }
    }

    /// When the next held head becomes ready.
    pub fn next_due(&self) -> Option<BootMillis> {
        self.held.peek().map(|Reverse((until, _))| *until)
    }

    /// Takes the finished head out of its lane; the next one is ready.
    pub fn finish(&mut self, id: LaneId) -> Option<T> {
        self.lane_mut(id).filter(|lane| lane.state == State::Begun)?;
        self.items -= 1;
        Some(self.advance(id))
    }

    /// Takes out every item that has not begun and that `which` names, in the order of their lanes.
    pub fn remove_where(&mut self, mut which: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        let ids: Vec<LaneId> = self.places.iter().flatten().map(|lane| lane.id).collect();
        for id in ids {
            self.remove_in(id, &mut which, &mut removed);
        }
        removed
    }

    /// Every item of one token's lane that has not begun, in order.
    pub fn waiting_of(&mut self, token: &DeviceToken) -> impl Iterator<Item = &mut T> {
        let lane = self.of_token.get(token).and_then(|place| self.places[*place].as_mut());
        lane.into_iter().flat_map(|lane| {
            let head = (lane.state != State::Begun).then_some(&mut lane.head);
            head.into_iter().chain(lane.rest.iter_mut())
        })
    }

    fn lane(&self, id: LaneId) -> Option<&Lane<T>> {
        self.places.get(id.place())?.as_ref().filter(|lane| lane.id == id)
    }

    fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane<T>> {
        self.places.get_mut(id.place())?.as_mut().filter(|lane| lane.id == id)
    }

    fn remove_in(&mut self, id: LaneId, which: &mut impl FnMut(&T) -> bool, removed: &mut Vec<T>) {
        let before = removed.len();
        while self.lane(id).is_some_and(|lane| lane.state != State::Begun && which(&lane.head)) {
            removed.push(self.advance(id));
        }
        if let Some(lane) = self.lane_mut(id) {
            let mut kept = VecDeque::with_capacity(lane.rest.len());
            for item in lane.rest.drain(..) {
                if which(&item) { removed.push(item) } else { kept.push_back(item) }
            }
            lane.rest = kept;
        }
        self.items -= removed.len() - before;
    }

    /// Takes the head out; the next one is ready, or the lane ends.
    fn advance(&mut self, id: LaneId) -> T {
        let place = id.place();
        let Some(mut lane) = self.places[place].take() else { unreachable!("the caller looked it up") };
        match lane.rest.pop_front() {
            Some(next) => {
                let head = std::mem::replace(&mut lane.head, next);
                if lane.state != State::Ready {
                    lane.state = State::Ready;
                    self.ready.push_back(id);
                }
                self.places[place] = Some(lane);
                head
            }
            None => {
                self.of_token.remove(&lane.token);
                self.free.push(place);
                lane.head
            }
        }
    }
}

#[cfg(test)]
#[path = "lane/tests.rs"]
mod tests;
