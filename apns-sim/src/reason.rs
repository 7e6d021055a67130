//! Why APNs refuses a request: Apple's reason strings and the status each comes with.

use serde::{Deserialize, Serialize};

/// A refusal in Apple's words ("Handling notification responses from APNs").
///
/// The order of the variants is the order in which the simulator looks when several faults coincide; Apple does not
/// document one, so that no client may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are Apple's own and explained there")]
pub enum Reason {
    MethodNotAllowed = 1,
    BadPath,
    DuplicateHeaders,
    BadMessageId,
    MissingProviderToken,
    InvalidProviderToken,
    ExpiredProviderToken,
    TooManyProviderTokenUpdates,
    UnrelatedKeyIdInToken,
    BadEnvironmentKeyIdInToken,
    BadCertificate,
    BadCertificateEnvironment,
    Forbidden,
    MissingTopic,
    BadTopic,
    TopicDisallowed,
    InvalidPushType,
    BadPriority,
    BadExpirationDate,
    BadCollapseId,
    MissingDeviceToken,
    BadDeviceToken,
    PayloadEmpty,
    PayloadTooLarge,
    DeviceTokenNotForTopic,
    ExpiredToken,
    Unregistered,
    IdleTimeout,
    TooManyRequests,
    InternalServerError,
    ServiceUnavailable,
    Shutdown,
    BadEnvironmentKeyInToken,
    TopicMismatch,
    FeatureNotEnabled,
    MissingChannelId,
    BadChannelId,
    ChannelNotRegistered,
    BadRequestParams,
    BadRequestPayload,
    MissingPushType,
    MissingChannelQueueSize,
    CannotCreateChannelConfig,
}

impl Reason {
    /// Every reason, in order of precedence; those of broadcasts last.
    pub const ALL: [Self; 43] = [
        Self::MethodNotAllowed,
        Self::BadPath,
        Self::DuplicateHeaders,
        Self::BadMessageId,
        Self::MissingProviderToken,
        Self::InvalidProviderToken,
        Self::ExpiredProviderToken,
        Self::TooManyProviderTokenUpdates,
        Self::UnrelatedKeyIdInToken,
        Self::BadEnvironmentKeyIdInToken,
        Self::BadCertificate,
        Self::BadCertificateEnvironment,
        Self::Forbidden,
        Self::MissingTopic,
        Self::BadTopic,
        Self::TopicDisallowed,
        Self::InvalidPushType,
        Self::BadPriority,
        Self::BadExpirationDate,
        Self::BadCollapseId,
        Self::MissingDeviceToken,
        Self::BadDeviceToken,
        Self::PayloadEmpty,
        Self::PayloadTooLarge,
        Self::DeviceTokenNotForTopic,
        Self::ExpiredToken,
        Self::Unregistered,
        Self::IdleTimeout,
        Self::TooManyRequests,
        Self::InternalServerError,
        Self::ServiceUnavailable,
        Self::Shutdown,
        Self::BadEnvironmentKeyInToken,
        Self::TopicMismatch,
        Self::FeatureNotEnabled,
        Self::MissingChannelId,
        Self::BadChannelId,
        Self::ChannelNotRegistered,
        Self::BadRequestParams,
        Self::BadRequestPayload,
        Self::MissingPushType,
        Self::MissingChannelQueueSize,
        Self::CannotCreateChannelConfig,
    ];

    /// The string in the body's `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::BadPath => "BadPath",
            Self::DuplicateHeaders => "DuplicateHeaders",
            Self::BadMessageId => "BadMessageId",
            Self::MissingProviderToken => "MissingProviderToken",
            Self::InvalidProviderToken => "InvalidProviderToken",
            Self::ExpiredProviderToken => "ExpiredProviderToken",
            Self::TooManyProviderTokenUpdates => "TooManyProviderTokenUpdates",
            Self::UnrelatedKeyIdInToken => "UnrelatedKeyIdInToken",
            Self::BadEnvironmentKeyIdInToken => "BadEnvironmentKeyIdInToken",
            Self::BadCertificate => "BadCertificate",
            Self::BadCertificateEnvironment => "BadCertificateEnvironment",
            Self::Forbidden => "Forbidden",
            Self::MissingTopic => "MissingTopic",
            Self::BadTopic => "BadTopic",
            Self::TopicDisallowed => "TopicDisallowed",
            Self::InvalidPushType => "InvalidPushType",
            Self::BadPriority => "BadPriority",
            Self::BadExpirationDate => "BadExpirationDate",
            Self::BadCollapseId => "BadCollapseId",
            Self::MissingDeviceToken => "MissingDeviceToken",
            Self::BadDeviceToken => "BadDeviceToken",
            Self::PayloadEmpty => "PayloadEmpty",
            Self::PayloadTooLarge => "PayloadTooLarge",
            Self::DeviceTokenNotForTopic => "DeviceTokenNotForTopic",
            Self::ExpiredToken => "ExpiredToken",
            Self::Unregistered => "Unregistered",
            Self::IdleTimeout => "IdleTimeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalServerError => "InternalServerError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Shutdown => "Shutdown",
            Self::BadEnvironmentKeyInToken => "BadEnvironmentKeyInToken",
            Self::TopicMismatch => "TopicMismatch",
            Self::FeatureNotEnabled => "FeatureNotEnabled",
            Self::MissingChannelId => "MissingChannelId",
            Self::BadChannelId => "BadChannelId",
            Self::ChannelNotRegistered => "ChannelNotRegistered",
            Self::BadRequestParams => "BadRequestParams",
            Self::BadRequestPayload => "BadRequestPayload",
            Self::MissingPushType => "MissingPushType",
            Self::MissingChannelQueueSize => "MissingChannelQueueSize",
            Self::CannotCreateChannelConfig => "CannotCreateChannelConfig",
        }
    }

    /// The HTTP status it is sent with.
    pub fn status(self) -> u16 {
        match self {
            Self::MethodNotAllowed => 405,
            Self::BadPath => 404,
            Self::MissingProviderToken
            | Self::InvalidProviderToken
            | Self::ExpiredProviderToken
            | Self::UnrelatedKeyIdInToken
            | Self::BadEnvironmentKeyIdInToken
            | Self::BadEnvironmentKeyInToken
            | Self::TopicMismatch
            | Self::BadCertificate
            | Self::BadCertificateEnvironment
            | Self::Forbidden => 403,
            Self::PayloadTooLarge => 413,
            Self::ExpiredToken | Self::Unregistered => 410,
            Self::TooManyProviderTokenUpdates | Self::TooManyRequests => 429,
            Self::InternalServerError => 500,
            Self::ServiceUnavailable | Self::Shutdown => 503,
            Self::DuplicateHeaders
            | Self::BadMessageId
            | Self::MissingTopic
            | Self::BadTopic
            | Self::TopicDisallowed
            | Self::InvalidPushType
            | Self::BadPriority
            | Self::BadExpirationDate
            | Self::BadCollapseId
            | Self::MissingDeviceToken
            | Self::BadDeviceToken
            | Self::PayloadEmpty
            | Self::DeviceTokenNotForTopic
            | Self::IdleTimeout
            | Self::FeatureNotEnabled
            | Self::MissingChannelId
            | Self::BadChannelId
            | Self::ChannelNotRegistered
            | Self::BadRequestParams
            | Self::BadRequestPayload
            | Self::MissingPushType
            | Self::MissingChannelQueueSize
            | Self::CannotCreateChannelConfig => 400,
        }
    }

    /// The number that stands for it in the log; 0 is "none".
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this number in the log.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The reason with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == label)
    }

    /// A refusal after which the same request may be tried again: the service's state, not the request's fault.
    pub fn is_transient(self) -> bool {
        matches!(self.status(), 429 | 500 | 503) || self == Self::IdleTimeout
    }
}

/// The faults found in one request: a set of reasons of which the first in order of precedence is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FaultSet(u64);

impl FaultSet {
    pub(crate) fn add(&mut self, reason: Reason) {
        self.0 |= 1 << reason.code();
    }

    pub(crate) fn remove(&mut self, reason: Reason) {
        self.0 &= !(1 << reason.code());
    }

    pub(crate) fn first(self) -> Option<Reason> {
        if self.0 == 0 { None } else { Reason::from_code(self.0.trailing_zeros() as u8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_labels_lead_back_to_their_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert_eq!(Reason::from_label(reason.label()), Some(reason));
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::from_code(200), None);
    }

    #[test]
    fn the_first_fault_by_precedence_is_answered() {
        let mut faults = FaultSet::default();
        assert_eq!(faults.first(), None);
        faults.add(Reason::PayloadEmpty);
        faults.add(Reason::MethodNotAllowed);
        assert_eq!(faults.first(), Some(Reason::MethodNotAllowed));
    }
}
