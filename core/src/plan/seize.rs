//! Queues without a living owner: seized from the lost, given out when released or new.

use super::board::{Presence, Takers, Tier};
use super::outcome::HeldFor;
use super::round::Round;
use crate::fleet::{Cause, Change};

/// A queue that needs a place.
pub(super) struct Homeless {
    entry: usize,
    /// Who it is meant for already.
    meant_for: Option<usize>,
    takers: Takers,
    cause: Cause,
}

impl Round<'_> {
    /// A queue that nobody owns.
    pub(super) fn unowned(&mut self, entry: usize, homeless: &mut Vec<Homeless>) {
        let e = &self.board.entries[entry];
        let assignment = &e.seen.assignment;
        let pool = e.pool;
        let named = assignment.successor.as_ref().and_then(|id| self.board.peer(id));
        let named =
            named.filter(|to| self.board.tier(*to, pool) < Tier::Never).map(|to| (to, assignment.cause));
        if let Some((to, cause)) = self.wished(entry).or(named) {
            homeless.push(Homeless { entry, meant_for: Some(to), takers: Takers::Able, cause });
            return;
        }
        if assignment.epoch > 0 {
            homeless.push(Homeless { entry, meant_for: None, takers: Takers::Able, cause: Cause::Released });
            return;
        }
        let peers = 0..self.board.peers.len();
        let best = peers.map(|p| self.board.tier(p, pool)).min();
        if best == Some(Tier::Fresh) {
            let why = format!("new queues of {} wait for the fleet to assemble", assignment.queue.pool);
            if self.plan.held.last().is_none_or(|held| held.why != why) {
                self.hold(HeldFor::Joining, why);
            }
        } else {
            homeless.push(Homeless { entry, meant_for: None, takers: Takers::Able, cause: Cause::New });
        }
    }

    /// A queue whose owner is lost, or is an earlier life of a member that leaves.
    pub(super) fn ownerless(&mut self, entry: usize, owner: usize, homeless: &mut Vec<Homeless>) {
        let e = &self.board.entries[entry];
        let peer = &self.board.peers[owner];
        let cause = match peer.presence {
            Presence::Lost(cause) => cause,
            Presence::Present | Presence::Suspect => peer.leaving.unwrap_or(Cause::PoolNotServed),
        };
        let named = e.seen.assignment.successor.as_ref().and_then(|id| self.board.peer(id));
        let able = |to: &usize| self.board.tier(*to, e.pool) < Tier::Sick;
        let meant_for = peer.successor.filter(able).or(named.filter(able));
        let (meant_for, cause) = match self.wished(entry) {
            Some((to, cause)) => (Some(to), cause),
            None => (meant_for, cause),
        };
        homeless.push(Homeless { entry, meant_for, takers: Takers::Settled, cause });
    }

    /// Where an operator wishes a queue to be.
    fn wished(&self, entry: usize) -> Option<(usize, Cause)> {
        let (to, _) = self.orders.moves.get(&self.board.entries[entry].seen.assignment.queue)?;
        Some((self.board.peer(to)?, Cause::Operator))
    }

    /// Gives an owner that restarted in place its queue back, if it has not taken it by itself.
    pub(super) fn renew(&mut self, entry: usize, owner: usize) {
        let Some(seen) = self.board.peers[owner].seen else { return };
        let name = self.name(owner);
        let pinned = self.board.entries[entry].seen.assignment.cause == Cause::Operator;
        let cause = if pinned { Cause::Operator } else { Cause::Reclaimed };
        let predecessor_dead = seen.member.holds_lock;
        let change = Change::Assign { to: seen.member.owner(), cause, predecessor_dead, ended_ms: 0 };
        let why = format!("{name} restarted in place and has not taken it again by itself");
        self.change(entry, change, Some(cause), why);
        self.board.set_home(entry, Some(owner));
    }

    /// The owner of a queue has been asked to leave for so long that it hangs, though its session lives: as if it were frozen. Only
    /// where it must leave, and its successor is there.
    pub(super) fn seize_from_hung(&mut self, entry: usize) {
        let e = &self.board.entries[entry];
        let (Some(owner), cause) = (e.owner, e.seen.assignment.cause) else { return };
        let to = self.board.home(entry).filter(|to| *to != owner);
        let must = self.board.peers[owner].presence == Presence::Present
            && !matches!(cause, Cause::Balance | Cause::Operator);
        let planned = self.plan.moves.iter().any(|m| m.queue == e.seen.assignment.queue);
        let Some(to) = to.filter(|to| must && !planned && self.board.tier(*to, e.pool) < Tier::Sick) else {
            return;
        };
        let why = format!(
            "{} has not left it in {} s ({cause}), as if it were frozen; {} takes it",
            self.name(owner),
            self.policy.release_seize_after.as_secs(),
            self.name(to)
        );
        self.assign(entry, to, cause, why);
        if let Some(seized) = self.plan.moves.last_mut() {
            seized.kick = true;
        }
    }

    /// Gives out what needs a place: first what is meant for somebody, then the heaviest, then the deepest.
    pub(super) fn give_out(&mut self, mut homeless: Vec<Homeless>) {
        homeless.sort_by_key(|h| {
            let e = &self.board.entries[h.entry];
            (h.meant_for.is_none(), std::cmp::Reverse((e.weight, e.seen.depth)), h.entry)
        });
        for Homeless { entry, meant_for, takers, cause } in homeless {
            let Some(to) = meant_for.or_else(|| self.board.place(entry, takers, None)) else {
                *self.nobody.entry(self.board.entries[entry].pool).or_default() += 1;
                continue;
            };
            let why = self.why_assigned(entry, to, meant_for.is_some(), cause);
            self.assign(entry, to, cause, why);
        }
    }

    fn why_assigned(&self, entry: usize, to: usize, meant: bool, cause: Cause) -> String {
        let assignment = &self.board.entries[entry].seen.assignment;
        let from = assignment.owner.as_ref().map_or("nobody", |owner| owner.member.as_str());
        let to = self.name(to);
        match cause {
            Cause::BrokerDead => {
                format!("{from} lost its connection and did not come back in place; {to} takes it")
            }
            Cause::SessionGone => format!("the session of {from} is gone; {to} takes it"),
            Cause::New => format!("it never had an owner; {to} has the most room"),
            Cause::Released => format!("its owner left it; {to} has the most room"),
            _ if meant => format!("it was released for {to} ({cause})"),
            _ => format!("{from} no longer holds it ({cause}); {to} takes it"),
        }
    }
}
