//! The faults of a seed: what happens when, drawn once and plain to read, so that a failure can be told and made smaller.

use crate::apns::Mood;
use crate::random::Random;

/// What happens to a sender, the fleet or what it stands on. Times are in milliseconds; members and queues go by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what the fault's own line says")]
pub enum Fault {
    /// `kill -9`, between any two steps; it starts anew after `back`, in place, with or without the lock's proof.
    Kill { member: usize, polls: u32, back: Option<u64>, lock: bool },
    /// The same for whoever owns the queue by then.
    KillOwner { queue: usize, polls: u32, back: Option<u64>, lock: bool },
    /// `SIGSTOP`, and `SIGCONT` after so long; `at_flush`: between the look at the gate and the flush.
    Freeze { member: usize, millis: u64, at_flush: bool },
    /// Its host is gone: nobody is told.
    Vanish { member: usize, back: u64 },
    /// It is cut off from the broker, and another life of it starts elsewhere, without its lock.
    Twin { member: usize, millis: u64 },
    /// Its sockets to the broker are reset.
    ResetBroker { member: usize },
    /// Nothing passes between it and the broker; `told`: the broker notices at once.
    CutBroker { member: usize, millis: u64, told: bool },
    /// One of its attachments ends; `seen`: and it notices.
    CutQueue { queue: usize, seen: bool },
    /// Nothing passes between it and the coordinator.
    CutCoordinator { member: usize, millis: u64 },
    /// Nothing passes between it and the ledger.
    CutLedger { member: usize, millis: u64 },
    /// Nothing passes between it and APNs, and its connections are lost.
    CutApns { member: usize, millis: u64 },
    /// The broker stops and comes back.
    BrokerAway { millis: u64 },
    /// The ledger stops and comes back.
    LedgerAway { millis: u64 },
    /// Every call of the ledger takes longer.
    LedgerSlow { by: u64, millis: u64 },
    /// Commits take longer, and stand though their sender dies.
    LateCommits { by: u64, millis: u64 },
    /// Commits stand whose sender is told that they failed.
    LostAnswers { calls: u64 },
    /// The coordinator stops and comes back.
    CoordinatorAway { millis: u64 },
    /// The leading monitor loses its leadership.
    Depose,
    /// Deliveries are on their way for so long at most.
    LateDeliveries { by: u64, millis: u64 },
    /// APNs refuses a pool's credential.
    RefuseCredential { pool: usize, millis: u64 },
    /// It is told to end and starts anew later, by `SIGTERM` alone or drained first.
    Restart { member: usize, drain: bool, back: u64 },
    /// An operator drains it, and undrains it.
    Drain { member: usize, millis: u64 },
    /// An operator pauses a queue, and resumes it.
    Pause { queue: usize, millis: u64 },
    /// An operator moves a queue.
    Move { queue: usize, to: usize },
    /// An operator asks for balance.
    Rebalance,
    /// Another sender joins.
    Join,
    /// Another sender starts in its place; it ends when its queues are handed over.
    Succeed { member: usize },
    /// An operator quarantines it, and lifts that.
    Quarantine { member: usize, millis: u64 },
    /// Its host's wall clock is set to so many milliseconds ahead of the true time, or back.
    Skew { member: usize, ahead: i64 },
}

/// What a seed sets up.
#[derive(Debug, Clone)]
pub struct Script {
    /// The seed.
    pub seed: u64,
    /// Senders at first.
    pub members: usize,
    /// Sending threads of each.
    pub shards: usize,
    /// Queues of the two pools.
    pub queues: [u16; 2],
    /// Device tokens of each pool.
    pub tokens: u64,
    /// Messages, about.
    pub messages: u64,
    /// The most between two of them, in milliseconds.
    pub gap: u64,
    /// Unsettled deliveries of a queue.
    pub prefetch: u16,
    /// How long the monitor waits for a restart in place, in milliseconds.
    pub restart_grace: u64,
    /// Items in lanes.
    pub held_max: usize,
    /// How APNs feels.
    pub mood: Mood,
    /// Of a hundred messages, how many are published again though they were stored, and how many have their confirmation lost.
    pub repeats: u64,
    /// Every fault is orderly: no copy may be written.
    pub orderly: bool,
    /// What happens, in order of time.
    pub faults: Vec<(u64, Fault)>,
}

impl Script {
    /// Draws the script of a seed.
    pub fn draw(seed: u64) -> Self {
        let random = Random::stream(seed, 1);
        let orderly = random.percent(20);
        let members = random.within(2, 4) as usize;
        let queues = [random.within(1, 4) as u16, random.within(1, 2) as u16];
        let mood = if orderly || random.percent(50) { Mood::Calm } else { Mood::Stormy };
        let mut script = Self {
            seed,
            members,
            shards: random.within(1, 2) as usize,
            queues,
            tokens: random.within(2, 10),
            messages: random.within(16, 80),
            gap: random.within(20, 160),
            prefetch: random.within(2, 30) as u16,
            restart_grace: random.within(30, 500),
            held_max: random.within(4, 200) as usize,
            mood,
            repeats: if orderly { 0 } else { random.below(8) },
            orderly,
            faults: Vec::new(),
        };
        let end = script.messages * script.gap / 2 + 3_000;
        for _ in 0..random.within(1, 7) {
            let at = random.within(300, end);
            let fault = if orderly { script.orderly_fault(&random) } else { script.fault(&random) };
            script.faults.push((at, fault));
            if let Fault::CoordinatorAway { millis } = fault
                && random.percent(80)
            {
                // Its assignment is in its state folder alone then.
                let (queue, polls) = (script.queue(&random), random.below(30) as u32);
                let back = Some(random.within(5, 900));
                let killed = Fault::KillOwner { queue, polls, back, lock: random.percent(85) };
                script.faults.push((at + random.below(millis), killed));
            }
            if let Fault::KillOwner { queue, lock, .. } = fault {
                // The second crash, before what the first left behind is through.
                let (polls, back) = (random.below(30) as u32, Some(random.within(5, 900)));
                let again = Fault::KillOwner { queue, polls, back, lock };
                script.faults.push((at + random.within(20, 2_500), again));
            }
        }
        script.faults.sort_by_key(|(at, _)| *at);
        script
    }

    fn queue(&self, random: &Random) -> usize {
        random.below(u64::from(self.queues[0] + self.queues[1])) as usize
    }

    fn orderly_fault(&self, random: &Random) -> Fault {
        let member = random.below(self.members as u64) as usize;
        let millis = random.within(50, 4_000);
        match random.below(13) {
            10 | 11 => Fault::Succeed { member },
            12 => Fault::Quarantine { member, millis },
            0 | 1 => Fault::Restart { member, drain: random.percent(50), back: random.within(5, 2_000) },
            2 => Fault::Drain { member, millis },
            3 => Fault::Pause { queue: self.queue(random), millis },
            4..=6 => Fault::Move { queue: self.queue(random), to: member },
            7 => Fault::Rebalance,
            8 => Fault::Join,
            _ => Fault::Depose,
        }
    }

    fn fault(&self, random: &Random) -> Fault {
        let member = random.below(self.members as u64) as usize;
        let queue = self.queue(random);
        let polls = random.below(40) as u32;
        let lock = random.percent(70);
        let back = Some(random.within(5, 1_500)).filter(|_| random.percent(60));
        let millis = random.within(100, 9_000);
        match random.below(49) {
            0..=4 => Fault::Kill { member, polls, back, lock },
            5..=7 => Fault::KillOwner { queue, polls, back, lock },
            8..=11 => Fault::Freeze { member, millis, at_flush: random.percent(60) },
            12 => Fault::Vanish { member, back: random.within(5_000, 9_000) },
            13 | 14 => Fault::ResetBroker { member },
            15..=17 => Fault::CutBroker { member, millis, told: true },
            18 => Fault::CutBroker { member, millis, told: false },
            19 | 20 => Fault::CutQueue { queue, seen: random.percent(50) },
            21 => Fault::CutCoordinator { member, millis },
            22 => Fault::CutLedger { member, millis },
            23 | 24 => Fault::CutApns { member, millis },
            25 => Fault::BrokerAway { millis },
            26 => Fault::LedgerAway { millis: if random.percent(20) { 12_000 } else { millis } },
            27 => Fault::LedgerSlow { by: random.within(20, 400), millis },
            28..=30 => Fault::LateCommits { by: random.within(100, 2_500), millis },
            31 => Fault::LostAnswers { calls: random.within(1, 4) },
            32 => Fault::CoordinatorAway { millis: random.within(500, 20_000) },
            33 => Fault::LateDeliveries { by: random.within(20, 500), millis },
            34 if random.percent(30) => Fault::RefuseCredential { pool: 1, millis },
            35 | 36 => Fault::Twin { member, millis },
            37..=40 => Fault::CutBroker { member, millis, told: true },
            46 | 47 => Fault::Skew { member, ahead: random.below(7_200_000) as i64 - 3_600_000 },
            _ => self.orderly_fault(random),
        }
    }
}
