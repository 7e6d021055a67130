//! What each device finally shows: the last push it got, its badge, and how many came.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::Serialize;

use crate::fingerprint::BuildMixed;
use crate::log::lock;

/// The most devices remembered; further ones are served, but not shown.
pub const DEVICES_MAX: usize = 1 << 21;

/// One delivery to a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) token: u64,
    pub(crate) id: u128,
    pub(crate) collapse: Option<u64>,
    pub(crate) badge: Option<u64>,
    pub(crate) sequence: Option<u64>,
}

/// What a device shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The `apns-id` of the last push delivered, as a number.
    #[serde(serialize_with = "id_as_text")]
    pub id: u128,
    /// The fingerprint of its collapse id.
    pub collapse: Option<u64>,
    /// The badge: that of the last push that set one.
    pub badge: Option<u64>,
    /// Its `skein_seq`.
    pub sequence: Option<u64>,
    /// Pushes delivered in all.
    pub delivered: u64,
    /// Deliveries whose `skein_seq` was lower than that of an earlier one.
    pub out_of_order: u64,
}

fn id_as_text<S: serde::Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::log::id_text(*id))
}

/// Every device that got something, by token fingerprint.
#[derive(Debug, Default)]
pub(crate) struct Devices(Mutex<HashMap<u64, Shown, BuildMixed>>);

impl Devices {
    pub(crate) fn deliver(&self, deliveries: impl Iterator<Item = Delivery>) {
        let mut devices = lock(&self.0);
        for delivery in deliveries {
            if devices.len() >= DEVICES_MAX && !devices.contains_key(&delivery.token) {
                continue;
            }
            let shown = devices.entry(delivery.token).or_default();
            shown.out_of_order +=
                u64::from(delivery.sequence.is_some() && delivery.sequence < shown.sequence);
            shown.id = delivery.id;
            shown.collapse = delivery.collapse;
            shown.badge = delivery.badge.or(shown.badge);
            shown.sequence = delivery.sequence.or(shown.sequence);
            shown.delivered += 1;
        }
    }

    pub(crate) fn shown(&self, token: u64) -> Option<Shown> {
        lock(&self.0).get(&token).copied()
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_shows_the_last_push_and_the_last_badge() {
        let devices = Devices::default();
        let delivery = |id, badge, sequence| Delivery { token: 7, id, collapse: None, badge, sequence };
        devices.deliver([delivery(1, Some(3), Some(1)), delivery(2, None, Some(2))].into_iter());
        let shown = devices.shown(7).expect("known");
        assert_eq!(
            (shown.id, shown.badge, shown.sequence, shown.delivered, shown.out_of_order),
            (2, Some(3), Some(2), 2, 0)
        );
        devices.deliver([delivery(1, None, Some(1))].into_iter());
        assert_eq!(devices.shown(7).expect("known").out_of_order, 1);
        assert_eq!(devices.shown(8), None);
        devices.clear();
        assert_eq!(devices.shown(7), None);
    }
}
