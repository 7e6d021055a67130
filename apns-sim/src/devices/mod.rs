//! Every device behind a token: what it shows, and what waits for it.

mod device;

use std::collections::HashMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::fingerprint::{BuildMixed, draw, fingerprint_of_hex};
use crate::log::lock;
use device::Device;

/// The most devices remembered; further ones are served, but not shown.
pub const DEVICES_MAX: usize = 1 << 21;
/// The most notifications that one device shows; the oldest go.
pub const NOTICES_MAX: usize = 4;
/// The longest that APNs keeps a notification for a device that is offline, in milliseconds: 30 days.
pub const STORED_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// A push that another is to overtake is shown at the latest so many milliseconds after it came.
pub const REORDER_MS_MAX: u64 = 1000;

/// How APNs and devices treat what was accepted; a provider never learns of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceFaults {
    /// Share of tokens whose device is offline, by seed and token.
    pub offline: f64,
    /// Tokens, in hex, whose device is offline.
    pub offline_tokens: Vec<String>,
    /// How long a device takes to acknowledge a push, in milliseconds. Meanwhile one more waits; those that come on top
    /// overwrite it.
    pub ack_delay_ms: u64,
    /// Share of pushes that lose against the one that waits already, although they are newer.
    pub race: f64,
    /// Share of pushes that the next one for their token overtakes.
    pub reorder: f64,
}

impl DeviceFaults {
    /// What is no share, by its key.
    pub(crate) fn shares(&self) -> [(&'static str, f64); 3] {
        [("device.offline", self.offline), ("device.race", self.race), ("device.reorder", self.reorder)]
    }

    fn is_online(&self, seed: u64, token: u64) -> bool {
        let named = |hex: &String| fingerprint_of_hex(hex) == Some(token);
        (self.offline == 0.0 || draw(seed, SALT_OFFLINE, token, 0) >= self.offline)
            && !self.offline_tokens.iter().any(named)
    }
}

const SALT_OFFLINE: u64 = 0x6f66_666c;
const SALT_RACE: u64 = 0x7261_6365;
const SALT_REORDER: u64 = 0x7265_6f72;

/// The circumstances under which a device is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) faults: &'a DeviceFaults,
    pub(crate) seed: u64,
    pub(crate) now_ms: u64,
}

impl Scene<'_> {
    fn strikes(&self, salt: u64, share: f64, id: u128) -> bool {
        share > 0.0 && draw(self.seed, salt, id as u64 ^ (id >> 64) as u64, 0) < share
    }
}

/// One push that APNs took for a device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivery {
    pub(crate) token: u64,
    pub(crate) topic: u64,
    pub(crate) id: u128,
    pub(crate) collapse: Option<u64>,
    /// In seconds since the epoch; 0 is one attempt, `None` as long as APNs stores anything.
    pub(crate) expiration: Option<u64>,
    pub(crate) badge: Option<u64>,
    pub(crate) sequence: Option<u64>,
    pub(crate) text: Option<Box<str>>,
}

/// A notification on a device's screen, or waiting for the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Its `apns-id`, as a number.
    #[serde(serialize_with = "id_as_text")]
    pub id: u128,
    /// Its alert's text: the body, else the title.
    pub text: Option<String>,
    /// The badge it sets.
    pub badge: Option<u64>,
    /// Its `skein_seq`.
    pub sequence: Option<u64>,
    /// The fingerprint of its collapse id.
    pub collapse: Option<u64>,
}

/// What a device shows, and what became of what was sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The `apns-id` of the last push delivered, as a number.
    #[serde(serialize_with = "id_as_text")]
    pub id: u128,
    /// Its alert's text: the body, else the title.
    pub text: Option<String>,
    /// The fingerprint of its collapse id.
    pub collapse: Option<u64>,
    /// The badge: that of the last push that set one.
    pub badge: Option<u64>,
    /// The `skein_seq` of the last push that had one.
    pub sequence: Option<u64>,
    /// Whether it is reachable.
    pub online: bool,
    /// Pushes delivered in all.
    pub delivered: u64,
    /// Deliveries whose `skein_seq` was lower than that of an earlier one.
    pub out_of_order: u64,
    /// Pushes that another took the place of before the device got them.
    pub overwritten: u64,
    /// Pushes that expired before the device was back.
    pub expired: u64,
    /// Pushes for one attempt only, while the device was offline.
    pub dropped: u64,
    /// Its screen, the newest last: at most [`NOTICES_MAX`], one for each collapse id.
    pub notices: Vec<Notice>,
    /// What APNs holds for it, at most one for each topic.
    pub stored: Vec<Notice>,
}

fn id_as_text<S: serde::Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::log::id_text(*id))
}

/// Every device that got something, by token fingerprint.
#[derive(Debug, Default)]
pub(crate) struct Devices(Mutex<HashMap<u64, Device, BuildMixed>>);

impl Devices {
    pub(crate) fn deliver(&self, scene: Scene<'_>, deliveries: impl Iterator<Item = Delivery>) {
        let mut devices = lock(&self.0);
        for delivery in deliveries {
            if devices.len() >= DEVICES_MAX && !devices.contains_key(&delivery.token) {
                continue;
            }
            let token = delivery.token;
            devices.entry(token).or_default().take(delivery, scene);
        }
    }

    /// Sets a device on- or offline whatever the faults say; `None` leaves it to them. `false` if there is no room.
    pub(crate) fn set_online(&self, scene: Scene<'_>, token: u64, online: Option<bool>) -> bool {
        let mut devices = lock(&self.0);
        if devices.len() >= DEVICES_MAX && !devices.contains_key(&token) {
            return false;
        }
        let device = devices.entry(token).or_default();
        device.settle(token, scene);
        device.online = online;
        device.settle(token, scene);
        true
    }

    pub(crate) fn shown(&self, scene: Scene<'_>, token: u64) -> Option<Shown> {
        let mut devices = lock(&self.0);
        let device = devices.get_mut(&token)?;
        device.settle(token, scene);
        Some(device.shown(token, scene))
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests;
