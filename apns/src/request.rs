//! One push, as a caller hands it over.

use bytes::Bytes;
use std::sync::Arc;

/// One notification for one device, to be written once. Cheap to make and to clone: what it holds is shared.
#[derive(Clone)]
pub struct Request {
    /// The caller's own key; comes back with the answer, means nothing here.
    pub key: u64,
    /// The device token's bytes; written into the path as lower-case hex.
    pub token: Bytes,
    /// The topic, its push type's suffix included. No control characters.
    pub topic: Arc<str>,
    /// What kind of push it is.
    pub push_type: PushType,
    /// How soon the device is to get it.
    pub priority: Priority,
    /// How long APNs may keep trying.
    pub expiration: Expiration,
    /// Replaces the earlier notification with the same value; at most 64 bytes. No control characters.
    pub collapse_id: Option<Arc<str>>,
    /// The UUID that APNs echoes.
    pub apns_id: [u8; 16],
    /// The JSON body.
    pub payload: Bytes,
}

/// Token, ids and payload stay out of it.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("key", &self.key)
            .field("topic", &self.topic)
            .field("push_type", &self.push_type)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// `apns-push-type` (Apple: "Sending notification requests to APNs").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushType {
    /// Visible: alert, badge or sound.
    Alert,
    /// Wakes the app; priority 5 only.
    Background,
    /// A call; topic suffix `.voip`.
    Voip,
    /// A watch complication; topic suffix `.complication`.
    Complication,
    /// A file provider's change; topic suffix `.pushkit.fileprovider`.
    FileProvider,
    /// A location query; topic suffix `.location-query`.
    Location,
    /// A Live Activity; topic suffix `.push-type.liveactivity`.
    LiveActivity,
    /// Push to Talk; topic suffix `.voip-ptt`.
    PushToTalk,
    /// Device management; the topic is the certificate's UID.
    Mdm,
    /// A widget's refresh; topic suffix `.push-type.widgets`.
    Widgets,
    /// A control's refresh; topic suffix `.push-type.controls`.
    Controls,
}

impl PushType {
    /// All of them.
    pub const ALL: [PushType; 11] = [
        PushType::Alert,
        PushType::Background,
        PushType::Voip,
        PushType::Complication,
        PushType::FileProvider,
        PushType::Location,
        PushType::LiveActivity,
        PushType::PushToTalk,
        PushType::Mdm,
        PushType::Widgets,
        PushType::Controls,
    ];

    /// The header's value.
    pub fn label(self) -> &'static str {
        match self {
            PushType::Alert => "alert",
            PushType::Background => "background",
            PushType::Voip => "voip",
            PushType::Complication => "complication",
            PushType::FileProvider => "fileprovider",
            PushType::Location => "location",
            PushType::LiveActivity => "liveactivity",
            PushType::PushToTalk => "pushtotalk",
            PushType::Mdm => "mdm",
            PushType::Widgets => "widgets",
            PushType::Controls => "controls",
        }
    }

    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|push_type| push_type.label() == text)
    }
}

/// `apns-priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// 10: now.
    Immediate,
    /// 5: when the device's power allows.
    PowerAware,
    /// 1: power first; never wakes the device.
    PowerFirst,
}

impl Priority {
    /// The header's value.
    pub fn label(self) -> &'static str {
        match self {
            Priority::Immediate => "10",
            Priority::PowerAware => "5",
            Priority::PowerFirst => "1",
        }
    }
}

/// `apns-expiration`, whose absence is not the same as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiration {
    /// No header: APNs applies its own policy, up to 30 days.
    Unset,
    /// 0: one attempt, never stored.
    NotStored,
    /// Keep trying until this instant, in **seconds** since the epoch.
    At(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_debug_shows_neither_token_nor_payload_nor_ids() {
        let request = Request {
            key: 1,
            token: Bytes::from_static(b"TOKEN"),
            topic: "com.example.im".into(),
            push_type: PushType::Alert,
            priority: Priority::Immediate,
            expiration: Expiration::Unset,
            collapse_id: Some("COLLAPSE".into()),
            apns_id: [0xee; 16],
            payload: Bytes::from_static(b"PAYLOAD"),
        };
        let text = format!("{request:?}");
        assert!(text.contains("com.example.im"));
        for secret in ["TOKEN", "COLLAPSE", "PAYLOAD", "238", "ee"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn push_types_are_read_back() {
        for push_type in PushType::ALL {
            assert_eq!(PushType::parse(push_type.label()), Some(push_type));
        }
        assert_eq!(PushType::parse("Alert"), None);
    }
}
