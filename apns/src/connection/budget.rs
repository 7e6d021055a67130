//! How many refusals a connection may see before it is replaced: Apple ends connections that bring too many errors, sooner
//! than it ends those that bring few, and its end is less orderly than ours.

/// Accepted pushes that make up for one refusal.
const ACCEPTED_PER_REFUSAL: u32 = 3;

/// Refusals that nothing has made up for yet, in parts of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    parts: u32,
}

impl Budget {
    pub(super) fn accepted(&mut self) {
        self.parts = self.parts.saturating_sub(1);
    }

    pub(super) fn refused(&mut self) {
        self.parts = self.parts.saturating_add(ACCEPTED_PER_REFUSAL);
    }

    /// After `refusals_max` in a row, or when more than one in four goes on for long.
    pub(super) fn is_spent(self, refusals_max: u32) -> bool {
        self.parts >= refusals_max.saturating_mul(ACCEPTED_PER_REFUSAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = 100;

    /// Replies after which it is spent, when one in `every` is a refusal; `None` if it never is.
    fn spent_after(every: u32) -> Option<u32> {
        let mut budget = Budget::default();
        (1..=100_000).find(|reply| {
            if reply % every == 0 {
                budget.refused()
            } else {
                budget.accepted()
            }
            budget.is_spent(MAX)
        })
    }

    #[test]
    fn refusals_in_a_row_and_a_lasting_share_of_them_spend_it() {
        assert_eq!(spent_after(1), Some(MAX));
        assert_eq!(spent_after(2), Some(300), "every second one");
        assert_eq!(spent_after(3), Some(894));
        assert_eq!(spent_after(4), None, "one in four is made up for");
        assert_eq!(spent_after(100), None);
    }

    #[test]
    fn what_was_made_up_for_is_forgotten() {
        let mut budget = Budget::default();
        (1..MAX).for_each(|_| budget.refused());
        assert!(!budget.is_spent(MAX));
        (0..ACCEPTED_PER_REFUSAL * MAX).for_each(|_| budget.accepted());
        assert_eq!(budget, Budget::default());
    }

    #[test]
    fn none_allowed_is_spent_at_once() {
        assert!(Budget::default().is_spent(0));
        let mut most = Budget { parts: u32::MAX };
        most.refused();
        assert!(most.is_spent(u32::MAX));
    }
}
