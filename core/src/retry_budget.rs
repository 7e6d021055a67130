//! The retry budget of a pool: retries are a share of its traffic, so that a bad hour of APNs is not made worse by us.

use crate::lease::BootMillis;

/// Growing credit for retries: each first write earns a share of one, time earns a floor, each retry costs one.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    share: f64,
    floor_per_second: f64,
    credit: f64,
    at: Option<BootMillis>,
}

/// Credit saved up at most, in retries: what one lost connection leaves in doubt, at Apple's usual limit of streams.
pub const CREDIT_MAX: f64 = 1_000.0;

impl RetryBudget {
    /// A budget of `share` retries a first write (0.1 is ten per cent), and `floor_per_second` retries whatever the traffic.
    /// It begins with [`CREDIT_MAX`].
    pub fn new(share: f64, floor_per_second: u32) -> Self {
        Self { share, floor_per_second: f64::from(floor_per_second), credit: CREDIT_MAX, at: None }
    }

    /// Another share and floor from now on; the credit stays.
    pub fn set(&mut self, share: f64, floor_per_second: u32) {
        (self.share, self.floor_per_second) = (share, f64::from(floor_per_second));
    }

    /// A notification is written for the first time.
    pub fn earn(&mut self) {
        self.credit = (self.credit + self.share).min(CREDIT_MAX);
    }

    /// Takes one retry, if there is credit for it.
    pub fn take(&mut self, now: BootMillis) -> bool {
        let elapsed = self.at.map_or(0.0, |at| now.since(at).as_secs_f64());
        self.at = Some(now);
        self.credit = (self.credit + elapsed * self.floor_per_second).min(CREDIT_MAX);
        // Tenths do not add up to a whole exactly.
        let may = self.credit > 1.0 - 1e-6;
        if may {
            self.credit -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_traffic() {
        let mut budget = RetryBudget::new(0.1, 1);
        let at = |s: u64| BootMillis(s * 1000);
        let first = (0..2000).filter(|_| budget.take(at(1))).count();
        assert_eq!(first, 1000, "one connection's worth");
        (0..1000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.take(at(1))).count(), 100);
        assert_eq!((0..1000).filter(|_| budget.take(at(6))).count(), 5, "the floor goes on without traffic");
    }
}
