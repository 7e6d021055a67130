//! How long each step of a start took, told in one log line when the first notification is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The steps between a process's begin and its first write, in the order that a restart in place takes them. Some run beside one
/// another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// The lock of the member is held.
    Locked,
    /// What queues, exchanges and tables are needed is there.
    Declared,
    /// A queue is assigned to this sender.
    Assigned,
    /// A queue is claimed, where an earlier life owned it.
    Claimed,
    /// A queue is attached to.
    Attached,
    /// Something came from a queue.
    Delivered,
    /// The grace is over, and what must be known before the first write is loaded.
    Loaded,
    /// What came back is looked up.
    LookedUp,
    /// APNs takes requests.
    Connected,
    /// The first notification goes to APNs.
    Written,
}

impl Milestone {
    const COUNT: usize = Self::Written as usize + 1;
}

/// The start of one sender. Each step counts once: its first time.
#[derive(Debug)]
pub struct Startup {
    began: Instant,
    /// From the process's begin to `began`.
    before_us: AtomicU64,
    /// Microseconds from `began`, and one more; 0 as long as the step is not reached.
    reached: [AtomicU64; Milestone::COUNT],
}

impl Default for Startup {
    fn default() -> Self {
        Self { began: Instant::now(), before_us: AtomicU64::new(0), reached: Default::default() }
    }
}

impl Startup {
    /// The process began then, and held its lock then.
    pub fn since(&self, process: Instant, locked: Option<Instant>) {
        let us = |from: Instant| micros(self.began.saturating_duration_since(from));
        self.before_us.store(us(process), Ordering::Relaxed);
        if let Some(locked) = locked {
            // Before this was made: told as what it is from the process's begin.
            let after = us(process).saturating_sub(us(locked));
            self.reached[Milestone::Locked as usize].store(after + 1, Ordering::Relaxed);
        }
    }

    /// A step is reached. The last one tells of all.
    pub fn reached(&self, step: Milestone) {
        let place = &self.reached[step as usize];
        if place.load(Ordering::Relaxed) != 0 {
            return;
        }
        let before = self.before_us.load(Ordering::Relaxed);
        let now = before + micros(self.began.elapsed()) + 1;
        let first = place.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first && step == Milestone::Written {
            self.tell();
        }
    }

    /// Milliseconds from the process's begin; `None` for a step that was not needed.
    fn ms(&self, step: Milestone) -> Option<u64> {
        self.reached[step as usize].load(Ordering::Relaxed).checked_sub(1).map(|us| us / 1000)
    }

    fn tell(&self) {
        tracing::info!(
            locked_ms = self.ms(Milestone::Locked),
            declared_ms = self.ms(Milestone::Declared),
            assigned_ms = self.ms(Milestone::Assigned),
            claimed_ms = self.ms(Milestone::Claimed),
            attached_ms = self.ms(Milestone::Attached),
            delivered_ms = self.ms(Milestone::Delivered),
            loaded_ms = self.ms(Milestone::Loaded),
            looked_up_ms = self.ms(Milestone::LookedUp),
            connected_ms = self.ms(Milestone::Connected),
            written_ms = self.ms(Milestone::Written),
            "started: the first notification is written"
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_once() {
        let startup = Startup::default();
        let process = startup.began.checked_sub(Duration::from_millis(70)).unwrap();
        let locked = process + Duration::from_millis(20);
        startup.since(process, Some(locked));
        assert_eq!(startup.ms(Milestone::Locked), Some(20));
        assert_eq!(startup.ms(Milestone::Attached), None);
        startup.reached(Milestone::Attached);
        let first = startup.reached[Milestone::Attached as usize].load(Ordering::Relaxed);
        assert!(first > 70_000, "from the process's begin: {first}");
        startup.reached(Milestone::Attached);
        assert_eq!(startup.reached[Milestone::Attached as usize].load(Ordering::Relaxed), first);
    }
}
