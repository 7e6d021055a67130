//! Permits: an item owns one, with its bytes, before it enters a lane. Back-pressure is the absence of a permit.

use std::cell::Cell;

use tokio::sync::Notify;

/// The permits of one pool on one shard.
#[derive(Debug)]
pub struct Permits {
    /// Below zero after the bound was lowered, until enough is given back.
    items: Cell<isize>,
    bytes: Cell<isize>,
    bounds: Cell<(isize, isize)>,
    grown: Notify,
}

/// What one item takes, in bytes. Given back as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(pub u32);

impl Permits {
    /// For so many items and bytes.
    pub fn new(items: usize, bytes: usize) -> Self {
        let (items, bytes) = (whole(items), whole(bytes));
        Self {
            items: Cell::new(items),
            bytes: Cell::new(bytes),
            bounds: Cell::new((items, bytes)),
            grown: Notify::new(),
        }
    }

    /// Changes the bounds; what is out stays out until it is given back.
    pub fn resize(&self, items: usize, bytes: usize) {
        let (items, bytes) = (whole(items), whole(bytes));
        let (items_before, bytes_before) = self.bounds.replace((items, bytes));
        self.items.set(self.items.get() + items - items_before);
        self.bytes.set(self.bytes.get() + bytes - bytes_before);
        if self.is_free() {
            self.grown.notify_waiters();
        }
    }

    /// Takes one, if one is free. The last one's bytes may go over the bound.
    pub fn take(&self, cost: Cost) -> bool {
        let free = self.is_free();
        if free {
            self.items.set(self.items.get() - 1);
            self.bytes.set(self.bytes.get() - cost.0 as isize);
        }
        free
    }

    /// Gives them back.
    pub fn give(&self, costs: impl IntoIterator<Item = Cost>) {
        for Cost(bytes) in costs {
            self.items.set(self.items.get() + 1);
            self.bytes.set(self.bytes.get() + bytes as isize);
        }
        if self.is_free() {
            self.grown.notify_waiters();
        }
    }

    /// How many items may still come.
    pub fn free(&self) -> usize {
        usize::try_from(self.items.get()).unwrap_or_default()
    }

    /// How many bytes may still come.
    pub fn free_bytes(&self) -> isize {
        self.bytes.get()
    }

    /// How much of the bounds is out, of items or of bytes, whichever is more: 1 is all of it, more is possible for a while.
    pub fn fullness(&self) -> f64 {
        let (items, bytes) = self.bounds.get();
        let part = |bound: isize, free: isize| (bound - free) as f64 / bound.max(1) as f64;
        part(items, self.items.get()).max(part(bytes, self.bytes.get()))
    }

    fn is_free(&self) -> bool {
        self.items.get() > 0 && self.bytes.get() > 0
    }

    /// Waits until one is free. Cancellation safe; takes none.
    pub async fn available(&self) {
        loop {
            let grown = self.grown.notified();
            if self.is_free() {
                return;
            }
            grown.await;
        }
    }
}

/// Half the range, so that bounds can be changed without an overflow.
fn whole(n: usize) -> isize {
    isize::try_from(n).unwrap_or(isize::MAX).min(isize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p8_items_and_bytes_are_bounded() {
        let permits = Permits::new(3, 100);
        assert!(permits.take(Cost(60)));
        assert!(permits.take(Cost(60)), "the last one may go over");
        assert!(!permits.take(Cost(1)));
        permits.give([Cost(60)]);
        assert!(permits.take(Cost(1)) && permits.take(Cost(1)));
        assert!(!permits.take(Cost(0)), "three items");
        assert_eq!(permits.fullness(), 1.0, "of the items; 62 of 100 bytes");

        permits.resize(1, 100);
        permits.give([Cost(1)]);
        assert!(!permits.take(Cost(0)), "two are out, and one is the bound");
        permits.give([Cost(60), Cost(1)]);
        assert_eq!(permits.free(), 1);
        permits.resize(4, 100);
        assert!(permits.take(Cost(60)) && permits.take(Cost(60)));
        assert_eq!(permits.fullness(), 1.2, "of the bytes");
    }
}
