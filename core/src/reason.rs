//! Apple's words for why a request was refused (*Handling notification responses from APNs*), as a closed list.

macro_rules! reasons {
    ($($status:literal: $($name:ident),+;)+) => {
        /// The `reason` of an answer of APNs. Apple's own words; both spellings where two are known.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = concat!("`", stringify!($name), "`")] $name,)+)+
            /// A reason that this version does not know: the text, at most 64 bytes, printable ASCII only (`?` for the rest).
            Other(Box<str>),
        }

        impl Reason {
            /// Every known reason.
            pub const KNOWN: &'static [Reason] = &[$($(Self::$name,)+)+];

            /// Apple's word; `other` for one that is not known (the text itself goes into the ledger only).
            pub fn label(&self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)+)+ Self::Other(_) => "other" }
            }

            /// The HTTP status that Apple documents for it; `None` for one that is not known.
            pub const fn status(&self) -> Option<u16> {
                match self { $($(Self::$name => Some($status),)+)+ Self::Other(_) => None }
            }

            /// Reads Apple's word.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($(stringify!($name) => Self::$name,)+)+
                    "BadEnvironmentKeyInToken" => Self::BadEnvironmentKeyIdInToken,
                    "Service Unavailable" => Self::ServiceUnavailable,
                    other => Self::Other(cut(other)),
                }
            }
        }
    };
}

reasons! {
    400: BadCollapseId, BadDeviceToken, BadExpirationDate, BadMessageId, BadPriority, BadTopic, DeviceTokenNotForTopic,
        DuplicateHeaders, IdleTimeout, InvalidPushType, MissingDeviceToken, MissingTopic, PayloadEmpty, TopicDisallowed;
    403: BadCertificate, BadCertificateEnvironment, ExpiredProviderToken, Forbidden, InvalidProviderToken,
        MissingProviderToken, UnrelatedKeyIdInToken, BadEnvironmentKeyIdInToken;
    404: BadPath;
    405: MethodNotAllowed;
    410: ExpiredToken, Unregistered;
    413: PayloadTooLarge;
    429: TooManyProviderTokenUpdates, TooManyRequests;
    500: InternalServerError;
    503: ServiceUnavailable, Shutdown;
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
