//! What kind of push it is: `apns-push-type`, with the topic suffix, priorities and size limit Apple ties to each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `apns-push-type` of a notification (Apple: *Sending notification requests to APNs*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PushType {
    /// Visible: an alert, a badge or a sound.
    #[default]
    Alert,
    /// Wakes the app; priority 5 only.
    Background,
    /// A VoIP call; topic ends in `.voip`; 5,120 bytes.
    Voip,
    /// A watch complication; topic ends in `.complication`.
    Complication,
    /// A file provider change; topic ends in `.pushkit.fileprovider`.
    Fileprovider,
    /// A location query; topic ends in `.location-query`.
    Location,
    /// A Live Activity; topic ends in `.push-type.liveactivity`.
    Liveactivity,
    /// Push to Talk; topic ends in `.voip-ptt`.
    Pushtotalk,
    /// Device management; the topic is the certificate's UID.
    Mdm,
    /// A widget reload; topic ends in `.push-type.widgets`.
    Widgets,
    /// A control reload; topic ends in `.push-type.controls`.
    Controls,
}

impl PushType {
    /// Every push type.
    pub const ALL: [Self; 11] = [
        Self::Alert,
        Self::Background,
        Self::Voip,
        Self::Complication,
        Self::Fileprovider,
        Self::Location,
        Self::Liveactivity,
        Self::Pushtotalk,
        Self::Mdm,
        Self::Widgets,
        Self::Controls,
    ];

    /// The header's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Background => "background",
            Self::Voip => "voip",
            Self::Complication => "complication",
            Self::Fileprovider => "fileprovider",
            Self::Location => "location",
            Self::Liveactivity => "liveactivity",
            Self::Pushtotalk => "pushtotalk",
            Self::Mdm => "mdm",
            Self::Widgets => "widgets",
            Self::Controls => "controls",
        }
    }

    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.label() == text)
    }

    /// What the topic must end in, behind the bundle id.
    pub const fn topic_suffix(self) -> &'static str {
        match self {
            Self::Alert | Self::Background | Self::Mdm => "",
            Self::Voip => ".voip",
            Self::Complication => ".complication",
            Self::Fileprovider => ".pushkit.fileprovider",
            Self::Location => ".location-query",
            Self::Liveactivity => ".push-type.liveactivity",
            Self::Pushtotalk => ".voip-ptt",
            Self::Widgets => ".push-type.widgets",
            Self::Controls => ".push-type.controls",
        }
    }

    /// The largest payload APNs takes, in bytes of JSON as sent (inclusive).
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Self::Voip => 5120,
            _ => 4096,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_and_equal_serde() {
        for t in PushType::ALL {
            assert_eq!(PushType::parse(t.label()), Some(t));
            assert_eq!(serde_json::to_value(t).unwrap(), t.label());
        }
        assert_eq!(PushType::parse("silent"), None);
    }
}
