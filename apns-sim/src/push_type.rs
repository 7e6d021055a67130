//! The push types, what they add to the bundle id in a topic, and how large their payload may be.

/// `apns-push-type` ("Sending notification requests to APNs").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Apple's own and explained there")]
pub enum PushType {
    Alert,
    Background,
    Voip,
    Complication,
    FileProvider,
    Location,
    LiveActivity,
    PushToTalk,
    Mdm,
    Widgets,
    Controls,
}

impl PushType {
    const ALL: [Self; 11] = [
        Self::Alert,
        Self::Background,
        Self::Voip,
        Self::Complication,
        Self::FileProvider,
        Self::Location,
        Self::LiveActivity,
        Self::PushToTalk,
        Self::Mdm,
        Self::Widgets,
        Self::Controls,
    ];

    /// The header's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Background => "background",
            Self::Voip => "voip",
            Self::Complication => "complication",
            Self::FileProvider => "fileprovider",
            Self::Location => "location",
            Self::LiveActivity => "liveactivity",
            Self::PushToTalk => "pushtotalk",
            Self::Mdm => "mdm",
            Self::Widgets => "widgets",
            Self::Controls => "controls",
        }
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"alert" => Some(Self::Alert),
            _ => Self::ALL.into_iter().find(|kind| kind.label().as_bytes() == value),
        }
    }

    /// What the topic carries after the bundle id.
    pub fn topic_suffix(self) -> &'static str {
        match self {
            Self::Alert | Self::Background | Self::Mdm => "",
            Self::Voip => ".voip",
            Self::Complication => ".complication",
            Self::FileProvider => ".pushkit.fileprovider",
            Self::Location => ".location-query",
            Self::LiveActivity => ".push-type.liveactivity",
            Self::PushToTalk => ".voip-ptt",
            Self::Widgets => ".push-type.widgets",
            Self::Controls => ".push-type.controls",
        }
    }

    /// The largest payload, inclusive, in bytes of the body as sent.
    pub fn payload_bytes_max(self) -> usize {
        if self == Self::Voip { PAYLOAD_BYTES_MAX_VOIP } else { PAYLOAD_BYTES_MAX }
    }
}

/// The largest payload of every push but VoIP ("Generating a remote notification").
pub const PAYLOAD_BYTES_MAX: usize = 4096;
/// The largest payload of a VoIP push.
pub const PAYLOAD_BYTES_MAX_VOIP: usize = 5120;

/// The suffix that a topic ends with, as the push type it belongs to; `None` for a bare bundle id.
pub(crate) fn suffix_of(topic: &[u8]) -> Option<PushType> {
    PushType::ALL
        .into_iter()
        .find(|kind| !kind.topic_suffix().is_empty() && topic.ends_with(kind.topic_suffix().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_suffixes_lead_back() {
        for kind in PushType::ALL {
            assert_eq!(PushType::parse(kind.label().as_bytes()), Some(kind));
            let topic = format!("com.example.im{}", kind.topic_suffix());
            let expected = (!kind.topic_suffix().is_empty()).then_some(kind);
            assert_eq!(suffix_of(topic.as_bytes()), expected);
        }
        assert_eq!(PushType::parse(b"Alert"), None);
    }
}
