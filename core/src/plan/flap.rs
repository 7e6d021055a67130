//! Flap back-off: a member that is lost too often gets no queues for a while, longer each time.

use super::memory::Remembered;
use crate::fleet::Policy;
use crate::lease::BootMillis;

/// How many losses of one member are remembered at most.
const LOSSES_REMEMBERED: usize = 32;

impl Remembered {
    /// It has been lost.
    pub(super) fn note_loss(&mut self, now: BootMillis) {
        self.losses.push(now);
        if self.losses.len() > LOSSES_REMEMBERED {
            self.losses.remove(0);
        }
    }

    /// It is back after a loss: if it flaps, it stays out, twice as long as the last time.
    pub(super) fn note_return(&mut self, policy: &Policy, now: BootMillis) {
        self.losses.retain(|at| now.since(*at) < policy.flap_window);
        if self.losses.len() > policy.flap_losses_max as usize || self.flap_level > 0 {
            self.flap_level = self.flap_level.saturating_add(1);
            self.out_until = now.plus(policy.flap_backoff(self.flap_level));
        }
    }

    /// A quiet window after its last loss and its last back-off, all is forgiven.
    pub(super) fn forgive(&mut self, policy: &Policy, now: BootMillis) {
        if self.flap_level > 0 {
            let last = self.losses.last().copied().unwrap_or_default().max(self.out_until);
            if now.0 >= last.plus(policy.flap_window).0 {
                self.flap_level = 0;
                self.losses.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_further_loss_doubles_and_quiet_forgives() {
        let policy = Policy::default();
        let mut member = Remembered::default();
        let mut now = BootMillis(1_000_000);
        let mut outs = Vec::new();
        for _ in 0..11 {
            now = now.plus(Duration::from_secs(20)).max(member.out_until.plus(Duration::from_secs(20)));
            member.forgive(&policy, now);
            member.note_loss(now);
            member.note_return(&policy, now);
            outs.push(member.out_until.since(now).as_secs());
        }
        assert_eq!(outs, [0, 0, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        now = member.out_until.plus(policy.flap_window);
        member.forgive(&policy, now);
        member.note_loss(now);
        member.note_return(&policy, now);
        assert!(member.out_until < now, "forgiven: one loss is no flapping");
    }

    #[test]
    fn rare_losses_are_no_flapping() {
        let policy = Policy::default();
        let mut member = Remembered::default();
        for hour in 1..50 {
            let now = BootMillis(hour * 3_600_000);
            member.forgive(&policy, now);
            member.note_loss(now);
            member.note_return(&policy, now);
            assert_eq!(member.out_until, BootMillis(0));
        }
    }
}
