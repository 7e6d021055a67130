//! A notification: one push for one device token. Past [`crate::wire`] a value of these types is valid.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{NotificationId, NotificationKey};
use crate::push_type::PushType;
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::token::DeviceToken;
use crate::trace_context::TraceContext;

mod check;
mod payload_rules;
pub use payload_rules::{BROADCAST_BYTES_MAX, problem_of_broadcast};
mod draft;

pub(crate) use check::check_text;
pub use check::{ContentDraft, Edge};
pub use draft::Draft;

/// The longest collapse id, in bytes, not characters (Apple: *Sending notification requests to APNs*).
pub const COLLAPSE_ID_BYTES_MAX: usize = 64;
/// The longest topic, user, app or business id, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// What inserting a badge into a payload may add, in bytes: `"badge":4294967295,`.
pub const BADGE_BYTES_MAX: usize = 19;

/// One push for one device token.
#[derive(Clone)]
pub struct Notification {
    /// Its id, and its `apns-id`.
    pub id: NotificationId,
    /// 0 at first; each resend of the same id adds one.
    pub generation: u16,
    /// The device token, canonical.
    pub token: DeviceToken,
    /// The user, as the backend names them.
    pub user: Option<Box<str>>,
    /// What it does to the badge.
    pub badge: Option<Badge>,
    /// What it says, shared with the other notifications of its batch.
    pub content: Arc<Content>,
}

/// What a notification says, apart from whom it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// `apns-topic`.
    pub topic: Arc<str>,
    /// `apns-push-type`.
    pub push_type: PushType,
    /// `apns-priority`.
    pub priority: Priority,
    /// `apns-expiration`.
    pub expiration: Expiration,
    /// `apns-collapse-id`.
    pub collapse_id: Option<CollapseId>,
    /// The app, as the backend names it.
    pub app: Option<Box<str>>,
    /// The backend's own id for what caused this.
    pub reference: Option<Box<str>>,
    /// When the producer submitted it, by its clock.
    pub submitted_at: Option<Timestamp>,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The JSON payload as it is sent, within the limit of its push type.
    pub payload: Bytes,
}

impl Notification {
    /// What at most one final verdict exists for.
    pub fn key(&self) -> NotificationKey {
        NotificationKey { id: self.id, generation: self.generation }
    }

    /// Where it is routed.
    pub fn slot(&self) -> Slot {
        Slot::of(&self.token)
    }

    /// Whether its time has passed. `NotStored` and `Unset` have none.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.content.expiration, Expiration::At(at) if at <= now)
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .field("token", &self.token)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("topic", &self.topic)
            .field("push_type", &self.push_type)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// `apns-expiration`, whose three states differ: absent is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Expiration {
    /// No header: APNs applies its own storage policy, up to 30 days.
    #[default]
    Unset,
    /// `0`: one attempt, never stored.
    NotStored,
    /// Kept trying until this instant.
    At(Timestamp),
}

/// `apns-priority`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Priority {
    /// 10: now.
    #[default]
    Immediate,
    /// 5: when the device's power allows.
    Conserve,
    /// 1: power first, never wakes the device.
    Lowest,
}

impl Priority {
    /// The header's value.
    pub const fn number(self) -> u8 {
        match self {
            Self::Immediate => 10,
            Self::Conserve => 5,
            Self::Lowest => 1,
        }
    }

    /// Reads the header's value.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            10 => Some(Self::Immediate),
            5 => Some(Self::Conserve),
            1 => Some(Self::Lowest),
            _ => None,
        }
    }
}

/// `apns-collapse-id`: 1 to 64 bytes without a NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CollapseId(Box<str>);

impl CollapseId {
    /// Reads it. `None` if it is empty, longer than [`COLLAPSE_ID_BYTES_MAX`] bytes or holds a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=COLLAPSE_ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into()))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a notification does to the badge of its device. APNs itself only knows absolute numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Badge {
    /// The badge becomes this number; 0 removes it.
    Set(u32),
    /// The badge grows by this number; Skein keeps the count.
    Add(u32),
}

impl Badge {
    /// What the badge becomes if it was `count`.
    pub const fn applied_to(self, count: u32) -> u32 {
        match self {
            Self::Set(n) => n,
            Self::Add(k) => count.saturating_add(k),
        }
    }
}

/// One thing wrong with a notification: the field, what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Fault {
    /// The field's name on the wire, with its item in a batch: `items[3].token`.
    pub field: String,
    /// What is wrong, and what would be right. Never holds the value of a token or payload.
    pub problem: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_id_counts_bytes() {
        assert!(CollapseId::parse(&"a".repeat(64)).is_some());
        assert!(CollapseId::parse(&"a".repeat(65)).is_none());
        assert!(CollapseId::parse(&"ü".repeat(32)).is_some());
        assert!(CollapseId::parse(&"ü".repeat(33)).is_none());
        assert!(CollapseId::parse("a\0").is_none());
        assert!(CollapseId::parse("").is_none());
    }

    #[test]
    fn badge_arithmetic() {
        assert_eq!(Badge::Set(3).applied_to(9), 3);
        assert_eq!(Badge::Add(2).applied_to(9), 11);
        assert_eq!(Badge::Add(2).applied_to(u32::MAX), u32::MAX);
    }
}
