//! Permits: an item owns one, with its bytes, before it enters a lane. Back-pressure is the absence of a permit.

use std::cell::Cell;

use tokio::sync::Notify;

/// The permits of one pool on one shard.
#[derive(Debug)]
pub struct Permits {
    items: Cell<usize>,
    bytes: Cell<isize>,
    grown: Notify,
}

/// What one item takes, in bytes. Given back as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(pub u32);

impl Permits {
    /// For so many items and bytes.
    pub fn new(items: usize, bytes: usize) -> Self {
        let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
        Self { items: Cell::new(items), bytes: Cell::new(bytes), grown: Notify::new() }
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
        self.items.get()
    }

    /// How many bytes may still come.
    pub fn free_bytes(&self) -> isize {
        self.bytes.get()
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
    }
}
