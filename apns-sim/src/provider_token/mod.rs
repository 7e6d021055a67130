//! Provider tokens: the JWT in `authorization`, its form, age and signature, and what one connection allows of them.

mod authorization;
mod key;
#[cfg(test)]
mod tests;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
pub(crate) use authorization::Authorization;
pub use key::{ProviderKey, ProviderKeyError};

/// Which of Apple's two services is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// `api.push.apple.com`.
    Production,
    /// `api.sandbox.push.apple.com`; its answers carry `apns-unique-id`.
    #[default]
    Sandbox,
}

/// How provider tokens are judged ("Establishing a token-based connection to APNs").
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenPolicy {
    /// Known keys. Without any, every key id is known and signatures are not verified.
    #[serde(skip)]
    pub keys: Vec<ProviderKey>,
    /// Take any JWT whose parts decode, of any age and signature.
    pub lenient: bool,
    /// Oldest (and most future) `iat`, in seconds.
    pub age_max_s: u64,
    /// A connection that sees another token sooner than this many seconds after the last answers
    /// `TooManyProviderTokenUpdates`; 0 switches that off.
    pub update_min_s: u64,
    /// A connection on which a token has expired answers `ExpiredProviderToken` for good, with a good token too. Seen of
    /// Apple's service, promised by nobody. Default: on.
    pub wedges: bool,
    /// What a key of the other environment is called: `BadEnvironmentKeyIdInToken`, as documented (default), or
    /// `BadEnvironmentKeyInToken`, as reported from the live service.
    pub wrong_environment: Reason,
    /// What a topic outside a topic-specific key's list is answered with; Apple names no reason. Default:
    /// `InvalidProviderToken`.
    pub foreign_topic: Reason,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            lenient: false,
            age_max_s: 3600,
            update_min_s: 1200,
            wedges: true,
            wrong_environment: Reason::BadEnvironmentKeyIdInToken,
            foreign_topic: Reason::InvalidProviderToken,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Claims {
    key_id: String,
    team_id: String,
    issued_s: u64,
}

#[derive(Deserialize)]
struct RawHeader {
    alg: Option<String>,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct RawClaims {
    iss: Option<String>,
    iat: Option<NumberOrText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl TokenPolicy {
    fn verify(&self, token: &[u8], environment: Environment) -> Result<Claims, Reason> {
        let parse = || {
            let mut parts = token.split(|byte| *byte == b'.');
            let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
            let header: RawHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
            let claims: RawClaims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
            parts.next().is_none().then_some((header, claims, URL_SAFE_NO_PAD.decode(signature).ok()?))
        };
        let (header, claims, signature) = parse().ok_or(Reason::InvalidProviderToken)?;
        let issued_s = match claims.iat {
            Some(NumberOrText::Number(seconds)) => Some(seconds as u64),
            Some(NumberOrText::Text(text)) => text.parse().ok(),
            None => None,
        };
        let (key_id, team_id) = (header.kid.unwrap_or_default(), claims.iss.unwrap_or_default());
        if self.lenient {
            return Ok(Claims { key_id, team_id, issued_s: issued_s.unwrap_or(0) });
        }
        let issued_s = issued_s.ok_or(Reason::InvalidProviderToken)?;
        if header.alg.as_deref() != Some("ES256")
            || key_id.is_empty()
            || team_id.is_empty()
            || signature.is_empty()
        {
            return Err(Reason::InvalidProviderToken);
        }
        if !self.keys.is_empty() {
            let key = self.key(&key_id, &team_id).filter(|key| !key.revoked);
            let key = key.ok_or(Reason::InvalidProviderToken)?;
            let signed = &token[..token.iter().rposition(|byte| *byte == b'.').unwrap_or(0)];
            let verifies = |algorithm| {
                UnparsedPublicKey::new(algorithm, &key.public_key).verify(signed, &signature).is_ok()
            };
            if !verifies(&ECDSA_P256_SHA256_FIXED) && !verifies(&ECDSA_P256_SHA256_ASN1) {
                return Err(Reason::InvalidProviderToken);
            }
            if key.environment.is_some_and(|bound| bound != environment) {
                return Err(self.wrong_environment);
            }
        }
        Ok(Claims { key_id, team_id, issued_s })
    }

    /// Adds a key, in place of the one with the same id and team.
    pub(crate) fn set_key(&mut self, key: ProviderKey) {
        self.keys.retain(|other| (&other.key_id, &other.team_id) != (&key.key_id, &key.team_id));
        self.keys.push(key);
    }

    /// `false` if there is no such key.
    pub(crate) fn set_revoked(&mut self, key_id: &str, revoked: bool) -> bool {
        let key = self.keys.iter_mut().find(|key| key.key_id == key_id);
        key.map(|key| key.revoked = revoked).is_some()
    }

    fn key(&self, key_id: &str, team_id: &str) -> Option<&ProviderKey> {
        self.keys.iter().find(|key| key.key_id == key_id && key.team_id == team_id)
    }

    fn is_fresh(&self, issued_s: u64, now_s: u64) -> bool {
        self.lenient || issued_s.abs_diff(now_s) <= self.age_max_s
    }
}
