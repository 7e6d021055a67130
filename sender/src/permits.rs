//! Permits: one item, one permit, owned before the item enters a lane. Back-pressure is the absence of a permit.

use std::cell::Cell;

use tokio::sync::Notify;

/// The permits of one pool on one shard.
#[derive(Debug)]
pub struct Permits {
    free: Cell<usize>,
    grown: Notify,
}

impl Permits {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self { free: Cell::new(count), grown: Notify::new() }
    }

    /// Takes one, if one is free.
    pub fn take(&self) -> bool {
        let free = self.free.get();
        self.free.set(free.saturating_sub(1));
        free > 0
    }

    /// Gives some back.
    pub fn give(&self, count: usize) {
        if count > 0 {
            self.free.set(self.free.get() + count);
            self.grown.notify_waiters();
        }
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.free.get()
    }

    /// Waits until one is free. Cancellation safe; takes none.
    pub async fn available(&self) {
        loop {
            let grown = self.grown.notified();
            if self.free.get() > 0 {
                return;
            }
            grown.await;
        }
    }
}
