//! The id window: an id that is in a lane or not yet durable is never entered twice. A copy hangs on the original and is
//! settled with it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use skein_core::NotificationKey;
use skein_core::lease::BootMillis;
use smallvec::SmallVec;

use crate::attachment::Attachment;

/// A delivery that waits for something to become durable.
#[derive(Clone)]
pub struct DeliveryRef {
    /// Its attachment.
    pub attachment: Rc<Attachment>,
    /// Its tag.
    pub tag: u64,
}

/// What became of an id at the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is new here: enter it.
    First,
    /// It is here: the delivery hangs on the original.
    Hangs,
    /// It became final a short while ago through a marked copy: settle it.
    WasFinal,
}

/// The id window of one pool on one shard.
#[derive(Default)]
pub struct Window {
    open: HashMap<NotificationKey, SmallVec<[DeliveryRef; 1]>>,
    remembered: HashSet<NotificationKey>,
    order: VecDeque<(BootMillis, NotificationKey)>,
}

impl Window {
    /// Enters an id with its delivery, unless it is here already.
    pub fn enter(&mut self, key: NotificationKey, delivery: DeliveryRef) -> Entry {
        if self.remembered.contains(&key) {
            return Entry::WasFinal;
        }
        match self.open.entry(key) {
            hashbrown::hash_map::Entry::Occupied(mut original) => {
                original.get_mut().push(delivery);
                Entry::Hangs
            }
            hashbrown::hash_map::Entry::Vacant(place) => {
                place.insert(SmallVec::from_buf([delivery]));
                Entry::First
            }
        }
    }

    /// The id is durable, or void: what waited for it.
    pub fn leave(&mut self, key: &NotificationKey) -> SmallVec<[DeliveryRef; 1]> {
        self.open.remove(key).unwrap_or_default()
    }

    /// Remembers an id that became final through a marked copy; the oldest beyond `most` are forgotten.
    pub fn remember(&mut self, key: NotificationKey, now: BootMillis, most: usize) {
        if self.remembered.insert(key) {
            self.order.push_back((now, key));
        }
        if self.order.len() > most {
            self.forget_oldest();
        }
    }

    /// Forgets ids remembered for longer than `memory`.
    pub fn forget(&mut self, now: BootMillis, memory: Duration) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) > memory) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.remembered.remove(&key);
        }
    }

    /// How many ids are in it.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
