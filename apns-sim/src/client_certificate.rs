//! Client certificates: which topics and which environment one is good for, read from its own extensions.

use x509_parser::der_parser::asn1_rs::FromDer;
use x509_parser::der_parser::parse_der;
use x509_parser::prelude::X509Certificate;

use crate::fingerprint::fingerprint;
use crate::provider_token::Environment;
use crate::reason::Reason;
use crate::request::Topic;

/// OIDs of "Establishing a certificate-based connection to APNs".
pub(crate) const OID_SANDBOX: &str = "1.2.840.113635.100.6.3.1";
pub(crate) const OID_PRODUCTION: &str = "1.2.840.113635.100.6.3.2";
pub(crate) const OID_VOIP_TOPICS: &str = "1.2.840.113635.100.6.3.4";
pub(crate) const OID_TOPICS: &str = "1.2.840.113635.100.6.3.6";
const OID_UID: &str = "0.9.2342.19200300.100.1.1";

/// What a client certificate allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// Fingerprints of the topics it may push to.
    topics: Vec<u64>,
    sandbox: bool,
    production: bool,
    not_before_s: i64,
    not_after_s: i64,
    /// Good for nothing, whatever it says.
    pub(crate) is_refused: bool,
}

impl ClientCertificate {
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let (mut sandbox, mut production, mut topics) = (false, false, Vec::new());
        for extension in certificate.extensions() {
            match extension.oid.to_id_string().as_str() {
                OID_SANDBOX => sandbox = true,
                OID_PRODUCTION => production = true,
                OID_TOPICS | OID_VOIP_TOPICS => topics.extend(topics_in(extension.value)?),
                _ => {}
            }
        }
        if topics.is_empty() {
            let uid =
                certificate.subject().iter_attributes().find(|a| a.attr_type().to_id_string() == OID_UID);
            topics.extend(uid.and_then(|uid| uid.as_str().ok()).map(|uid| fingerprint(uid.as_bytes())));
        }
        let validity = certificate.validity();
        Some(Self {
            topics,
            sandbox: sandbox || !production,
            production: production || !sandbox,
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
            is_refused: false,
        })
    }

    /// The topic of a request that names none: the certificate's, if it has but one.
    pub(crate) fn is_default_topic_clear(&self) -> bool {
        self.topics.len() == 1
    }

    pub(crate) fn is_valid_at(&self, now_s: u64) -> bool {
        (self.not_before_s..=self.not_after_s).contains(&(now_s as i64))
    }

    pub(crate) fn is_for(&self, environment: Environment) -> bool {
        match environment {
            Environment::Sandbox => self.sandbox,
            Environment::Production => self.production,
        }
    }

    pub(crate) fn check(
        &self,
        topic: Option<Topic>,
        environment: Environment,
        now_s: u64,
    ) -> Result<(), Reason> {
        if self.is_refused || !self.is_valid_at(now_s) {
            Err(Reason::BadCertificate)
        } else if !self.is_for(environment) {
            Err(Reason::BadCertificateEnvironment)
        } else {
            match topic {
                None if self.is_default_topic_clear() => Ok(()),
                None => Err(Reason::MissingTopic),
                Some(topic) if self.topics.contains(&topic.hash) => Ok(()),
                Some(_) => Err(Reason::TopicDisallowed),
            }
        }
    }
}

/// `SEQUENCE { UTF8String topic, SEQUENCE { UTF8String kind }, … }`: every second element is a topic.
fn topics_in(value: &[u8]) -> Option<Vec<u64>> {
    let (_, sequence) = parse_der(value).ok()?;
    let elements = sequence.as_sequence().ok()?;
    Some(
        elements
            .iter()
            .filter_map(|element| element.as_str().ok())
            .map(|topic| fingerprint(topic.as_bytes()))
            .collect(),
    )
}
