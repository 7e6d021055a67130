//! Balance by measured load, with hysteresis: acts when the busiest has carried too much for a while, a few queues at a time, and
//! stops well below, so that noise moves nothing.

use std::collections::BTreeMap;

use super::board::{Board, Tier, fair_share};
use super::memory::Uneven;
use super::round::Round;
use crate::fleet::{Cause, Policy};

/// A move must lower the busier one's load by at least this share of the mean, in percent.
const GAIN_PERCENT_MIN: u64 = 1;

/// The members and queues of a group of pools, as far as balance may touch them.
pub(super) struct Group {
    /// The settled members.
    members: Vec<usize>,
    /// The movable queues of each, by position in `members`.
    queues: Vec<Vec<usize>>,
    cap: u32,
    mean: u64,
}

/// One step: queues and where they go.
type Step = Vec<(usize, usize)>;

impl Round<'_> {
    /// Asks for the moves that make the load even. Only called while nothing else is on its way.
    pub(super) fn balance(&mut self) {
        let by_force = self.orders.rebalance;
        let under_way = self.under_way(Cause::Balance);
        let mut room = (self.policy.balance_moves_max as usize).saturating_sub(under_way);
        let mut before = std::mem::take(&mut self.memory.uneven);
        let mut still = under_way > 0;
        for pool in 0..self.board.pools.len() {
            if self.board.group[pool] != pool {
                continue;
            }
            let Some(group) = Group::gather(&self.board, pool, by_force.is_some()) else { continue };
            let (worst, over) = group.unevenness(&self.board);
            let name = self.board.pools[pool];
            let known = before.remove(name);
            let acting = known.is_some_and(|uneven| uneven.acting);
            let stop = u64::from(self.policy.balance_stop_percent);
            if worst <= u64::from(self.policy.balance_act_percent)
                && !over
                && !(acting && worst >= stop)
                && by_force.is_none()
            {
                continue;
            }
            let since = known.map_or(self.now, |uneven| uneven.since);
            let due = !self.wake.before(since.plus(self.policy.balance_act_after));
            let mut uneven = Uneven { since, acting: acting || due || by_force.is_some() };
            if uneven.acting {
                let moved = self.level(&group, worst, &mut room);
                still |= moved > 0;
                uneven.acting = moved > 0 || under_way > 0;
            }
            self.memory.uneven.insert(name.clone(), uneven);
        }
        if let Some(wish) = by_force
            && !still
        {
            self.orders.fulfilled(wish);
        }
    }

    /// How many queues are asked for, or released and not yet assigned, for a cause.
    fn under_way(&self, cause: Cause) -> usize {
        let asked = |e: &&super::board::Entry<'_>| {
            e.seen.assignment.successor.is_some() && e.seen.assignment.cause == cause
        };
        self.board.entries.iter().filter(asked).count()
    }

    fn level(&mut self, group: &Group, worst: u64, room: &mut usize) -> usize {
        let mut queues = group.queues.clone();
        let mut moved = 0;
        while *room > 0 {
            let Some(step) = group.step(&self.board, self.policy, &queues) else { break };
            for (entry, to) in step {
                let Some(from) = self.board.home(entry) else { continue };
                let why = format!(
                    "{} carries {} of a mean of {} notifications/s (the busiest {worst} %); {} carries {}",
                    self.name(from),
                    self.board.peers[from].load,
                    group.mean,
                    self.name(to),
                    self.board.peers[to].load,
                );
                self.ask(entry, to, Cause::Balance, why);
                for list in &mut queues {
                    list.retain(|q| *q != entry);
                }
                *room = room.saturating_sub(1);
                moved += 1;
            }
        }
        moved
    }
}

impl Group {
    /// The group of a pool; `None` if there are not two settled members in it.
    fn gather(board: &Board<'_>, group: usize, pinned_too: bool) -> Option<Self> {
        let pools: Vec<usize> = (0..board.pools.len()).filter(|p| board.group[*p] == group).collect();
        let settled = |peer: &usize| pools.iter().any(|pool| board.tier(*peer, *pool) == Tier::Settled);
        let members: Vec<usize> = (0..board.peers.len()).filter(settled).collect();
        if members.len() < 2 {
            return None;
        }
        let at: BTreeMap<usize, usize> = members.iter().enumerate().map(|(at, peer)| (*peer, at)).collect();
        let mut queues = vec![Vec::new(); members.len()];
        let (mut count, mut load) = (0u32, 0u64);
        for (entry, e) in board.entries.iter().enumerate() {
            let Some(at) = board.home(entry).and_then(|home| at.get(&home)) else { continue };
            count += 1;
            load += e.weight;
            let assignment = &e.seen.assignment;
            let pinned = assignment.cause == Cause::Operator && !pinned_too;
            let here = e.owner == board.home(entry) && assignment.successor.is_none();
            if here && !assignment.paused && !pinned && board.group[e.pool] == group {
                queues[*at].push(entry);
            }
        }
        let n = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mean = (load / u64::from(n)).max(1);
        Some(Self { members, queues, cap: fair_share(count, n), mean })
    }

    /// The busiest member's load in percent of the mean, and whether somebody has more queues than its share.
    fn unevenness(&self, board: &Board<'_>) -> (u64, bool) {
        let worst = self.members.iter().map(|p| board.peers[*p].load).max().unwrap_or(0);
        let over = self.members.iter().any(|p| board.peers[*p].count > self.cap);
        (worst * 100 / self.mean, over)
    }

    /// The next step that makes it more even, or `None`. Each lowers the number of queues above the shares, or the load of the
    /// busier of two without raising the other's to it: so steps end, and never undo each other.
    fn step(&self, board: &Board<'_>, policy: &Policy, queues: &[Vec<usize>]) -> Option<Step> {
        let by_load = |at: &usize| (std::cmp::Reverse(board.peers[self.members[*at]].load), *at);
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_unstable_by_key(by_load);
        if let Some(step) = order.iter().find_map(|at| self.shed(board, *at, &order, queues)) {
            return Some(step);
        }
        let stop = self.mean * u64::from(policy.balance_stop_percent) / 100;
        let busy = order.iter().take_while(|at| board.peers[self.members[**at]].load > stop);
        busy.into_iter().find_map(|at| self.relieve(board, *at, &order, queues))
    }

    /// One queue away from a member that has more than its share of them.
    fn shed(&self, board: &Board<'_>, at: usize, order: &[usize], queues: &[Vec<usize>]) -> Option<Step> {
        let from = self.members[at];
        if board.peers[from].count <= self.cap {
            return None;
        }
        let load = board.peers[from].load;
        let takers =
            order.iter().rev().map(|at| self.members[*at]).filter(|to| board.peers[*to].count < self.cap);
        takers.into_iter().find_map(|to| {
            let half = load.saturating_sub(board.peers[to].load) / 2;
            let fits = queues[at].iter().copied().filter(|q| may_take(board, to, *q));
            let best = fits.min_by_key(|q| (board.entries[*q].weight.abs_diff(half), *q))?;
            Some(vec![(best, to)])
        })
    }

    /// One queue away from a busy member, or two exchanged, so that the pair is as even as can be.
    fn relieve(&self, board: &Board<'_>, at: usize, order: &[usize], queues: &[Vec<usize>]) -> Option<Step> {
        let from = self.members[at];
        let high = board.peers[from].load;
        let gain = (self.mean * GAIN_PERCENT_MIN / 100).max(1);
        let mut best: Option<(u64, Step)> = None;
        for other in order.iter().rev().copied() {
            let to = self.members[other];
            let low = board.peers[to].load;
            if low + 2 * gain > high {
                break;
            }
            let pair = |delta: u64| (high - delta).max(low + delta);
            let roomy = board.peers[to].count < self.cap;
            for q in queues[at].iter().copied().filter(|q| may_take(board, to, *q)) {
                let weight = board.entries[q].weight;
                if roomy && weight < high - low {
                    keep_best(&mut best, pair(weight), || vec![(q, to)]);
                }
                for back in queues[other].iter().copied().filter(|b| may_take(board, from, *b)) {
                    let light = board.entries[back].weight;
                    if weight > light && weight - light < high - low {
                        keep_best(&mut best, pair(weight - light) + gain, || vec![(q, to), (back, from)]);
                    }
                }
            }
            if best.as_ref().is_some_and(|(load, _)| *load <= self.mean + gain) {
                break;
            }
        }
        best.filter(|(load, _)| load + gain <= high).map(|(_, step)| step)
    }
}

/// Keeps the step with the lower load of the busier one; of two alike the first.
fn keep_best(best: &mut Option<(u64, Step)>, load: u64, step: impl FnOnce() -> Step) {
    if best.as_ref().is_none_or(|(known, _)| load < *known) {
        *best = Some((load, step()));
    }
}

/// Whether a member is able to take a queue without crowding its zone.
fn may_take(board: &Board<'_>, to: usize, entry: usize) -> bool {
    let pool = board.entries[entry].pool;
    let from = board.home(entry);
    board.tier(to, pool) == Tier::Settled
        && (from.is_some_and(|from| board.same_zone(from, to)) || !board.zone_is_full(to, pool))
}
