//! The signing keys that the simulator knows.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::Environment;
use crate::fingerprint::fingerprint;

/// A signing key the simulator knows.
#[derive(Clone)]
pub struct ProviderKey {
    pub(super) key_id: String,
    pub(super) team_id: String,
    pub(super) environment: Option<Environment>,
    pub(super) public_key: Vec<u8>,
    /// Fingerprints of the topics it is bound to; none: all of its team.
    pub(super) topics: Vec<u64>,
    pub(super) related: Option<String>,
    pub(super) revoked: bool,
}

/// Why a signing key cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum ProviderKeyError {
    /// Not a PEM file with a PKCS#8 key.
    #[error("the signing key is no PKCS#8 PEM file (.p8)")]
    Pem,
    /// Not an ECDSA key on P-256.
    #[error("the signing key is not on the curve P-256")]
    Curve,
}

impl ProviderKey {
    /// Takes a `.p8` file's text; only its public half is kept. Without an environment it is good for both.
    pub fn from_p8(
        key_id: &str,
        team_id: &str,
        environment: Option<Environment>,
        pem: &[u8],
    ) -> Result<Self, ProviderKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| ProviderKeyError::Pem)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            .map_err(|_| ProviderKeyError::Curve)?;
        let public_key = pair.public_key().as_ref().to_vec();
        Ok(Self {
            key_id: key_id.to_owned(),
            team_id: team_id.to_owned(),
            environment,
            public_key,
            topics: Vec::new(),
            related: None,
            revoked: false,
        })
    }

    /// Binds it to these topics (topic-specific keys, since February 2025).
    #[must_use]
    pub fn for_topics<'a>(mut self, topics: impl IntoIterator<Item = &'a str>) -> Self {
        self.topics = topics.into_iter().map(|topic| fingerprint(topic.as_bytes())).collect();
        self
    }

    /// Names the one other key that may be used on the same connection.
    #[must_use]
    pub fn related_to(mut self, key_id: &str) -> Self {
        self.related = Some(key_id.to_owned());
        self
    }

    /// Makes it revoked, or good again. Connections that have shown a good token of it go on, as with Apple.
    #[must_use]
    pub fn revoked(mut self, revoked: bool) -> Self {
        self.revoked = revoked;
        self
    }

    /// Whether both may be used on one connection.
    pub(super) fn is_related_to(&self, other: &Self) -> bool {
        let names = |one: &Self, other: &Self| one.related.as_deref() == Some(&other.key_id);
        self.environment == other.environment && (names(self, other) || names(other, self))
    }
}

impl std::fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderKey").field("key_id", &self.key_id).field("team_id", &self.team_id).finish()
    }
}
