//! An attachment to one queue, as its items see it: whether it still stands, what it has open, what may be settled.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use hashbrown::HashMap;
use skein_core::QueueName;
use skein_core::lease::Lease;
use skein_core::seam::DeadLetter;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::window::DeliveryRef;

/// A dead letter, and the deliveries that are done with when it is stored.
pub type Letter = (DeadLetter, SmallVec<[DeliveryRef; 1]>);

/// One attachment. When it is cut, its deliveries are void: what has not begun is dropped, what has begun is recorded, and all
/// comes back on the next attachment.
pub struct Attachment {
    /// The queue.
    pub queue: QueueName,
    /// The right to write what came through it.
    pub lease: Arc<Lease>,
    void: Cell<bool>,
    hurries: Cell<bool>,
    /// What came through it is known: what it returned first has been read, since something new has come after it.
    caught_up: Cell<bool>,
    doubt: Cell<bool>,
    begun: Cell<usize>,
    open: RefCell<HashMap<u64, u32>>,
    settled: RefCell<Vec<u64>>,
    letters: RefCell<Vec<Letter>>,
    changed: Notify,
}

impl Attachment {
    /// A new one.
    pub fn new(queue: QueueName, lease: Arc<Lease>) -> Self {
        Self {
            queue,
            lease,
            void: Cell::new(false),
            hurries: Cell::new(false),
            caught_up: Cell::new(false),
            doubt: Cell::new(false),
            begun: Cell::new(0),
            open: RefCell::default(),
            settled: RefCell::default(),
            letters: RefCell::default(),
            changed: Notify::new(),
        }
    }

    /// It is to be left: nothing is worth waiting for any more, since what has not begun comes back.
    pub fn hurry(&self) {
        self.hurries.set(true);
    }

    /// Whether it is to be left.
    pub fn hurries(&self) -> bool {
        self.hurries.get()
    }

    /// A delivery came with so many items of this owner's; none settles it at once.
    pub fn opened(&self, tag: u64, items: usize) {
        if items == 0 {
            self.settled.borrow_mut().push(tag);
            self.changed.notify_one();
        } else {
            self.open.borrow_mut().insert(tag, u32::try_from(items).unwrap_or(u32::MAX));
        }
    }

    /// One item of a delivery is done with; the last one settles it.
    pub fn done(&self, tag: u64) {
        let mut open = self.open.borrow_mut();
        if let Some(left) = open.get_mut(&tag) {
            *left -= 1;
            if *left == 0 {
                open.remove(&tag);
                self.settled.borrow_mut().push(tag);
                self.changed.notify_one();
            }
        }
    }

    /// Moves what may be settled into `tags`.
    pub fn take_settled(&self, tags: &mut Vec<u64>) {
        tags.append(&mut self.settled.borrow_mut());
    }

    /// A dead letter to store before its deliveries are done with.
    pub fn bury_later(&self, letter: DeadLetter, deliveries: SmallVec<[DeliveryRef; 1]>) {
        self.letters.borrow_mut().push((letter, deliveries));
        self.changed.notify_one();
    }

    /// The dead letters to store now.
    pub fn take_letters(&self) -> Vec<Letter> {
        std::mem::take(&mut *self.letters.borrow_mut())
    }

    /// Whether nothing is left to settle or to bury.
    pub fn is_settled(&self) -> bool {
        self.settled.borrow().is_empty() && self.letters.borrow().is_empty()
    }

    /// An item of it has begun: it is with the transport, or its verdict is not yet durable.
    pub fn began(&self) {
        self.begun.set(self.begun.get() + 1);
    }

    /// An item that had begun is durable, held or put back.
    pub fn ended(&self) {
        self.begun.set(self.begun.get().saturating_sub(1));
        if self.begun.get() == 0 {
            self.changed.notify_one();
        }
    }

    /// Whether nothing of it has begun.
    pub fn is_quiet(&self) -> bool {
        self.begun.get() == 0
    }

    /// Something that nobody had before has come: whatever came back is read.
    pub fn caught_up(&self) {
        self.caught_up.set(true);
    }

    /// An item that may have been written goes back without a verdict.
    pub fn doubt(&self) {
        self.doubt.set(true);
    }

    /// Whether nothing that anybody wrote from the queue is in doubt, once it is quiet: `before` says whether that was so when it
    /// was attached to.
    pub fn is_clean(&self, before: bool) -> bool {
        !self.doubt.get() && (before || self.caught_up.get())
    }

    /// The connection is gone.
    pub fn void(&self) {
        self.void.set(true);
        self.lease.end();
    }

    /// Whether its deliveries are void.
    pub fn is_void(&self) -> bool {
        self.void.get()
    }

    /// Waits until something may be settled, or it has become quiet. Cancellation safe. May wake early.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
