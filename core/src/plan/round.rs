//! One call of the plan: what all its steps read and write.

use std::collections::BTreeMap;

use super::board::Board;
use super::memory::Memory;
use super::outcome::{Held, HeldFor, Move, Plan};
use super::wishes::Orders;
use crate::fleet::{Cause, Change, Owner, Policy};
use crate::lease::BootMillis;

/// What all steps of one call share.
pub(super) struct Round<'a> {
    pub policy: &'a Policy,
    pub now: BootMillis,
    pub board: Board<'a>,
    pub orders: Orders<'a>,
    pub memory: Memory,
    pub plan: Plan,
    pub wake: Wake,
    /// Queues that nobody can take, by pool.
    pub nobody: BTreeMap<usize, usize>,
}

impl<'a> Round<'a> {
    /// The name of a member.
    pub fn name(&self, peer: usize) -> &'a str {
        self.board.peers[peer].id.as_str()
    }

    /// Plans a change of one queue.
    pub fn change(&mut self, entry: usize, change: Change, cause: Option<Cause>, why: String) {
        let assignment = &self.board.entries[entry].seen.assignment;
        let kick = matches!(change, Change::Assign { cause: Cause::SessionGone, .. });
        self.plan.moves.push(Move {
            queue: assignment.queue.clone(),
            epoch: assignment.epoch,
            from: assignment.owner.clone(),
            change,
            cause,
            why,
            kick,
        });
    }

    /// Gives a queue without a living owner to a member.
    pub fn assign(&mut self, entry: usize, to: usize, cause: Cause, why: String) {
        if let Some(to) = self.owner_of(to) {
            self.change(
                entry,
                Change::Assign { to, cause, predecessor_dead: false, ended_ms: 0 },
                Some(cause),
                why,
            );
        }
        self.board.set_home(entry, Some(to));
    }

    /// Asks a queue's owner to leave it for a member.
    pub fn ask(&mut self, entry: usize, to: usize, cause: Cause, why: String) {
        let successor = self.board.peers[to].id.clone();
        self.change(entry, Change::Ask { successor, cause }, Some(cause), why);
        self.board.set_home(entry, Some(to));
    }

    /// The present life of a member.
    pub fn owner_of(&self, peer: usize) -> Option<Owner> {
        self.board.peers[peer].seen.map(|s| s.member.owner())
    }

    /// Holds something back.
    pub fn hold(&mut self, what: HeldFor, why: String) {
        self.plan.held.push(Held { what, why });
    }
}

/// The next instant at which time alone changes something.
#[derive(Debug)]
pub(super) struct Wake {
    now: BootMillis,
    next: Option<BootMillis>,
}

impl Wake {
    pub fn new(now: BootMillis) -> Self {
        Self { now, next: None }
    }

    pub fn now(&self) -> BootMillis {
        self.now
    }

    /// Wakes at an instant that lies ahead.
    pub fn at(&mut self, at: BootMillis) {
        if at > self.now && at.0 < u64::MAX {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Whether now is before an instant; then it wakes there.
    pub fn before(&mut self, at: BootMillis) -> bool {
        self.at(at);
        self.now < at
    }

    pub fn next(&self) -> Option<BootMillis> {
        self.next
    }
}
