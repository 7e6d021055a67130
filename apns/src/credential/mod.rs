//! What we prove who we are with: a certificate or a token key, checked before Apple sees it.

mod certificate;
mod info;
mod token_key;

pub use certificate::{CertificateInfo, ClientCertificate};
pub use info::CredentialInfo;
pub use token_key::TokenKey;

use crate::endpoint::Environment;
use std::time::SystemTime;

/// One credential of one developer team. Cheap to clone.
#[derive(Clone)]
pub enum Credential {
    /// A `.p8` key; each connection signs its own provider token with it.
    Token(TokenKey),
    /// A certificate (`.p12` or PEM), shown in the TLS handshake.
    Certificate(ClientCertificate),
}

/// Why a credential can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The `.p8` file is not what Apple hands out.
    #[error(
        "the .p8 file holds no unencrypted pkcs#8 private key; download it again from apple's developer site"
    )]
    NotAP8Key,
    /// A key of another kind.
    #[error("the .p8 key is not a p-256 key, which apns requires; use the key made for apns")]
    NotP256,
    /// Key or team id of a wrong shape.
    #[error("the {what} is not ten letters and digits; see the key's page on apple's developer site")]
    BadIdentifier {
        /// `key id` or `team id`.
        what: &'static str,
    },
    /// The `.p12` can't be opened.
    #[error("the .p12 file can't be opened: it is damaged, not a pkcs#12 file, or has another password")]
    NotAP12,
    /// The `.p12` has another password.
    #[error("the .p12 file has another password; give the one that it was exported with")]
    WrongPassword,
    /// The `.p12` is encrypted in a way that can't be read.
    #[error(
        "the .p12 file is encrypted in a way that can't be read ({0}); convert it with \
         `openssl pkcs12 -legacy -in FILE -nodes -out push.pem`, and use push.pem (mode 0600)"
    )]
    UnsupportedP12(String),
    /// No certificate with a private key.
    #[error("the file holds no certificate together with its private key; export both")]
    NoKeyPair,
    /// PEM that can't be read.
    #[error("the pem file holds no readable {what}")]
    BadPem {
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// A certificate that can't be parsed.
    #[error("the certificate can't be parsed: {0}")]
    BadCertificate(String),
    /// Key and certificate are of different pairs, or of an algorithm that TLS does not use.
    #[error("the private key does not fit the certificate: {0}")]
    KeyMismatch(String),
    /// Not valid yet or no longer.
    #[error("the certificate is not valid now (from {from} to {to}); renew it on apple's developer site")]
    NotValidNow {
        /// Start of its validity.
        from: String,
        /// End of its validity.
        to: String,
    },
    /// For the other environment.
    #[error("the credential is for {has} and the endpoint is {wants}; change one of them")]
    WrongEnvironment {
        /// What the credential is for.
        has: &'static str,
        /// What the endpoint is.
        wants: &'static str,
    },
    /// The credential does not cover a topic.
    #[error("the credential does not cover topic {topic:?}; it covers {covered}")]
    TopicNotCovered {
        /// The topic of the pool.
        topic: String,
        /// What it covers, cut short.
        covered: String,
    },
}

impl Credential {
    /// Refuses a pairing with environment and topics that APNs would refuse, as far as the credential itself tells: a
    /// certificate states environments, topics and validity; a token key only what [`TokenKey::for_environments`] and
    /// [`TokenKey::for_topics`] were told.
    pub fn check(
        &self,
        environment: Environment,
        topics: &[&str],
        now: SystemTime,
    ) -> Result<(), CredentialError> {
        let (environments, covered) = match self {
            Credential::Token(key) => (key.environments(), key.topics()),
            Credential::Certificate(certificate) => {
                certificate.info().check_validity(now)?;
                (certificate.info().environments.as_slice(), certificate.info().topics.as_slice())
            }
        };
        if let Some(has) = environments.first()
            && !environments.contains(&environment)
        {
            return Err(CredentialError::WrongEnvironment { has: has.label(), wants: environment.label() });
        }
        match topics.iter().find(|topic| !covered.is_empty() && !covered.iter().any(|c| **c == ***topic)) {
            None => Ok(()),
            Some(topic) => Err(CredentialError::TopicNotCovered {
                topic: topic.to_string(),
                covered: covered.iter().take(10).cloned().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// `token` or `certificate`.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::Token(_) => "token",
            Credential::Certificate(_) => "certificate",
        }
    }
}
