//! Where each queue should be: [`plan`], pure and deterministic. What was observed, the policy, what is remembered and the time go
//! in; moves with their reasons, what is held back, and the memory for the next call come out.
//!
//! A queue moves in one of two ways. From a living owner: it is *asked* to leave, for a named successor; it leaves the one way and
//! releases with a note; then the queue is assigned. From a lost one: it is assigned at once, in the next epoch, and the new owner
//! waits the grace out unless a clean note or a file lock proves that nobody else can write.

mod apns_trouble;
mod balance;
mod board;
mod flap;
mod guard;
mod hand_over;
mod leaving;
mod memory;
mod observed;
mod outcome;
mod presence;
mod round;
mod seize;
mod wishes;

pub use memory::Memory;
pub use observed::{BrokerSeen, Connection, Observed, QueueSeen, Seen};
pub use outcome::{Answer, Answered, Held, HeldFor, Move, Plan, Standing, State};

use apns_trouble::Troubled;
use board::{Board, Presence};
use round::{Round, Wake};
use wishes::Orders;

use crate::fleet::{Cause, Health, Policy};
use crate::lease::BootMillis;

/// Decides what should happen now.
///
/// * The same input gives the same plan, whatever the order of its lists.
/// * `now`, and every instant in `observed`, are of the calling monitor's boot clock: no wall clock is read anywhere.
/// * It is level-based: what was planned and not done is planned again; what is done is not. When nothing is left to do, there
///   are no moves.
/// * It costs a few milliseconds for 4,096 queues and 256 members, and allocates nothing that outlives the call but its results.
pub fn plan(observed: &Observed, policy: &Policy, mut memory: Memory, now: BootMillis) -> (Plan, Memory) {
    let mut wake = Wake::new(now);
    let mut board = Board::new(observed, policy);
    presence::judge(&mut board, observed.broker, policy, &mut memory, &mut wake);
    let orders = Orders::read(&observed.wishes, &observed.quarantines);
    let nobody = std::collections::BTreeMap::new();
    let mut round = Round { policy, now, board, orders, memory, plan: Plan::default(), wake, nobody };
    round.mark_leaving();
    round.board.weigh();
    let held = round.half_gone();
    round.judge_operator_moves();
    round.pause_and_resume();
    let unsettled = round.place_all(held);
    round.watch_asked();
    let moves_else = round.plan.moves.iter().any(|m| m.cause != Some(Cause::Balance));
    if unsettled || moves_else || observed.broker == BrokerSeen::Away {
        round.memory.uneven.clear();
    } else {
        round.balance();
    }
    round.conclude(observed.broker)
}

impl Round<'_> {
    /// Gives every queue its place. Says whether something is going on besides balance.
    fn place_all(&mut self, held: bool) -> bool {
        let (mut homeless, mut leavers) = (Vec::new(), Vec::new());
        let mut unsettled = held;
        for entry in 0..self.board.entries.len() {
            let e = &self.board.entries[entry];
            let assignment = &e.seen.assignment;
            if assignment.paused {
                self.board.set_home(entry, e.owner);
                continue;
            }
            let balanced = assignment.cause == Cause::Balance;
            unsettled |= assignment.successor.is_some() && !balanced;
            let Some(owner) = e.owner else {
                self.unowned(entry, &mut homeless);
                continue;
            };
            let peer = &self.board.peers[owner];
            let same_life = match (peer.seen, &assignment.owner) {
                (Some(seen), Some(owner)) => seen.member.incarnation == owner.incarnation,
                _ => false,
            };
            match peer.presence {
                Presence::Lost(_) if held && !self.memory.released.contains(peer.id) => unsettled = true,
                Presence::Lost(_) => self.ownerless(entry, owner, &mut homeless),
                Presence::Suspect => {
                    unsettled = true;
                    self.board.set_home(entry, Some(owner));
                }
                Presence::Present if same_life => self.owned(entry, owner, &mut leavers),
                Presence::Present => {
                    unsettled = true;
                    self.earlier_life(entry, owner, &mut homeless);
                }
            }
        }
        self.give_out(homeless);
        self.ask_leavers(leavers);
        unsettled
    }

    /// A queue of an earlier life of a member that is back: it takes it again by itself, or is given it after a while.
    fn earlier_life(&mut self, entry: usize, owner: usize, homeless: &mut Vec<seize::Homeless>) {
        let peer = &self.board.peers[owner];
        let leaves = peer.leaving.is_some();
        let since = self.memory.members.get(peer.id).map_or(self.now, |remembered| remembered.since);
        self.board.set_home(entry, Some(owner));
        if self.wake.before(since.plus(self.policy.restart_grace)) {
            return;
        }
        let serves = self.board.health(owner, self.board.entries[entry].pool).is_some();
        if serves && !leaves {
            self.renew(entry, owner);
        } else {
            self.board.set_home(entry, None);
            self.ownerless(entry, owner, homeless);
        }
    }

    fn conclude(mut self, broker: BrokerSeen) -> (Plan, Memory) {
        for (pool, queues) in std::mem::take(&mut self.nobody) {
            let stopped = self.stopped_in_order(pool);
            let pool = self.board.pools[pool];
            let (what, why) = if stopped {
                let why = "whose senders have left in order, or are leaving; they wait for the next to start";
                (HeldFor::Stopped, format!("{queues} queues of {pool}, {why}"))
            } else {
                let why = "have nobody else who could take them; start a sender with its credential";
                (HeldFor::Nobody, format!("{queues} queues of {pool} {why}"))
            };
            self.hold(what, why);
        }
        if broker == BrokerSeen::Away {
            self.hold(HeldFor::Broker, "the broker does not answer; nobody is taken for dead".to_owned());
        }
        for at in 0..self.board.peers.len() {
            let peer = &self.board.peers[at];
            if peer.leaving.is_some() && peer.presence == Presence::Present && peer.paused > 0 {
                let why = format!(
                    "{} is leaving, and {} of its queues are paused and stay with it: resume them, or end it with SIGTERM",
                    peer.id, peer.paused
                );
                self.hold(HeldFor::Paused, why);
            }
            let peer = &self.board.peers[at];
            if peer.presence == Presence::Suspect && peer.owns > 0 {
                let why =
                    format!("{} lost its connection to the broker and may be restarting in place", peer.id);
                self.hold(HeldFor::Restart, why);
            } else if let Some(until) = peer.out {
                let left = until.since(self.now).as_secs();
                let why = format!("{} came and went too often and gets no queues for {left} s", peer.id);
                self.hold(HeldFor::Flapping, why);
            }
            let peer = &self.board.peers[at];
            let healthy = |pool: &_| peer.seen.is_some_and(|s| s.member.apns(pool) == Some(Health::Healthy));
            let away = peer.troubled.iter().filter(|trouble| healthy(&trouble.pool));
            let why = |trouble: &Troubled| {
                let (pool, left) = (&trouble.pool, trouble.away_until?.since(self.now).as_secs());
                Some(format!(
                    "APNs failed {pool} at {}, which is the last to get queues of it for {left} s",
                    peer.id
                ))
            };
            let whys: Vec<String> = away.filter_map(why).collect();
            whys.into_iter().for_each(|why| self.hold(HeldFor::Flapping, why));
        }
        self.plan.held.sort();
        self.plan.members = self.board.peers.iter().map(standing).collect();
        self.plan.members.sort_by(|a, b| a.member.cmp(&b.member));
        self.orders.answered.sort_by_key(|answered| answered.wish);
        self.plan.answered = self.orders.answered;
        self.plan.wake = self.wake.next();
        (self.plan, self.memory)
    }
}

fn standing(peer: &board::Peer<'_>) -> Standing {
    let state = match peer.presence {
        Presence::Suspect => State::Suspect,
        Presence::Lost(Cause::BrokerDead) => State::BrokerDead,
        Presence::Lost(_) => State::SessionGone,
        Presence::Present if peer.leaving.is_some() => State::Leaving,
        Presence::Present if peer.out.is_some() => State::Flapping,
        Presence::Present if peer.fresh => State::Joining,
        Presence::Present => State::Present,
    };
    Standing { member: peer.id.clone(), state, queues: peer.count as usize, load: peer.load }
}

#[cfg(test)]
mod tests;
