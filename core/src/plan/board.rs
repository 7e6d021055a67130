//! The board: members and queues by index, where each queue is or will be, and who could take one more.

use hashbrown::HashMap;

use super::apns_trouble::Troubled;
use super::observed::{Observed, QueueSeen, Seen};
use crate::fleet::{Cause, Health, MemberId, Policy};
use crate::lease::BootMillis;
use crate::pool::PoolName;

/// A member, seen or remembered by a queue that names it as its owner.
pub(super) struct Peer<'a> {
    pub id: &'a MemberId,
    pub seen: Option<&'a Seen>,
    pub presence: Presence,
    /// It joined a moment ago.
    pub fresh: bool,
    /// It flaps and gets nothing, until then.
    pub out: Option<BootMillis>,
    /// The pools that APNs fails there, or did lately.
    pub troubled: Vec<Troubled>,
    /// It must hand its queues over, and why.
    pub leaving: Option<Cause>,
    /// Who takes its place.
    pub successor: Option<usize>,
    /// It takes another's place and gets that one's queues first.
    pub reserved: bool,
    /// How many queues name it as their owner.
    pub owns: usize,
    /// How many of them are paused, and so stay with it whatever becomes of it.
    pub paused: usize,
    /// How many queues it has on the board.
    pub count: u32,
    /// Their load.
    pub load: u64,
    zone: usize,
}

/// Whether a member is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    /// Its connection is closed, and it may be restarting.
    Suspect,
    Lost(Cause),
}

/// A queue.
pub(super) struct Entry<'a> {
    pub seen: &'a QueueSeen,
    pub pool: usize,
    pub owner: Option<usize>,
    pub weight: u64,
    /// Where it is or will be.
    home: Option<usize>,
}

/// How able a member is to take a queue of a pool; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Settled,
    Fresh,
    /// It flaps, or APNs' service of the pool there does, or it takes another's place.
    LastResort,
    /// APNs failed the pool there a moment ago.
    Shunned,
    /// APNs does not answer it, or refuses the credential there.
    Sick,
    /// It is away, or leaving, or has no credential for the pool.
    Never,
}

/// Who is asked to take a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takers {
    /// Best the settled ones: the queue's owner is lost.
    Settled,
    /// Anybody who can: its owner leaves in order, or there is none.
    Able,
    /// Only who reaches APNs, and has for a while.
    Healthy,
}

/// Loads above this rank alike.
const LOAD_MAX: u64 = (1 << 59) - 1;

pub(super) struct Board<'a> {
    pub peers: Vec<Peer<'a>>,
    pub entries: Vec<Entry<'a>>,
    pub pools: Vec<&'a PoolName>,
    by_id: HashMap<&'a MemberId, usize>,
    zones: usize,
    tiers: Vec<Tier>,
    /// The group of each pool: pools that share members are balanced together.
    pub group: Vec<usize>,
    cap: Vec<u32>,
    zone_queues: Vec<u32>,
    zone_quota: Vec<u32>,
}

impl<'a> Board<'a> {
    /// The board with every queue off it.
    pub fn new(observed: &'a Observed, policy: &Policy) -> Self {
        let mut seen: Vec<&Seen> = observed.members.iter().collect();
        seen.sort_unstable_by_key(|s| (&s.member.id, s.member.incarnation));
        seen.dedup_by(|a, b| a.member.id == b.member.id);
        let mut queues: Vec<&QueueSeen> = observed.queues.iter().collect();
        queues.sort_unstable_by_key(|q| &q.assignment.queue);

        let mut zones: Vec<Option<&str>> = seen.iter().map(|s| s.member.zone.as_deref()).collect();
        zones.sort_unstable();
        zones.dedup();
        let mut peers: Vec<Peer<'a>> = Vec::with_capacity(seen.len());
        let mut by_id = HashMap::with_capacity(seen.len());
        for s in seen {
            by_id.insert(&s.member.id, peers.len());
            let zone = zones.binary_search(&s.member.zone.as_deref()).unwrap_or(0);
            peers.push(Peer::new(&s.member.id, Some(s), zone));
        }
        let mut gone: Vec<&MemberId> = queues
            .iter()
            .filter_map(|q| q.assignment.owner.as_ref().map(|o| &o.member))
            .filter(|id| !by_id.contains_key(*id))
            .collect();
        gone.sort_unstable();
        gone.dedup();
        for id in gone {
            by_id.insert(id, peers.len());
            peers.push(Peer::new(id, None, 0));
        }

        let mut pools: Vec<&PoolName> = Vec::new();
        let mut entries = Vec::with_capacity(queues.len());
        for seen in queues {
            if pools.last() != Some(&&seen.assignment.queue.pool) {
                pools.push(&seen.assignment.queue.pool);
            }
            let owner = seen.assignment.owner.as_ref().and_then(|o| by_id.get(&o.member).copied());
            if let Some(owner) = owner {
                peers[owner].owns += 1;
                peers[owner].paused += usize::from(seen.assignment.paused);
            }
            let weight = u64::from(seen.per_second.max(policy.balance_queue_floor).max(1));
            entries.push(Entry { seen, pool: pools.len() - 1, owner, weight, home: None });
        }
        Self {
            peers,
            entries,
            by_id,
            zones: zones.len().max(1),
            tiers: Vec::new(),
            group: (0..pools.len()).collect(),
            cap: vec![u32::MAX; pools.len()],
            zone_queues: vec![0; zones.len().max(1) * pools.len()],
            zone_quota: vec![u32::MAX; zones.len().max(1) * pools.len()],
            pools,
        }
    }

    /// The index of a member.
    pub fn peer(&self, id: &MemberId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// How able a member is to take a queue of a pool.
    pub fn tier(&self, peer: usize, pool: usize) -> Tier {
        self.tiers[peer * self.pools.len() + pool]
    }

    /// How APNs answers a member for a pool; `None` without credential.
    pub fn health(&self, peer: usize, pool: usize) -> Option<Health> {
        self.peers[peer].seen.and_then(|s| s.member.apns(self.pools[pool]))
    }

    /// Where a queue is or will be.
    pub fn home(&self, entry: usize) -> Option<usize> {
        self.entries[entry].home
    }

    /// Says where a queue is or will be.
    pub fn set_home(&mut self, entry: usize, home: Option<usize>) {
        let e = &mut self.entries[entry];
        let before = std::mem::replace(&mut e.home, home);
        let (pool, weight) = (e.pool, e.weight);
        if let Some(p) = before {
            self.peers[p].count -= 1;
            self.peers[p].load -= weight;
            self.zone_queues[self.peers[p].zone * self.pools.len() + pool] -= 1;
        }
        if let Some(p) = home {
            self.peers[p].count += 1;
            self.peers[p].load += weight;
            self.zone_queues[self.peers[p].zone * self.pools.len() + pool] += 1;
        }
    }

    /// Works out, once presence and leave are known, who can take what, and everybody's fair share.
    pub fn weigh(&mut self) {
        let pools = self.pools.len();
        self.tiers = Vec::with_capacity(self.peers.len() * pools);
        for peer in &self.peers {
            self.tiers.extend(self.pools.iter().map(|pool| peer.tier(pool)));
        }
        self.join_pools();
        let mut members = vec![0u32; pools];
        for tiers in self.tiers.chunks_exact(pools.max(1)) {
            if let Some(pool) = tiers.iter().position(|tier| *tier <= Tier::Fresh) {
                members[self.group[pool]] += 1;
            }
        }
        let (mut group_queues, mut pool_queues) = (vec![0u32; pools], vec![0u32; pools]);
        for entry in &self.entries {
            group_queues[self.group[entry.pool]] += 1;
            pool_queues[entry.pool] += 1;
        }
        for (pool, queues) in pool_queues.into_iter().enumerate() {
            let group = self.group[pool];
            self.cap[pool] = fair_share(group_queues[group], members[group]);
            let able = |zone: usize| {
                let there = |p: &usize| self.peers[*p].zone == zone && self.tier(*p, pool) <= Tier::Fresh;
                u32::try_from((0..self.peers.len()).filter(there).count()).unwrap_or(u32::MAX)
            };
            let able: Vec<u32> = (0..self.zones).map(able).collect();
            let all: u32 = able.iter().sum();
            for (zone, able) in able.into_iter().enumerate() {
                self.zone_quota[zone * pools + pool] = fair_share(queues * able, all);
            }
        }
    }

    /// Pools that share an able member are one group, named by its first pool.
    fn join_pools(&mut self) {
        fn root(group: &[usize], mut pool: usize) -> usize {
            while group[pool] != pool {
                pool = group[pool];
            }
            pool
        }
        let pools = self.pools.len();
        for tiers in self.tiers.chunks_exact(pools.max(1)) {
            let mut able = (0..pools).filter(|pool| tiers[*pool] <= Tier::Fresh);
            let Some(first) = able.next() else { continue };
            for other in able {
                let (a, b) = (root(&self.group, first), root(&self.group, other));
                self.group[a.max(b)] = a.min(b);
            }
        }
        for pool in 0..pools {
            self.group[pool] = root(&self.group, pool);
        }
    }

    /// Whether a zone already has its share of a pool, so that one more would crowd it.
    pub fn zone_is_full(&self, peer: usize, pool: usize) -> bool {
        let at = self.peers[peer].zone * self.pools.len() + pool;
        self.zone_queues[at] >= self.zone_quota[at]
    }

    /// Whether two members are in one zone.
    pub fn same_zone(&self, a: usize, b: usize) -> bool {
        self.peers[a].zone == self.peers[b].zone
    }

    /// Who should take a queue of a pool: the ablest, then who has room by count, then by zone, then who carries least.
    pub fn place(&self, entry: usize, takers: Takers, not: Option<usize>) -> Option<usize> {
        let (pool, pools) = (self.entries[entry].pool, self.pools.len());
        let cap = self.cap[pool];
        let mut best: Option<(u64, u32, usize)> = None;
        for (p, peer) in self.peers.iter().enumerate() {
            let tier = match (takers, self.tiers[p * pools + pool]) {
                (_, Tier::Never) | (Takers::Healthy, Tier::Shunned | Tier::Sick) => continue,
                (Takers::Able | Takers::Healthy, Tier::Fresh) => Tier::Settled,
                (_, tier) => tier,
            };
            let crowded = u64::from(peer.count >= cap) << 1 | u64::from(self.zone_is_full(p, pool));
            let rank = (tier as u64) << 61 | crowded << 59 | peer.load.min(LOAD_MAX);
            let better = match best {
                Some((least, count, _)) => rank < least || (rank == least && peer.count < count),
                None => true,
            };
            if better && Some(p) != not {
                best = Some((rank, peer.count, p));
            }
        }
        best.map(|(_, _, p)| p)
    }
}

impl<'a> Peer<'a> {
    fn new(id: &'a MemberId, seen: Option<&'a Seen>, zone: usize) -> Self {
        Self {
            id,
            seen,
            presence: Presence::Present,
            fresh: false,
            out: None,
            troubled: Vec::new(),
            leaving: None,
            successor: None,
            reserved: false,
            owns: 0,
            paused: 0,
            count: 0,
            load: 0,
            zone,
        }
    }

    /// What is known of APNs' failing a pool there.
    pub fn trouble(&self, pool: &PoolName) -> Option<&Troubled> {
        self.troubled.iter().find(|trouble| trouble.pool == *pool)
    }

    fn tier(&self, pool: &PoolName) -> Tier {
        let health = self.seen.and_then(|s| s.member.apns(pool));
        match health {
            Some(_) if self.presence != Presence::Present || self.leaving.is_some() => Tier::Never,
            None => Tier::Never,
            Some(Health::Healthy) if self.out.is_some() || self.reserved => Tier::LastResort,
            Some(Health::Healthy) => match self.trouble(pool) {
                Some(trouble) if trouble.is_shunned => Tier::Shunned,
                Some(trouble) if trouble.away_until.is_some() => Tier::LastResort,
                _ if self.fresh => Tier::Fresh,
                _ => Tier::Settled,
            },
            Some(Health::CutOff | Health::Refused) => Tier::Sick,
        }
    }
}

/// The most that one of `n` may have of `q` so that its loss moves at most `q / n + 1`.
pub(super) fn fair_share(q: u32, n: u32) -> u32 {
    q.checked_div(n).map_or(u32::MAX, |share| share + 1)
}
