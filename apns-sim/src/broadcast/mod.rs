//! Broadcast channels of Live Activities: their management, and what is published to them.
//!
//! Sources: "Sending channel management requests to APNs", "Sending broadcast push notification requests to APNs",
//! "Handling error responses from Apple Push Notification service".

mod channels;
mod request;

pub use channels::ChannelShown;
pub(crate) use channels::Channels;
pub(crate) use request::{BroadcastHead, Method, Route};

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// The largest body of a broadcast request, inclusive.
pub const BROADCAST_BYTES_MAX: usize = 5120;
/// The longest channel id taken, in bytes of its base64.
pub const CHANNEL_ID_BYTES_MAX: usize = 128;

/// What is possible with broadcasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BroadcastPolicy {
    /// Channels of one app; Apple allows 10,000 in each environment.
    pub channels_max: usize,
    /// Bundle ids for which broadcasts are enabled; others get `FeatureNotEnabled`. Empty: all.
    pub bundle_ids: Vec<String>,
}

impl Default for BroadcastPolicy {
    fn default() -> Self {
        Self { channels_max: 10_000, bundle_ids: Vec::new() }
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    /// The channel that was created.
    pub(crate) channel: Option<String>,
    /// Whether it carries `apns-unique-id`.
    pub(crate) is_published: bool,
    pub(crate) body: Option<String>,
}

impl Reply {
    pub(crate) fn done(status: u16) -> Self {
        Self { status, reason: None, channel: None, is_published: false, body: None }
    }

    pub(crate) fn refused(reason: Reason) -> Self {
        // Apple's table prints this one with a space.
        let label = match reason {
            Reason::ServiceUnavailable => "Service Unavailable",
            other => other.label(),
        };
        let body = Some(format!(r#"{{"reason":"{label}"}}"#));
        Self { reason: Some(reason), body, ..Self::done(reason.status()) }
    }
}

impl From<Reason> for Reply {
    fn from(reason: Reason) -> Self {
        Self::refused(reason)
    }
}
