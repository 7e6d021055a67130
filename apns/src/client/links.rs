//! The live connections of a client: who was woken, who has room, when one is due. What it does each turn grows with the
//! connections that something happened to, not with all of them.

use super::pacing::Life;
use crate::connection::{Answered, Lost};
use crate::link::{Gate, Link};
use crate::ready::{Mark, Ready};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Without anything due, connections are looked at this often.
pub(super) const IDLE_TURN: Duration = Duration::from_secs(60);
/// How often a shut gate is asked again.
const GATE_TURN: Duration = Duration::from_millis(20);

/// A connection and what its client notes about it.
pub(super) struct Member {
    link: Link,
    /// Woken with its socket.
    waker: Waker,
    mark: Arc<Mark>,
    /// What it last said it surely takes, and how much is open on it.
    sure_room: usize,
    in_flight: usize,
    /// Whether it is in one of the lists of those with room.
    is_listed: bool,
}

impl Member {
    pub(super) fn poll(
        &mut self,
        gate: &Gate,
        buffer: &mut [u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Lost> {
        self.link.poll(&mut Context::from_waker(&self.waker), gate, buffer, now, answers)
    }

    /// Writes what waits. A connection that breaks of it is found broken in its next turn.
    pub(super) fn flush_early(&mut self, gate: &Gate) {
        let _ = self.link.flush(&mut Context::from_waker(&self.waker), gate);
    }

    /// By our will it takes no more requests; looked at this turn, so that it ends when nothing is open on it.
    pub(super) fn retire(&mut self) {
        // Of one that leaves service by itself that has been noted, or will be.
        self.link.has_left |= !self.link.machine.is_retiring();
        self.link.machine.retire();
        self.mark.enter();
    }

    /// Its life so far. What is open on it when a GOAWAY has come is still to be answered.
    pub(super) fn life(&self, now: Instant) -> Life {
        let counters = self.machine.counters();
        let to_come = if self.machine.goaway().is_some() { self.machine.in_flight() } else { 0 };
        Life {
            opened: self.opened,
            age: now.saturating_duration_since(self.opened),
            served: counters.replies.saturating_sub(counters.faults) + to_come as u64,
            has_served: self.machine.has_served() || to_come > 0,
        }
    }

    /// Polled in the next turn: something was given to it.
    pub(super) fn touch(&self) {
        self.mark.enter();
    }
}

impl Deref for Member {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

pub(super) struct Links {
    all: Vec<Member>,
    ready: Arc<Ready>,
    /// The list that is being worked on; kept for its memory.
    taken: Vec<usize>,
    /// Places of connections that may have room; the last is used first, so that those that are not needed stay idle.
    roomy: Vec<usize>,
    /// The same of those past their age, or shunned: used when no other has room.
    roomy_aged: Vec<usize>,
    /// The sums of what each has said.
    sure_room: usize,
    in_flight: usize,
    /// All are polled at this instant: the earliest at which one may be due.
    due: Instant,
}

/// Reading and changing what does not touch the lists.
impl Deref for Links {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.all
    }
}

impl DerefMut for Links {
    fn deref_mut(&mut self) -> &mut [Member] {
        &mut self.all
    }
}

impl Links {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            all: Vec::new(),
            ready: Arc::new(Ready::new()),
            taken: Vec::new(),
            roomy: Vec::new(),
            roomy_aged: Vec::new(),
            sure_room: 0,
            in_flight: 0,
            due: now + IDLE_TURN,
        }
    }

    /// Who is to be woken when a connection is.
    pub(super) fn set_task(&self, waker: &Waker) {
        self.ready.set_task(waker);
    }

    pub(super) fn push(&mut self, link: Link) {
        let mark = Mark::new(&self.ready);
        mark.move_to(self.all.len());
        self.all.push(Member {
            link,
            waker: Waker::from(mark.clone()),
            mark,
            sure_room: 0,
            in_flight: 0,
            is_listed: false,
        });
        self.recount(self.all.len() - 1);
    }

    pub(super) fn swap_remove(&mut self, place: usize) -> Link {
        let member = self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            moved.mark.move_to(place);
        }
        self.roomy.clear();
        self.roomy_aged.clear();
        self.sure_room = 0;
        self.in_flight = 0;
        for place in 0..self.all.len() {
            self.all[place].sure_room = 0;
            self.all[place].in_flight = 0;
            self.all[place].is_listed = false;
            self.recount(place);
        }
        member.link
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Link> + use<> {
        self.roomy.clear();
        self.roomy_aged.clear();
        self.sure_room = 0;
        self.in_flight = 0;
        std::mem::take(&mut self.all).into_iter().map(|member| member.link)
    }

    /// Requests of any size that [`Links::place_with_room`] certainly finds a connection for.
    pub(super) fn sure_room(&self) -> usize {
        self.sure_room
    }

    /// Requests open on all of them.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When connections must be looked at without the peer's doing.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The places of connections that something has happened to since the last call, and of all when one is due. Give the
    /// list back with [`Links::done`].
    pub(super) fn take_ready(&mut self, now: Instant) -> Vec<usize> {
        let mut taken = std::mem::take(&mut self.taken);
        self.ready.take(&mut taken);
        if now >= self.due {
            self.due = now + IDLE_TURN;
            taken.clear();
            taken.extend(0..self.all.len());
        }
        for place in &taken {
            if let Some(link) = self.all.get(*place) {
                link.mark.clear();
            }
        }
        taken
    }

    pub(super) fn done(&mut self, mut taken: Vec<usize>) {
        taken.clear();
        self.taken = taken;
    }

    /// To be called after anything was done with the connection at `place`.
    pub(super) fn recount(&mut self, place: usize) {
        let link = &mut self.all[place];
        let sure_room = link.machine.sure_room();
        self.sure_room = self.sure_room - link.sure_room + sure_room;
        link.sure_room = sure_room;
        let in_flight = link.machine.in_flight();
        self.in_flight = self.in_flight - link.in_flight + in_flight;
        link.in_flight = in_flight;
        if sure_room > 0 && !link.is_listed {
            link.is_listed = true;
            self.roomy.push(place);
        }
    }

    /// Notes when the connection at `place` wants to be looked at next.
    pub(super) fn note_due(&mut self, place: usize, now: Instant) {
        let link = &self.all[place];
        let at = if link.is_gated { now + GATE_TURN } else { link.machine.poll_timeout() };
        self.due = self.due.min(at);
    }

    /// The connection at `place` is used last of all for a while.
    pub(super) fn shun(&mut self, place: usize, until: Instant) {
        self.all[place].shunned_until = until;
        if self.all[place].is_listed {
            self.roomy.retain(|other| *other != place);
            self.roomy_aged.retain(|other| *other != place);
            self.roomy_aged.insert(0, place);
        }
    }

    /// A connection that takes a request now; one past its age, or shunned for a fault of the service, only if no other does.
    pub(super) fn place_with_room(&mut self, now: Instant) -> Option<usize> {
        while let Some(place) = self.roomy.last().copied() {
            let link = &mut self.all[place];
            if link.machine.room() == 0 {
                link.is_listed = false;
            } else if link.renew_at <= now {
                self.roomy_aged.push(place);
            } else if link.shunned_until > now {
                self.roomy_aged.insert(0, place);
            } else {
                return Some(place);
            }
            self.roomy.pop();
        }
        while let Some(place) = self.roomy_aged.last().copied() {
            let link = &mut self.all[place];
            if link.machine.room() > 0 {
                return Some(place);
            }
            link.is_listed = false;
            self.roomy_aged.pop();
        }
        None
    }
}
