//! The identity of a notification: a UUIDv7 made by its producer, which is also its `apns-id`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Timestamp;

/// How far an id's own time may lie from the time of its submission (the ledger's day partitions rest on it).
pub const ID_DISTANCE_MAX: Duration = Duration::from_secs(86_400);

/// The id of a notification: a UUIDv7 (RFC 9562 §5.7). Its time decides the ledger's day partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(Uuid);

/// Why a text is not a notification id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnId {
    /// It is no UUID at all.
    #[error("not a UUID; send a UUIDv7 such as 0192f5c0-7e1c-7b4e-9c55-2f0c1d7a9e10")]
    NotAUuid,
    /// A UUID of another version.
    #[error("a UUID of another version; send a UUIDv7")]
    NotVersion7,
}

impl NotificationId {
    /// Reads a canonical or simple UUID text.
    pub fn parse(text: &str) -> Result<Self, NotAnId> {
        Self::from_uuid(Uuid::try_parse(text).map_err(|_| NotAnId::NotAUuid)?)
    }

    /// From a UUID that must be of version 7.
    pub fn from_uuid(uuid: Uuid) -> Result<Self, NotAnId> {
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(NotAnId::NotVersion7) }
    }

    /// An id of the given time and 10 random bytes.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// An id of the current time, from the process's own monotonic generator: ids made in turn sort in turn.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// The UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The 16 bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The time in the id.
    pub fn at(&self) -> Timestamp {
        let b = self.0.as_bytes();
        Timestamp::from_millis(i64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]))
    }

    /// Whether the id's time is within [`ID_DISTANCE_MAX`] of `reference`.
    pub fn is_near(&self, reference: Timestamp) -> bool {
        self.at().as_millis().abs_diff(reference.as_millis()) <= ID_DISTANCE_MAX.as_millis() as u64
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl Serialize for NotificationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for NotificationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An id and its generation: what at most one final verdict exists for. A resend is a new generation of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NotificationKey {
    /// The notification's id.
    pub id: NotificationId,
    /// 0 at first; each resend adds one.
    pub generation: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_time() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let id = NotificationId::new(at, [7; 10]);
        assert_eq!(id.at(), at);
        assert_eq!(NotificationId::parse(&id.to_string()), Ok(id));
        assert_eq!(NotificationId::parse("123e4567-e89b-12d3-a456-426614174000"), Err(NotAnId::NotVersion7));
        assert_eq!(NotificationId::parse("x"), Err(NotAnId::NotAUuid));
        assert!(id.is_near(at.plus(ID_DISTANCE_MAX)));
        assert!(!id.is_near(at.plus(ID_DISTANCE_MAX + Duration::from_millis(1))));
        assert!(!id.is_near(at.minus(ID_DISTANCE_MAX + Duration::from_millis(1))));
    }
}
