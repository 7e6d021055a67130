//! The badge: absolute on the wire to APNs, kept as a count by the ledger. Its number is put into the payload as late as
//! possible, when the notification is written.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;
use serde_json::Value;
use skein_core::{Badge, Fingerprint};

/// How many devices' counts are kept in memory, a pool and shard.
pub const COUNTS_MAX: usize = 65_536;

/// The counts of devices whose badge this shard changes. A count that is here is the ledger's plus what is not yet durable;
/// no other sender changes it while this one owns the device's queue.
#[derive(Debug, Default)]
pub struct Counts {
    of: HashMap<Fingerprint, u32>,
    oldest: VecDeque<Fingerprint>,
}

impl Counts {
    /// Whether a device's count is known.
    pub fn knows(&self, device: &Fingerprint) -> bool {
        self.of.contains_key(device)
    }

    /// A count from the ledger; what is known already is newer.
    pub fn loaded(&mut self, device: Fingerprint, count: u32) {
        if !self.of.contains_key(&device) {
            self.of.insert(device, count);
            self.oldest.push_back(device);
        }
    }

    /// The number to show for a notification that is about to be written.
    pub fn shown(&self, device: &Fingerprint, badge: Badge) -> u32 {
        badge.applied_to(self.of.get(device).copied().unwrap_or(0))
    }

    /// A notification's final fact stands: its change counts.
    pub fn applied(&mut self, device: &Fingerprint, badge: Badge) {
        if let Some(count) = self.of.get_mut(device) {
            *count = badge.applied_to(*count);
        }
    }

    /// Forgets the oldest beyond [`COUNTS_MAX`], but none that is in use.
    pub fn prune(&mut self, in_use: impl Fn(&Fingerprint) -> bool) {
        let mut looks = self.oldest.len();
        while self.of.len() > COUNTS_MAX && looks > 0 {
            looks -= 1;
            let Some(device) = self.oldest.pop_front() else { break };
            if in_use(&device) {
                self.oldest.push_back(device);
            } else {
                self.of.remove(&device);
            }
        }
    }

    /// Forgets everything: the queues may have had another owner since.
    pub fn clear(&mut self) {
        self.of.clear();
        self.oldest.clear();
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
        counts.loaded(device, 3);
        assert_eq!(counts.shown(&device, Badge::Add(1)), 4);
        counts.applied(&device, Badge::Add(1));
        counts.loaded(device, 3);
        assert_eq!(counts.shown(&device, Badge::Add(1)), 5);
        assert_eq!(counts.shown(&device, Badge::Set(0)), 0);
    }
}
