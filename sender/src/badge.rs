//! The badge: absolute on the wire to APNs, kept as a count by the ledger. Its number is put into the payload as late as
//! possible, when the notification is written.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use hashbrown::HashMap;
use serde_json::Value;
use skein_core::{Badge, Fingerprint};

/// How many devices' counts are kept in memory beyond those in use, a pool and shard.
pub const COUNTS_MAX: usize = 65_536;

/// A device's count, shared by its notifications: the ledger's plus what is not yet durable. No other sender changes it while
/// this one owns the device's queue.
#[derive(Debug, Clone, Default)]
pub struct Count(Option<Rc<Cell<u32>>>);

impl Count {
    /// Whether it is known.
    pub const fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// The number to show for a notification that is about to be written. `None` if it would have to be added to a count that is
    /// not known: then the badge is left as it is.
    pub fn shown(&self, badge: Badge) -> Option<u32> {
        match (&self.0, badge) {
            (Some(count), _) => Some(badge.applied_to(count.get())),
            (None, Badge::Set(number)) => Some(number),
            (None, Badge::Add(_)) => None,
        }
    }

    /// A notification's final fact stands: its change counts.
    pub fn applied(&self, badge: Badge) {
        if let Some(count) = &self.0 {
            count.set(badge.applied_to(count.get()));
        }
    }
}

/// The counts of devices whose badge this shard changes.
#[derive(Debug, Default)]
pub struct Counts {
    of: HashMap<Fingerprint, Rc<Cell<u32>>>,
}

impl Counts {
    /// A device's count, if it is known.
    pub fn get(&self, device: &Fingerprint) -> Count {
        Count(self.of.get(device).cloned())
    }

    /// A count from the ledger; what is known already is newer.
    pub fn loaded(&mut self, device: Fingerprint, count: u32) -> Count {
        if self.of.len() > COUNTS_MAX {
            self.forget_unused();
        }
        Count(Some(Rc::clone(self.of.entry(device).or_insert_with(|| Rc::new(Cell::new(count))))))
    }

    /// Forgets the counts that no notification holds: there are too many, or their devices may have had another owner since.
    pub fn forget_unused(&mut self) {
        self.of.retain(|_, count| Rc::strong_count(count) > 1);
    }
}

/// The payload with its badge. A payload without `aps` gets one. `None` if it is not a JSON object.
pub fn with_badge(payload: &Bytes, number: u32) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(payload).ok()?;
    let aps = value.as_object_mut()?.entry("aps").or_insert_with(|| Value::Object(serde_json::Map::new()));
    aps.as_object_mut()?.insert("badge".into(), number.into());
    serde_json::to_vec(&value).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_inserted_or_replaced() {
        let with = |json: &'static str, n| with_badge(&Bytes::from_static(json.as_bytes()), n);
        assert_eq!(&*with("{\"aps\":{\"badge\":1}}", 7).unwrap(), b"{\"aps\":{\"badge\":7}}");
        assert_eq!(&*with("{\"a\":1}", 7).unwrap(), b"{\"a\":1,\"aps\":{\"badge\":7}}");
        assert!(with("[]", 7).is_none());
    }

    #[test]
    fn counts_add_up_and_the_ledger_s_older_word_does_not_undo_them() {
        let (mut counts, device) = (Counts::default(), Fingerprint([1; 16]));
        let count = counts.loaded(device, 3);
        assert_eq!(count.shown(Badge::Add(1)), Some(4));
        count.applied(Badge::Add(1));
        assert_eq!(counts.loaded(device, 3).shown(Badge::Add(1)), Some(5));
        assert_eq!(counts.get(&device).shown(Badge::Set(0)), Some(0));
        assert_eq!(Count::default().shown(Badge::Add(1)), None, "an unknown count is not guessed");
    }

    #[test]
    fn p8_only_counts_in_use_are_kept() {
        let mut counts = Counts::default();
        let kept = counts.loaded(Fingerprint([1; 16]), 1);
        drop(counts.loaded(Fingerprint([2; 16]), 1));
        counts.forget_unused();
        assert!(counts.get(&Fingerprint([1; 16])).is_known() && kept.is_known());
        assert!(!counts.get(&Fingerprint([2; 16])).is_known());
    }
}
