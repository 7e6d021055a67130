//! The device tokens known gone, in bounded memory: when not all of them fit, each notification's token is looked up in the ledger instead.

use hashbrown::HashMap;

/// How many tokens known gone are kept in memory, a pool and shard: at most 36 MB.
pub const GONE_MAX: usize = 1 << 20;

/// Tokens known gone, by their short fingerprints, and since which insertion.
#[derive(Debug)]
pub struct Gone {
    since: HashMap<u64, u64>,
    most: usize,
    /// How many tokens were found gone.
    stamp: u64,
    /// Not all of them are in here.
    is_partial: bool,
}

impl Default for Gone {
    fn default() -> Self {
        Self::of_at_most(GONE_MAX)
    }
}

impl Gone {
    /// With room for so many, at least 1.
    pub fn of_at_most(most: usize) -> Self {
        Self { since: HashMap::new(), most: most.max(1), stamp: 0, is_partial: false }
    }

    /// Whether a token is known gone.
    pub fn contains(&self, short: u64) -> bool {
        self.since.contains_key(&short)
    }

    /// Whether not all that are known gone are in here.
    pub const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Whether a token has to be looked up: it is known gone, or could be one of those that are not in here.
    pub fn is_asked(&self, short: u64) -> bool {
        self.is_partial || self.contains(short)
    }

    /// As of now: what is looked up from here on knows all that was found before.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// APNs has declared a token gone.
    pub fn found(&mut self, short: u64) {
        self.stamp += 1;
        self.insert(short, self.stamp);
    }

    /// The ledger knows them gone.
    pub fn loaded(&mut self, all: impl IntoIterator<Item = u64>) {
        for short in all {
            // One that was found just now may be waited for in its lane; it stays, and these are looked up.
            if self.since.len() < self.most || self.contains(short) {
                self.insert(short, self.stamp);
            } else {
                self.miss_some();
            }
        }
    }

    /// A look-up that was begun at `stamp` says whether it is gone. What was found gone since is newer.
    pub fn looked_up(&mut self, short: u64, is_gone: bool, stamp: u64) {
        match self.since.get(&short) {
            None if is_gone => self.insert(short, stamp),
            Some(at) if !is_gone && *at <= stamp => {
                self.since.remove(&short);
            }
            _ => {}
        }
    }

    /// In a full one it takes the place of another, which is looked up from then on.
    fn insert(&mut self, short: u64, stamp: u64) {
        if self.since.len() >= self.most && !self.contains(short) {
            self.miss_some();
            if let Some(other) = self.since.keys().next().copied() {
                self.since.remove(&other);
            }
        }
        self.since.insert(short, stamp);
    }

    fn miss_some(&mut self) {
        if !std::mem::replace(&mut self.is_partial, true) {
            tracing::warn!(
                kept = self.most,
                "more tokens are known gone than are kept in memory: each token is looked up in the ledger from now on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_a_token_is_gone_until_a_later_look_up_says_otherwise() {
        let mut gone = Gone::default();
        gone.loaded([1, 2]);
        let before = gone.stamp();
        gone.found(3);
        assert!([1, 2, 3].into_iter().all(|short| gone.contains(short) && gone.is_asked(short)));
        assert!(!gone.is_asked(4), "what is not known gone costs no look-up");
        gone.looked_up(3, false, before);
        assert!(gone.contains(3), "it was found after that look-up had begun");
        gone.looked_up(3, false, gone.stamp());
        gone.looked_up(1, false, before);
        gone.looked_up(5, true, before);
        assert_eq!([1, 3, 5].map(|short| gone.contains(short)), [false, false, true]);
    }

    #[test]
    fn p4_p8_when_not_all_fit_every_token_is_looked_up() {
        let mut gone = Gone::of_at_most(3);
        gone.loaded([1, 2, 3]);
        assert!(!gone.is_asked(4), "all are in it");
        gone.loaded([1, 2, 3]);
        assert!(!gone.is_asked(4), "the same once more are no more");
        gone.loaded([4]);
        assert!(gone.is_asked(4) && gone.is_asked(5) && !gone.contains(4));
        gone.found(6);
        gone.looked_up(7, true, gone.stamp());
        assert!(gone.contains(7), "what was found last is in it, for whoever waits in the lane");
        assert_eq!(gone.since.len(), 3, "P8");
    }
}
