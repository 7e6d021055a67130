//! What a credential says about itself, for people and for decisions; nothing of it is a secret.

use super::Credential;
use crate::endpoint::Environment;
use std::time::SystemTime;

/// What a credential is, whom it belongs to, what it is for, and until when. Two credentials are the same exactly if these are equal:
/// one signing key with another key id or team id makes other provider tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialInfo {
    /// `token` or `certificate`.
    pub kind: &'static str,
    /// The team, if it says.
    pub team_id: Option<String>,
    /// A token key's id.
    pub key_id: Option<String>,
    /// A certificate's name, for people.
    pub common_name: Option<String>,
    /// SHA-256 over the certificate or the public key, hex.
    pub fingerprint: String,
    /// Environments it is good for; empty if it does not say.
    pub environments: Vec<Environment>,
    /// Topics it may push to; empty if it does not say.
    pub topics: Vec<String>,
    /// From when it is valid; a token key has no such time.
    pub not_before: Option<SystemTime>,
    /// Until when it is valid; a token key has no end.
    pub not_after: Option<SystemTime>,
}

impl CredentialInfo {
    /// Whether it may push to a topic, as far as it says.
    pub fn covers(&self, topic: &str) -> bool {
        self.topics.is_empty() || self.topics.iter().any(|covered| covered == topic)
    }
}

impl Credential {
    /// What it says about itself.
    pub fn info(&self) -> CredentialInfo {
        match self {
            Credential::Token(key) => CredentialInfo {
                kind: self.kind(),
                team_id: Some(key.team_id().to_owned()),
                key_id: Some(key.key_id().to_owned()),
                common_name: None,
                fingerprint: key.fingerprint(),
                environments: key.environments().to_vec(),
                topics: key.topics().to_vec(),
                not_before: None,
                not_after: None,
            },
            Credential::Certificate(certificate) => {
                let info = certificate.info();
                CredentialInfo {
                    kind: self.kind(),
                    team_id: info.team_id.clone(),
                    key_id: None,
                    common_name: info.common_name.clone(),
                    fingerprint: info.fingerprint.clone(),
                    environments: info.environments.clone(),
                    topics: info.topics.clone(),
                    not_before: Some(info.not_before),
                    not_after: Some(info.not_after),
                }
            }
        }
    }
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
