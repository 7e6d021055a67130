//! Apple's words for why a request was refused (*Handling notification responses from APNs*), as a closed list.

macro_rules! reasons {
    ($($name:ident = $label:literal),+ $(,)?) => {
        /// The `reason` of an answer of APNs. Apple's own words; both spellings where two are known.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = concat!("`", $label, "`")] $name,)+
            /// A reason that this version does not know: the text, at most 64 bytes, printable ASCII only (`?` for the rest).
            Other(Box<str>),
        }

        impl Reason {
            /// Every known reason.
            pub const KNOWN: &'static [Reason] = &[$(Self::$name),+];

            /// Apple's word; `other` for one that is not known (the text itself goes into the ledger only).
            pub fn label(&self) -> &'static str {
                match self { $(Self::$name => $label,)+ Self::Other(_) => "other" }
            }

            /// Reads Apple's word.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($label => Self::$name,)+
                    "BadEnvironmentKeyInToken" => Self::BadEnvironmentKeyIdInToken,
                    "Service Unavailable" => Self::ServiceUnavailable,
                    other => Self::Other(cut(other)),
                }
            }
        }
    };
}

reasons! {
    BadCollapseId = "BadCollapseId", BadDeviceToken = "BadDeviceToken", BadExpirationDate = "BadExpirationDate",
    BadMessageId = "BadMessageId", BadPriority = "BadPriority", BadTopic = "BadTopic",
    DeviceTokenNotForTopic = "DeviceTokenNotForTopic", DuplicateHeaders = "DuplicateHeaders", IdleTimeout = "IdleTimeout",
    InvalidPushType = "InvalidPushType", MissingDeviceToken = "MissingDeviceToken", MissingTopic = "MissingTopic",
    PayloadEmpty = "PayloadEmpty", TopicDisallowed = "TopicDisallowed", BadCertificate = "BadCertificate",
    BadCertificateEnvironment = "BadCertificateEnvironment", ExpiredProviderToken = "ExpiredProviderToken",
    Forbidden = "Forbidden", InvalidProviderToken = "InvalidProviderToken", MissingProviderToken = "MissingProviderToken",
    UnrelatedKeyIdInToken = "UnrelatedKeyIdInToken", BadEnvironmentKeyIdInToken = "BadEnvironmentKeyIdInToken",
    BadPath = "BadPath", MethodNotAllowed = "MethodNotAllowed", ExpiredToken = "ExpiredToken", Unregistered = "Unregistered",
    PayloadTooLarge = "PayloadTooLarge", TooManyProviderTokenUpdates = "TooManyProviderTokenUpdates",
    TooManyRequests = "TooManyRequests", InternalServerError = "InternalServerError",
    ServiceUnavailable = "ServiceUnavailable", Shutdown = "Shutdown",
}

/// The APNs client cuts by the same rule, so that its text passes unchanged.
fn cut(text: &str) -> Box<str> {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(64).map(printable).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_every_word() {
        assert_eq!(Reason::KNOWN.len(), 32);
        for reason in Reason::KNOWN {
            assert_eq!(&Reason::parse(reason.label()), reason);
        }
        assert_eq!(Reason::parse("BadEnvironmentKeyInToken"), Reason::BadEnvironmentKeyIdInToken);
        assert_eq!(Reason::parse("Service Unavailable"), Reason::ServiceUnavailable);
        let long = Reason::parse(&"x\n".repeat(1000));
        assert!(matches!(&long, Reason::Other(text) if **text == *"x?".repeat(32)));
        assert_eq!(Reason::parse("Né w"), Reason::Other("N? w".into()));
        assert_eq!(Reason::parse("N? w"), Reason::Other("N? w".into()), "what was cut once stays");
    }
}
