//! A push certificate: `.p12` or PEM, and what its own extensions say it may do.

use super::CredentialError;
use crate::endpoint::Environment;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::certificate::X509Certificate;

const OID_SANDBOX: &str = "1.2.840.113635.100.6.3.1";
const OID_PRODUCTION: &str = "1.2.840.113635.100.6.3.2";
const OID_VOIP_TOPICS: &str = "1.2.840.113635.100.6.3.4";
const OID_TOPICS: &str = "1.2.840.113635.100.6.3.6";
const OID_UID: &str = "0.9.2342.19200300.100.1.1";
const OID_TEAM: &str = "2.5.4.11";

/// What a push certificate says about itself (Apple: "Establishing a certificate-based connection to APNs").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The subject's UID: the bundle id, or the topic of a device management certificate.
    pub uid: Option<String>,
    /// The subject's OU: the team id.
    pub team_id: Option<String>,
    /// The subject's CN, for people.
    pub common_name: Option<String>,
    /// Where it may be used; empty if it does not say.
    pub environments: Vec<Environment>,
    /// Topics it may push to: its lists, or its UID if it has no list; empty if it does not say.
    pub topics: Vec<String>,
    /// Start of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
    /// SHA-256 over the certificate, hex.
    pub fingerprint: String,
    validity: (String, String),
}

impl CertificateInfo {
    /// Refuses a certificate that is not valid at `now`.
    pub fn check_validity(&self, now: SystemTime) -> Result<(), CredentialError> {
        if (self.not_before..=self.not_after).contains(&now) {
            return Ok(());
        }
        let (from, to) = self.validity.clone();
        Err(CredentialError::NotValidNow { from, to })
    }

    fn read(der: &[u8]) -> Result<Self, CredentialError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| CredentialError::BadCertificate(error.to_string()))?;
        let subject = |oid: &str| {
            certificate
                .subject()
                .iter_attributes()
                .find(|attribute| attribute.attr_type().to_id_string() == oid)
                .and_then(|attribute| attribute.as_str().ok())
                .map(str::to_owned)
        };
        let mut environments = Vec::new();
        let mut topics = Vec::new();
        for extension in certificate.extensions() {
            match extension.oid.to_id_string().as_str() {
                OID_SANDBOX => environments.push(Environment::Sandbox),
                OID_PRODUCTION => environments.push(Environment::Production),
                OID_TOPICS | OID_VOIP_TOPICS => topics.extend(topic_list(extension.value)),
                _ => {}
            }
        }
        let uid = subject(OID_UID);
        if topics.is_empty() {
            topics.extend(uid.clone());
        }
        topics.dedup();
        let validity = certificate.validity();
        let instant = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64);
        Ok(Self {
            uid,
            team_id: subject(OID_TEAM),
            common_name: certificate
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            environments,
            topics,
            not_before: instant(validity.not_before.timestamp()),
            not_after: instant(validity.not_after.timestamp()),
            fingerprint: super::info::sha256_hex(der),
            validity: (validity.not_before.to_string(), validity.not_after.to_string()),
        })
    }
}

/// The strings of `SEQUENCE { UTF8String topic, SEQUENCE { UTF8String kind }, … }`; none if it is something else.
fn topic_list(value: &[u8]) -> Vec<String> {
    let Ok((_, list)) = Any::from_der(value) else { return Vec::new() };
    let mut topics = Vec::new();
    let mut rest: &[u8] = if list.tag() == Tag::Sequence { list.data } else { &[] };
    while let Ok((after, item)) = Any::from_der(rest) {
        if item.tag() == Tag::Utf8String
            && let Ok(topic) = str::from_utf8(item.data)
        {
            topics.push(topic.to_owned());
        }
        rest = after;
    }
    topics
}

/// What a `.p12` that can't be opened is refused for.
fn p12_fault(error: &p12_keystore::error::Error) -> CredentialError {
    use p12_keystore::error::Error as P12;
    match error {
        P12::MacError(_) => CredentialError::WrongPassword,
        P12::UnsupportedEncryptionScheme | P12::UnsupportedMacAlgorithm | P12::UnsupportedContentType => {
            CredentialError::UnsupportedP12(error.to_string().to_lowercase())
        }
        _ => CredentialError::NotAP12,
    }
}

/// A certificate with its private key. No `Debug` of the key; cheap to clone.
#[derive(Clone)]
pub struct ClientCertificate {
    info: Arc<CertificateInfo>,
    resolver: Arc<dyn ResolvesClientCert>,
}

impl ClientCertificate {
    /// Opens a `.p12` file.
    pub fn from_p12(bytes: &[u8], password: &str) -> Result<Self, CredentialError> {
        let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed)
            .map_err(|error| p12_fault(&error))?;
        let chain = store
            .entries()
            .find_map(|(_, entry)| match entry {
                KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => Some(chain),
                _ => None,
            })
            .ok_or(CredentialError::NoKeyPair)?;
        let certificates = chain.certs().iter().map(|c| CertificateDer::from(c.as_der().to_vec())).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()));
        Self::from_der(certificates, key)
    }

    /// Reads PEM text: the certificate, any intermediates after it, and an unencrypted private key, which may be in the
    /// same text.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialError::BadPem { what: "certificate" })?;
        if chain.is_empty() {
            return Err(CredentialError::BadPem { what: "certificate" });
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| CredentialError::BadPem { what: "private key; encrypted ones can't be used" })?;
        Self::from_der(chain, key)
    }

    fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialError> {
        let info = CertificateInfo::read(&chain[0])?;
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| CredentialError::KeyMismatch(error.to_string()))?;
        Ok(Self { info: Arc::new(info), resolver: Arc::new(SingleCertAndKey::from(certified)) })
    }

    /// What it says about itself; no secret.
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        self.resolver.clone()
    }
}

#[cfg(test)]
mod tests;
