//! Routing: device token → slot, the same in every language (`producer-lib/vectors/routing.json`), and slot → queue.

use serde::{Deserialize, Serialize};

use crate::token::DeviceToken;

/// How many slots a pool has.
pub const SLOTS: u16 = 1024;

/// The stable hash of a device token, `0..1024`: the routing key of its notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

/// A number is not a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a slot; slots are numbered from 0 to 1023")]
pub struct NotASlot;

impl TryFrom<u16> for Slot {
    type Error = NotASlot;

    fn try_from(number: u16) -> Result<Self, NotASlot> {
        Self::new(number).ok_or(NotASlot)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl Slot {
    /// The slot of a device token: `fmix64(fnv1a64(bytes)) mod 1024`.
    pub fn of(token: &DeviceToken) -> Self {
        Self((token_hash(token) % u64::from(SLOTS)) as u16)
    }

    /// From a number below [`SLOTS`].
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Every slot, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

/// The 64-bit hash behind the slot: FNV-1a over the bytes, finished by MurmurHash3's `fmix64`.
pub fn token_hash(token: &DeviceToken) -> u64 {
    let mut h = token
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3));
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// Which queue of a pool each slot is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotMap {
    queue_of: Vec<u16>,
}

impl SlotMap {
    /// The even map over `queues` queues (1 to [`SLOTS`]): slot `s` lives in queue `s * queues / 1024`.
    ///
    /// # Panics
    /// If `queues` is 0 or over [`SLOTS`]: settings are checked before.
    pub fn even(queues: u16) -> Self {
        assert!((1..=SLOTS).contains(&queues), "a pool has 1 to {SLOTS} queues");
        Self {
            queue_of: (0..u32::from(SLOTS))
                .map(|s| (s * u32::from(queues) / u32::from(SLOTS)) as u16)
                .collect(),
        }
    }

    /// The number of the queue that a slot is bound to.
    pub fn queue(&self, slot: Slot) -> u16 {
        self.queue_of[usize::from(slot.0)]
    }

    /// The slots of one queue, in order.
    pub fn slots(&self, queue: u16) -> impl Iterator<Item = Slot> + '_ {
        Slot::all().filter(move |s| self.queue(*s) == queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        token: String,
        slot: u16,
    }

    #[test]
    fn published_vectors() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../producer-lib/vectors/routing.json")).unwrap();
        assert!(vectors.len() >= 10);
        for v in vectors {
            assert_eq!(Slot::of(&DeviceToken::parse(&v.token).unwrap()).number(), v.slot, "{}", v.token);
        }
    }

    #[test]
    fn even_map_covers_every_slot_evenly() {
        for queues in [1, 7, 8, 16, 100, 1024] {
            let map = SlotMap::even(queues);
            let sizes: Vec<usize> = (0..queues).map(|q| map.slots(q).count()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), usize::from(SLOTS));
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{queues}: {sizes:?}");
        }
    }
}
