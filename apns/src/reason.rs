//! Why APNs refused: every reason that Apple documents, and room for those it does not.

/// Bytes kept of a reason that this crate does not know.
pub const UNKNOWN_REASON_BYTES_MAX: usize = 64;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal $(| $alias:literal)*,)*) => {
        /// A refusal's reason, as the answer's body or GOAWAY's debug data names it (Apple: "Handling notification
        /// responses from APNs" and, for broadcasts, "Handling error responses from Apple Push Notification service").
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A reason that this crate does not know, cut to [`UNKNOWN_REASON_BYTES_MAX`]; printable ASCII only.
            Other(Box<str>),
        }

        impl Reason {
            /// All documented reasons.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// Reads a reason as APNs spells it, each known spelling included.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($label $(| $alias)* => Reason::$name,)*
                    other => Reason::Other(cut(other)),
                }
            }

            /// Apple's spelling; `"other"` for an unknown reason, so that a label's values stay few.
            pub fn label(&self) -> &'static str {
                match self {
                    $(Reason::$name => $label,)*
                    Reason::Other(_) => "other",
                }
            }
        }
    };
}

reasons! {
    /// 400: the collapse id is longer than 64 bytes.
    BadCollapseId = "BadCollapseId",
    /// 400: the device token is malformed, or belongs to the other environment.
    BadDeviceToken = "BadDeviceToken",
    /// 400: `apns-expiration` can't be used.
    BadExpirationDate = "BadExpirationDate",
    /// 400: `apns-id` is not a canonical UUID.
    BadMessageId = "BadMessageId",
    /// 400: `apns-priority` can't be used.
    BadPriority = "BadPriority",
    /// 400: `apns-topic` is not valid.
    BadTopic = "BadTopic",
    /// 400: the device token belongs to another topic.
    DeviceTokenNotForTopic = "DeviceTokenNotForTopic",
    /// 400: a header occurs twice.
    DuplicateHeaders = "DuplicateHeaders",
    /// 400: the connection was idle for too long.
    IdleTimeout = "IdleTimeout",
    /// 400: `apns-push-type` is unknown or does not suit.
    InvalidPushType = "InvalidPushType",
    /// 400: the path has no device token.
    MissingDeviceToken = "MissingDeviceToken",
    /// 400: `apns-topic` is needed.
    MissingTopic = "MissingTopic",
    /// 400: the body is empty.
    PayloadEmpty = "PayloadEmpty",
    /// 400: pushing to this topic is not allowed.
    TopicDisallowed = "TopicDisallowed",
    /// 403: the certificate is not valid.
    BadCertificate = "BadCertificate",
    /// 403: the certificate is not for this environment.
    BadCertificateEnvironment = "BadCertificateEnvironment",
    /// 403: the provider token is older than an hour.
    ExpiredProviderToken = "ExpiredProviderToken",
    /// 403: the action is not allowed.
    Forbidden = "Forbidden",
    /// 403: the provider token is not valid, or key, team and topic do not fit.
    InvalidProviderToken = "InvalidProviderToken",
    /// 403: neither a certificate nor a provider token came.
    MissingProviderToken = "MissingProviderToken",
    /// 403: the provider token's key is not the one first used on this connection.
    UnrelatedKeyIdInToken = "UnrelatedKeyIdInToken",
    /// 403: the provider token's key is for the other environment. Apple documents the first spelling; the second was
    /// seen from the live service.
    BadEnvironmentKeyIdInToken = "BadEnvironmentKeyIdInToken" | "BadEnvironmentKeyInToken",
    /// 404: the path is wrong.
    BadPath = "BadPath",
    /// 405: the method is not POST.
    MethodNotAllowed = "MethodNotAllowed",
    /// 410: the device token has expired.
    ExpiredToken = "ExpiredToken",
    /// 410: the device token is no longer active for the topic.
    Unregistered = "Unregistered",
    /// 413: the payload is over the limit.
    PayloadTooLarge = "PayloadTooLarge",
    /// 429: the provider token changed more than once in 20 minutes on this connection.
    TooManyProviderTokenUpdates = "TooManyProviderTokenUpdates",
    /// 429: too many requests in a row for one device token.
    TooManyRequests = "TooManyRequests",
    /// 500: a fault of the service.
    InternalServerError = "InternalServerError",
    /// 503: the service is unavailable. The broadcast table prints it with a space.
    ServiceUnavailable = "ServiceUnavailable" | "Service Unavailable",
    /// 503: this server shuts down.
    Shutdown = "Shutdown",
    /// 400, broadcast: not enabled for the topic.
    FeatureNotEnabled = "FeatureNotEnabled",
    /// 400, broadcast: no channel id.
    MissingChannelId = "MissingChannelId",
    /// 400, broadcast: the channel id is badly encoded or too long.
    BadChannelId = "BadChannelId",
    /// 400, broadcast: the channel does not exist.
    ChannelNotRegistered = "ChannelNotRegistered",
    /// 400, broadcast: an unknown attribute.
    BadRequestParams = "BadRequestParams",
    /// 400, broadcast: the body can't be parsed.
    BadRequestPayload = "BadRequestPayload",
    /// 400, broadcast: no push type.
    MissingPushType = "MissingPushType",
    /// 400, broadcast: no more channels can be made.
    CannotCreateChannelConfig = "CannotCreateChannelConfig",
    /// 400, broadcast: undocumented; seen for a bad storage policy.
    MissingChannelQueueSize = "MissingChannelQueueSize",
    /// 403, broadcast: the credential does not cover the bundle in the path.
    TopicMismatch = "TopicMismatch",
}

impl Reason {
    /// Whether the connection that gave this reason should be replaced: what it says is about the connection, its
    /// credential or its server, and the next request on it would fare no better.
    pub fn retires_connection(&self) -> bool {
        matches!(
            self,
            Reason::IdleTimeout
                | Reason::BadCertificate
                | Reason::BadCertificateEnvironment
                | Reason::ExpiredProviderToken
                | Reason::InvalidProviderToken
                | Reason::MissingProviderToken
                | Reason::UnrelatedKeyIdInToken
                | Reason::BadEnvironmentKeyIdInToken
                | Reason::TooManyProviderTokenUpdates
                | Reason::ServiceUnavailable
                | Reason::Shutdown
        )
    }
}

fn cut(text: &str) -> Box<str> {
    text.chars()
        .take(UNKNOWN_REASON_BYTES_MAX)
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect::<String>()
        .into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_reason_is_read_back_from_its_label() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.label()), *reason);
        }
        assert_eq!(Reason::ALL.iter().map(Reason::label).collect::<HashSet<_>>().len(), Reason::ALL.len());
    }

    #[test]
    fn both_spellings_are_one_reason() {
        assert_eq!(Reason::parse("BadEnvironmentKeyInToken"), Reason::BadEnvironmentKeyIdInToken);
        assert_eq!(Reason::parse("Service Unavailable"), Reason::ServiceUnavailable);
    }

    #[test]
    fn an_unknown_reason_is_kept_short_and_printable() {
        let Reason::Other(text) = Reason::parse(&"é\n".repeat(1000)) else { panic!("known") };
        assert_eq!(text.len(), UNKNOWN_REASON_BYTES_MAX);
        assert!(text.bytes().all(|b| b == b'?'));
        assert_eq!(Reason::parse("NewThing"), Reason::Other("NewThing".into()));
    }
}
