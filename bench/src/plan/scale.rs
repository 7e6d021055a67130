//! A fleet of full size, with uneven loads: 4,096 queues of four pools, 256 senders in three zones.

use skein_core::fleet::{Health, Incarnation, Load, Member, MemberId, Policy, QueueAssignment, ServedPool};
use skein_core::lease::BootMillis;
use skein_core::plan::{Connection, Memory, Observed, QueueSeen, Seen, plan};
use skein_core::{PoolName, QueueName, Timestamp};
use uuid::Uuid;

/// Queues in all.
pub(super) const QUEUES: usize = 4_096;
/// Senders.
pub(super) const MEMBERS: usize = 256;
const POOLS: usize = 4;

/// The fleet.
pub(super) struct Scale {
    observed: Observed,
    memory: Memory,
    policy: Policy,
    now: u64,
}

impl Scale {
    /// Everybody has joined, nothing is given out. Loads differ by a factor of up to eight, by `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let pools: Vec<PoolName> =
            (0..POOLS).map(|n| PoolName::parse(&format!("pool-{n}")).unwrap()).collect();
        let served = |pool: &PoolName| ServedPool { pool: pool.clone(), apns: Health::Healthy };
        let member = |n: usize| Member {
            id: MemberId::parse(&format!("sender-{n:03}")).unwrap(),
            incarnation: Incarnation(Uuid::from_u128(n as u128 + 1)),
            holds_lock: true,
            host: format!("host-{n}"),
            zone: Some(format!("zone-{}", n % 3)),
            version: "1".to_owned(),
            pools: pools.iter().map(served).collect(),
            ledger: Health::Healthy,
            broker: Default::default(),
            report: Default::default(),
            load: Load::default(),
            draining: false,
            succeeds: None,
            connection_prefix: format!("skein:sender-{n:03}:"),
            since: Timestamp::from_millis(0),
        };
        let queue = |n: usize| {
            let queue = QueueName { pool: pools[n % POOLS].clone(), number: (n / POOLS) as u16 };
            let mixed = (n as u64 + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(seed.wrapping_mul(0xbf58_476d));
            let per_second =
                50 + ((mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as u32 % 351;
            QueueSeen { assignment: QueueAssignment::new(queue, 200), per_second, depth: 0 }
        };
        let members =
            (0..MEMBERS).map(|n| Seen { member: member(n), connection: Connection::Open }).collect();
        let queues = (0..QUEUES).map(queue).collect();
        let observed = Observed { members, queues, ..Observed::default() };
        let mut scale =
            Self { observed, memory: Memory::default(), policy: Policy::default(), now: 1_000_000 };
        assert_eq!(scale.step(), 0, "new queues wait for the fleet to assemble");
        scale.now += 10_000;
        scale
    }

    /// One member's session ends.
    pub(super) fn lose(&mut self, member: usize) {
        self.observed.members.remove(member);
    }

    /// Plans and carries it out. Says how many moves.
    pub(super) fn step(&mut self) -> usize {
        let memory = std::mem::take(&mut self.memory);
        let (planned, memory) = plan(&self.observed, &self.policy, memory, BootMillis(self.now));
        self.memory = memory;
        let mut moves: Vec<_> = planned.moves.iter().collect();
        moves.sort_unstable_by_key(|m| &m.queue);
        for queue in &mut self.observed.queues {
            if let Ok(at) = moves.binary_search_by_key(&&queue.assignment.queue, |m| &m.queue) {
                queue.assignment = queue.assignment.apply(&moves[at].change).unwrap();
            }
        }
        planned.moves.len()
    }

    /// The busiest member's load in percent of the mean.
    pub(super) fn worst_percent(&self) -> u64 {
        let load = |seen: &Seen| -> u64 {
            let owner = seen.member.owner();
            let owned = self.observed.queues.iter().filter(|q| q.assignment.is_owned_by(&owner));
            owned.map(|q| u64::from(q.per_second)).sum()
        };
        let loads: Vec<u64> = self.observed.members.iter().map(load).collect();
        let mean = loads.iter().sum::<u64>() / loads.len() as u64;
        (loads.into_iter().max().unwrap_or(0) * 100).div_ceil(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_fleet_is_even_and_a_loss_moves_its_share_only() {
        let mut fleet = Scale::new(7);
        assert_eq!(fleet.step(), QUEUES, "every queue gets its first owner");
        assert!(fleet.worst_percent() <= 115, "max/mean is {} %", fleet.worst_percent());
        assert_eq!(fleet.step(), 0, "at rest there is nothing to do");
        fleet.lose(17);
        let moves = fleet.step();
        assert!(moves > 0 && moves <= QUEUES / MEMBERS + 1, "{moves} moves");
        assert!(fleet.worst_percent() <= 115, "max/mean is {} % after the loss", fleet.worst_percent());
        assert_eq!(fleet.step(), 0);
    }
}
