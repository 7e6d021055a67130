//! APNs fails a pool at one member and not at most others: its queues there are handed over. A pool that has been handed over so
//! comes back to that member last, for a while that is longer each time.

use super::board::{Board, Presence};
use super::memory::Remembered;
use super::round::{Round, Wake};
use crate::fleet::{Health, Policy, ServedPool};
use crate::lease::BootMillis;
use crate::pool::PoolName;

/// A pool that was handed over is not handed back for this part of the time for which its member comes last, whoever else fails; at
/// last for all of it. Where the idle look well and fail as soon as they have something to do, that keeps it from going round.
const SHUNNED_PART: u32 = 8;

/// What is remembered of a pool that APNs failed at a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApnsTrouble {
    pool: PoolName,
    /// Since when; `None` once it has been well for [`Policy::apns_cut_after`]: what comes and goes is one trouble.
    since: Option<BootMillis>,
    /// When it was last seen to fail.
    seen: BootMillis,
    /// The queues were asked away for this trouble.
    handed_over: bool,
    /// How often they were, until all is forgiven.
    level: u32,
    /// It gets no queue of the pool before.
    shunned_until: BootMillis,
    /// It is the last to get a queue of the pool before.
    out_until: BootMillis,
}

/// A pool that APNs fails at a member, or did lately: what the board knows of it.
#[derive(Debug)]
pub(super) struct Troubled {
    pub pool: PoolName,
    /// It fails, or did a moment ago.
    pub is_open: bool,
    /// The member is the last to get queues of it, until then.
    pub away_until: Option<BootMillis>,
    /// It gets none now.
    pub is_shunned: bool,
}

impl Remembered {
    /// Takes in what a member says of its pools.
    pub(super) fn note_apns(&mut self, pools: &[ServedPool], policy: &Policy, wake: &mut Wake) {
        let now = wake.now();
        for served in pools.iter().filter(|served| served.apns != Health::Healthy) {
            let known = self.apns_trouble.iter_mut().find(|trouble| trouble.pool == served.pool);
            match known {
                Some(trouble) => {
                    trouble.since.get_or_insert(now);
                    trouble.seen = now;
                }
                None => self.apns_trouble.push(ApnsTrouble {
                    pool: served.pool.clone(),
                    since: Some(now),
                    seen: now,
                    handed_over: false,
                    level: 0,
                    shunned_until: BootMillis::default(),
                    out_until: BootMillis::default(),
                }),
            }
        }
        self.apns_trouble.retain_mut(|trouble| {
            let served = pools.iter().find(|served| served.pool == trouble.pool);
            match served.map(|served| served.apns) {
                None => false,
                Some(Health::Healthy) => {
                    if trouble.since.is_some() && !wake.before(trouble.seen.plus(policy.apns_cut_after)) {
                        (trouble.since, trouble.handed_over) = (None, false);
                    }
                    let forgiven = trouble.level == 0 || now >= trouble.out_until.plus(policy.flap_window);
                    trouble.since.is_some() || !forgiven
                }
                Some(_) => true,
            }
        });
    }

    /// The pools that APNs fails at a member, or did lately.
    pub(super) fn troubled(&self, wake: &mut Wake) -> Vec<Troubled> {
        let troubled = |trouble: &ApnsTrouble| Troubled {
            pool: trouble.pool.clone(),
            is_open: trouble.since.is_some(),
            away_until: wake.before(trouble.out_until).then_some(trouble.out_until),
            is_shunned: wake.before(trouble.shunned_until) || trouble.handed_over,
        };
        self.apns_trouble.iter().map(troubled).collect()
    }
}

impl Round<'_> {
    /// Whether APNs has failed a pool at a member for long enough, and does not at most who serve it: else it is APNs, or the
    /// credential, and nobody fares better.
    pub(super) fn failed_alone(&mut self, owner: usize, pool: usize) -> bool {
        let (id, name) = (self.board.peers[owner].id, self.board.pools[pool]);
        let Some(remembered) = self.memory.members.get_mut(id) else { return false };
        let found = remembered.apns_trouble.iter_mut().find(|trouble| trouble.pool == *name);
        let Some((since, trouble)) = found.and_then(|trouble| Some((trouble.since?, trouble))) else {
            return false;
        };
        if self.wake.before(since.plus(self.policy.apns_cut_after)) || !most_are_well(&self.board, pool) {
            return false;
        }
        if !trouble.handed_over {
            trouble.handed_over = true;
            trouble.level = trouble.level.saturating_add(1);
            let shunned = self.policy.flap_backoff_first / SHUNNED_PART;
            trouble.shunned_until = self.now.plus(self.policy.backoff(shunned, trouble.level));
            trouble.out_until = self.now.plus(self.policy.flap_backoff(trouble.level));
        }
        true
    }
}

fn most_are_well(board: &Board<'_>, pool: usize) -> bool {
    let (mut serve, mut failed) = (0, 0);
    for (at, peer) in board.peers.iter().enumerate() {
        if peer.presence == Presence::Present && board.health(at, pool).is_some() {
            serve += 1;
            failed += usize::from(peer.trouble(board.pools[pool]).is_some_and(|trouble| trouble.is_open));
        }
    }
    failed * 2 <= serve
}
