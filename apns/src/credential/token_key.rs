//! A `.p8` key, and the provider tokens signed with it (Apple: "Establishing a token-based connection to APNs").

use super::CredentialError;
use crate::endpoint::Environment;
use crate::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Letters and digits of a key id and of a team id.
const IDENTIFIER_BYTES: usize = 10;

/// A signing key with its ids. No `Debug`; aws-lc wipes the key's memory.
#[derive(Clone)]
pub struct TokenKey {
    key: Arc<EcdsaKeyPair>,
    key_id: Arc<str>,
    team_id: Arc<str>,
    environments: Vec<Environment>,
    topics: Vec<String>,
}

impl TokenKey {
    /// Reads a `.p8` file's text.
    pub fn from_p8(pem: &[u8], key_id: &str, team_id: &str) -> Result<Self, CredentialError> {
        check_identifier("key id", key_id)?;
        check_identifier("team id", team_id)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| CredentialError::NotAP8Key)?;
        let der = zeroize::Zeroizing::new(der.secret_pkcs8_der().to_vec());
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_| CredentialError::NotP256)?;
        Ok(Self {
            key: Arc::new(key),
            key_id: key_id.into(),
            team_id: team_id.into(),
            environments: Vec::new(),
            topics: Vec::new(),
        })
    }

    /// Tells that the key is bound to these environments, which the file itself does not say. None: it is not bound.
    pub fn for_environments(self, environments: Vec<Environment>) -> Self {
        Self { environments, ..self }
    }

    /// Tells that the key is bound to these topics, which the file itself does not say. None: it is not bound.
    pub fn for_topics(self, topics: Vec<String>) -> Self {
        Self { topics, ..self }
    }

    /// The ten-character key id; not a secret.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The ten-character team id; not a secret.
    pub fn team_id(&self) -> &str {
        &self.team_id
    }

    /// SHA-256 over the public key, hex.
    pub(super) fn fingerprint(&self) -> String {
        super::info::sha256_hex(self.key.public_key().as_ref())
    }

    pub(super) fn environments(&self) -> &[Environment] {
        &self.environments
    }

    pub(super) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// A provider token issued at `now`, as the whole value of `authorization`: ES256 with the raw 64-byte signature of
    /// RFC 7518 §3.4. APNs takes it for an hour.
    pub fn authorization(&self, now: SystemTime) -> Secret {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.key_id);
        let claims = format!(r#"{{"iss":"{}","iat":{seconds}}}"#, self.team_id);
        let mut value = String::with_capacity(256);
        value.push_str("bearer ");
        let start = value.len();
        URL_SAFE_NO_PAD.encode_string(header, &mut value);
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut value);
        let signature = self
            .key
            .sign(&SystemRandom::new(), &value.as_bytes()[start..])
            .expect("signing with a checked key does not fail");
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut value);
        Secret::from(value)
    }
}

fn check_identifier(what: &'static str, text: &str) -> Result<(), CredentialError> {
    if text.len() == IDENTIFIER_BYTES && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(CredentialError::BadIdentifier { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Credential;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use std::time::Duration;

    fn p8(curve: &'static rcgen::SignatureAlgorithm) -> String {
        rcgen::KeyPair::generate_for(curve).unwrap().serialize_pem()
    }

    #[test]
    fn a_provider_token_is_what_apple_asks_for() {
        let key =
            TokenKey::from_p8(p8(&rcgen::PKCS_ECDSA_P256_SHA256).as_bytes(), "ABCDE12345", "TEAM567890")
                .unwrap();
        let value = key.authorization(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let text = str::from_utf8(value.expose()).unwrap().strip_prefix("bearer ").unwrap();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(header).unwrap(), br#"{"alg":"ES256","kid":"ABCDE12345"}"#);
        assert_eq!(URL_SAFE_NO_PAD.decode(claims).unwrap(), br#"{"iss":"TEAM567890","iat":1700000000}"#);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(signature.len(), 64);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn wrong_files_and_ids_are_refused_with_the_reason() {
        let pem = p8(&rcgen::PKCS_ECDSA_P256_SHA256);
        let refused =
            |pem: &str, key_id, team_id| TokenKey::from_p8(pem.as_bytes(), key_id, team_id).err().unwrap();
        assert_eq!(refused(&pem, "short", "TEAM567890"), CredentialError::BadIdentifier { what: "key id" });
        assert_eq!(
            refused(&pem, "ABCDE12345", "TEAM-67890"),
            CredentialError::BadIdentifier { what: "team id" }
        );
        assert_eq!(refused("nonsense", "ABCDE12345", "TEAM567890"), CredentialError::NotAP8Key);
        let other = p8(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(refused(&other, "ABCDE12345", "TEAM567890"), CredentialError::NotP256);
    }

    #[test]
    fn a_bound_key_is_refused_elsewhere() {
        let key =
            TokenKey::from_p8(p8(&rcgen::PKCS_ECDSA_P256_SHA256).as_bytes(), "ABCDE12345", "TEAM567890")
                .unwrap();
        let now = SystemTime::now();
        Credential::Token(key.clone()).check(Environment::Sandbox, &["com.example.any"], now).unwrap();
        let bound = Credential::Token(
            key.for_environments(vec![Environment::Production]).for_topics(vec!["com.example.im".into()]),
        );
        bound.check(Environment::Production, &["com.example.im"], now).unwrap();
        assert!(matches!(
            bound.check(Environment::Sandbox, &["com.example.im"], now),
            Err(CredentialError::WrongEnvironment { has: "production", wants: "sandbox" })
        ));
        assert!(matches!(
            bound.check(Environment::Production, &["com.example.im.voip"], now),
            Err(CredentialError::TopicNotCovered { .. })
        ));
    }
}
