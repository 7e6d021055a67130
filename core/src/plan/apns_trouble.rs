//! APNs fails a pool at one member and not at most others: its queues there are handed over. A pool that has been handed over so
//! stays away from that member for a while, longer each time.

use super::board::{Board, Presence};
use super::memory::Remembered;
use super::round::{Round, Wake};
use crate::fleet::{Health, Policy, ServedPool};
use crate::lease::BootMillis;
use crate::pool::PoolName;

/// What is remembered of a pool that APNs failed at a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApnsTrouble {
    pool: PoolName,
    /// Since when; `None` while it is well.
    since: Option<BootMillis>,
    /// The queues were asked away for this trouble.
    handed_over: bool,
    /// How often they were, until all is forgiven.
    level: u32,
    /// It gets no queue of the pool before.
    out_until: BootMillis,
}

impl Remembered {
    /// Takes in what a member says of its pools.
    pub(super) fn note_apns(&mut self, pools: &[ServedPool], policy: &Policy, now: BootMillis) {
        for served in pools.iter().filter(|served| served.apns != Health::Healthy) {
            let known = self.apns_trouble.iter_mut().find(|trouble| trouble.pool == served.pool);
            match known {
                Some(trouble) => {
                    trouble.since.get_or_insert(now);
                }
                None => self.apns_trouble.push(ApnsTrouble {
                    pool: served.pool.clone(),
                    since: Some(now),
                    handed_over: false,
                    level: 0,
                    out_until: BootMillis::default(),
                }),
            }
        }
        self.apns_trouble.retain_mut(|trouble| {
            let served = pools.iter().find(|served| served.pool == trouble.pool);
            match served.map(|served| served.apns) {
                None => false,
                Some(Health::Healthy) => {
                    (trouble.since, trouble.handed_over) = (None, false);
                    trouble.level > 0 && now.0 < trouble.out_until.plus(policy.flap_window).0
                }
                Some(_) => true,
            }
        });
    }

    /// The pools that a member is not given now, and until when.
    pub(super) fn kept_away(&self, wake: &mut Wake) -> Vec<(PoolName, BootMillis)> {
        let away = self.apns_trouble.iter().filter(|trouble| wake.before(trouble.out_until));
        away.map(|trouble| (trouble.pool.clone(), trouble.out_until)).collect()
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
        if self.wake.before(since.plus(self.policy.apns_cut_after)) || !most_are_healthy(&self.board, pool) {
            return false;
        }
        if !trouble.handed_over {
            trouble.handed_over = true;
            trouble.level = trouble.level.saturating_add(1);
            trouble.out_until = self.now.plus(self.policy.flap_backoff(trouble.level));
        }
        true
    }
}

fn most_are_healthy(board: &Board<'_>, pool: usize) -> bool {
    let (mut serve, mut failed) = (0, 0);
    for peer in 0..board.peers.len() {
        if board.peers[peer].presence == Presence::Present {
            let health = board.health(peer, pool);
            serve += usize::from(health.is_some());
            failed += usize::from(health.is_some_and(|health| health != Health::Healthy));
        }
    }
    failed * 2 <= serve
}
