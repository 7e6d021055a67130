//! Queues with a living owner that should leave them: asked, with a successor named; never seized.

use super::board::{Takers, Tier};
use super::outcome::HeldFor;
use super::round::Round;
use crate::fleet::{Cause, Change, Health};

/// Where a queue with a living owner should be.
enum Should {
    Stay,
    Go { to: usize, cause: Cause },
    GoAnywhere { takers: Takers, cause: Cause },
}

/// A queue whose owner is to be asked.
pub(super) struct Leaver {
    entry: usize,
    takers: Takers,
    cause: Cause,
}

impl Round<'_> {
    /// Puts a queue of a living owner on the board: where it is, or where it is on its way to; asks what can be asked at once.
    pub(super) fn owned(&mut self, entry: usize, owner: usize, leavers: &mut Vec<Leaver>) {
        let e = &self.board.entries[entry];
        let (pool, assignment) = (e.pool, &e.seen.assignment);
        let asked = assignment.successor.as_ref();
        let cause_now = assignment.cause;
        let named = asked.and_then(|id| self.board.peer(id)).filter(|to| *to != owner);
        let tier = named.map_or(Tier::Never, |to| self.board.tier(to, pool));
        self.board.set_home(entry, Some(owner));
        match self.should(entry, owner) {
            Should::Stay => {
                let stands = matches!(cause_now, Cause::Balance | Cause::Operator) && tier < Tier::Sick;
                if stands {
                    self.board.set_home(entry, named);
                } else if asked.is_some() {
                    let why = "the reason for asking is gone, or who was to take it is".to_owned();
                    self.change(entry, Change::Withdraw, None, why);
                }
            }
            Should::Go { to, .. } if named == Some(to) => self.board.set_home(entry, named),
            Should::Go { to, cause } => {
                let why = match cause {
                    Cause::Succession => format!("{} takes the place of {}", self.name(to), self.name(owner)),
                    _ => format!("an operator moves it to {}", self.name(to)),
                };
                self.ask(entry, to, cause, why);
            }
            Should::GoAnywhere { takers, cause } => {
                let worst = if takers == Takers::Healthy { Tier::LastResort } else { Tier::Sick };
                if tier <= worst {
                    self.board.set_home(entry, named);
                } else {
                    leavers.push(Leaver { entry, takers, cause });
                }
            }
        }
    }

    fn should(&mut self, entry: usize, owner: usize) -> Should {
        let e = &self.board.entries[entry];
        let pool = e.pool;
        let queue = &e.seen.assignment.queue;
        if let Some((to, _)) = self.orders.moves.get(queue)
            && let Some(to) = self.board.peer(to)
        {
            return Should::Go { to, cause: Cause::Operator };
        }
        let peer = &self.board.peers[owner];
        let health = self.board.health(owner, pool);
        let (leaving, successor) = (peer.leaving, peer.successor);
        match leaving {
            Some(Cause::Succession) => match successor {
                Some(to) if self.board.tier(to, pool) < Tier::Sick => {
                    Should::Go { to, cause: Cause::Succession }
                }
                Some(to) if self.board.tier(to, pool) == Tier::Sick => {
                    let why =
                        format!("{} waits: APNs does not answer {} for {}", queue, self.name(to), queue.pool);
                    self.hold(HeldFor::Successor, why);
                    Should::Stay
                }
                _ => Should::GoAnywhere { takers: Takers::Able, cause: Cause::Succession },
            },
            Some(cause) => Should::GoAnywhere { takers: Takers::Able, cause },
            None if health.is_none() => {
                Should::GoAnywhere { takers: Takers::Able, cause: Cause::PoolNotServed }
            }
            None if health != Some(Health::Healthy) && self.failed_alone(owner, pool) => {
                Should::GoAnywhere { takers: Takers::Healthy, cause: Cause::ApnsCutOff }
            }
            None => Should::Stay,
        }
    }

    /// Asks owners to leave for whoever has the most room.
    pub(super) fn ask_leavers(&mut self, mut leavers: Vec<Leaver>) {
        leavers.sort_by_key(|l| (std::cmp::Reverse(self.board.entries[l.entry].weight), l.entry));
        for Leaver { entry, takers, cause } in leavers {
            let e = &self.board.entries[entry];
            let (pool, owner, asked) = (e.pool, e.owner, e.seen.assignment.successor.is_some());
            match self.board.place(entry, takers, owner) {
                Some(to) => {
                    let from = owner.map_or("its owner", |owner| self.name(owner));
                    let why = why_asked(cause, from, self.name(to), self.board.pools[pool].as_str());
                    self.ask(entry, to, cause, why);
                }
                None => {
                    if asked {
                        let why = "nobody is left who could take it".to_owned();
                        self.change(entry, Change::Withdraw, None, why);
                    }
                    if takers == Takers::Able {
                        *self.nobody.entry(pool).or_default() += 1;
                    }
                }
            }
        }
    }

    /// Says which owners take long to leave; from one that takes far too long, the queue is seized.
    pub(super) fn watch_asked(&mut self) {
        let mut before = std::mem::take(&mut self.memory.asked);
        for entry in 0..self.board.entries.len() {
            let assignment = &self.board.entries[entry].seen.assignment;
            let (Some(owner), Some(_)) = (&assignment.owner, &assignment.successor) else { continue };
            let known = before.remove(&assignment.queue).filter(|(epoch, _)| *epoch == assignment.epoch);
            let since = known.map_or(self.now, |(_, since)| since);
            self.memory.asked.insert(assignment.queue.clone(), (assignment.epoch, since));
            if !self.wake.before(since.plus(self.policy.release_seize_after)) {
                self.seize_from_hung(entry);
            }
            if !self.wake.before(since.plus(self.policy.release_slow_after)) {
                let why = format!(
                    "{} has been asked to leave {} for more than {} s; look at what it has in flight",
                    owner.member,
                    assignment.queue,
                    self.policy.release_slow_after.as_secs()
                );
                self.hold(HeldFor::Slow, why);
            }
        }
    }
}

fn why_asked(cause: Cause, from: &str, to: &str, pool: &str) -> String {
    match cause {
        Cause::Drain => format!("{from} drains; {to} has the most room"),
        Cause::Quarantine => format!("{from} is quarantined; {to} has the most room"),
        Cause::PoolNotServed => format!("{from} has no credential for {pool} any more; {to} has"),
        Cause::ApnsCutOff => format!("APNs does not serve {pool} at {from}, and does at {to}"),
        _ => format!("{from} leaves ({cause}); {to} has the most room"),
    }
}
