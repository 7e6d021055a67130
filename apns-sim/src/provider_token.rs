//! Provider tokens: the JWT in `authorization`, its form, age and signature, and what one connection allows of them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;

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

/// A signing key the simulator knows.
#[derive(Clone)]
pub struct ProviderKey {
    key_id: String,
    team_id: String,
    environment: Option<Environment>,
    public_key: Vec<u8>,
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
        Ok(Self { key_id: key_id.to_owned(), team_id: team_id.to_owned(), environment, public_key })
    }
}

impl std::fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderKey").field("key_id", &self.key_id).field("team_id", &self.team_id).finish()
    }
}

/// How provider tokens are judged ("Establishing a token-based connection to APNs").
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    /// Known keys. Without any, every key id is known and signatures are not verified.
    pub keys: Vec<ProviderKey>,
    /// Take any JWT whose parts decode, of any age and signature.
    pub lenient: bool,
    /// Oldest (and most future) `iat`, in seconds.
    pub age_max_s: u64,
    /// A connection that sees another token sooner than this many seconds after the last answers
    /// `TooManyProviderTokenUpdates`; 0 switches that off.
    pub update_min_s: u64,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self { keys: Vec::new(), lenient: false, age_max_s: 3600, update_min_s: 1200 }
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
            let key = self.keys.iter().find(|key| key.key_id == key_id && key.team_id == team_id);
            let key = key.ok_or(Reason::InvalidProviderToken)?;
            let signed = &token[..token.iter().rposition(|byte| *byte == b'.').unwrap_or(0)];
            let verifies = |algorithm| {
                UnparsedPublicKey::new(algorithm, &key.public_key).verify(signed, &signature).is_ok()
            };
            if !verifies(&ECDSA_P256_SHA256_FIXED) && !verifies(&ECDSA_P256_SHA256_ASN1) {
                return Err(Reason::InvalidProviderToken);
            }
            if key.environment.is_some_and(|bound| bound != environment) {
                return Err(Reason::BadEnvironmentKeyIdInToken);
            }
        }
        Ok(Claims { key_id, team_id, issued_s })
    }

    fn is_fresh(&self, issued_s: u64, now_s: u64) -> bool {
        self.lenient || issued_s.abs_diff(now_s) <= self.age_max_s
    }
}

/// The provider tokens that one connection has seen.
#[derive(Default)]
pub(crate) struct Authorization {
    /// The header value last looked at, and what it came to.
    last: Vec<u8>,
    outcome: Option<Result<Claims, Reason>>,
    /// Refuses everything from now on.
    wedged: Option<Reason>,
    /// The claims this connection is bound to, and since when.
    bound: Option<(Claims, u64)>,
}

impl Authorization {
    /// Judges one `authorization` value.
    pub(crate) fn check(
        &mut self,
        value: &[u8],
        policy: &TokenPolicy,
        environment: Environment,
        now_s: u64,
    ) -> Result<(), Reason> {
        if let Some(reason) = self.wedged {
            return Err(reason);
        }
        if !matches!(self.outcome, Some(Ok(_))) || self.last != value {
            self.last.clear();
            self.last.extend_from_slice(value);
            self.outcome = Some(self.judge(value, policy, environment, now_s));
        }
        match &self.outcome {
            Some(Ok(claims)) if !policy.is_fresh(claims.issued_s, now_s) => Err(Reason::ExpiredProviderToken),
            Some(Err(reason)) => Err(*reason),
            _ => Ok(()),
        }
    }

    /// The connection is good for nothing any more.
    pub(crate) fn wedge(&mut self, reason: Reason) {
        self.wedged = Some(reason);
    }

    fn judge(
        &mut self,
        value: &[u8],
        policy: &TokenPolicy,
        environment: Environment,
        now_s: u64,
    ) -> Result<Claims, Reason> {
        let token = value.strip_prefix(b"bearer ").filter(|token| !token.is_empty());
        let claims = policy.verify(token.ok_or(Reason::MissingProviderToken)?, environment)?;
        if !policy.is_fresh(claims.issued_s, now_s) {
            return Err(Reason::ExpiredProviderToken);
        }
        if let Some((bound, since_s)) = &self.bound {
            if bound.team_id != claims.team_id {
                return Err(Reason::InvalidProviderToken);
            }
            if bound.key_id != claims.key_id {
                return Err(Reason::UnrelatedKeyIdInToken);
            }
            if now_s.saturating_sub(*since_s) < policy.update_min_s && *bound != claims {
                return Err(Reason::TooManyProviderTokenUpdates);
            }
        }
        self.bound = Some((claims.clone(), now_s));
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> (String, ProviderKey) {
        let pem = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let key =
            ProviderKey::from_p8("ABCDEFGHIJ", "TEAM567890", None, pem.as_bytes()).expect("a P-256 key");
        (pem, key)
    }

    fn token(pem: &str, header: &str, claims: &str, der: bool) -> Vec<u8> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("pem");
        let signing = if der { &ECDSA_P256_SHA256_ASN1_SIGNING } else { &ECDSA_P256_SHA256_FIXED_SIGNING };
        let pair = EcdsaKeyPair::from_pkcs8(signing, key.secret_pkcs8_der()).expect("P-256");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
    }

    const HEADER: &str = r#"{"alg":"ES256","kid":"ABCDEFGHIJ"}"#;

    fn claims(issued_s: u64) -> String {
        format!(r#"{{"iss":"TEAM567890","iat":{issued_s}}}"#)
    }

    fn check(value: &[u8], policy: &TokenPolicy) -> Result<(), Reason> {
        Authorization::default().check(value, policy, Environment::Sandbox, NOW)
    }

    #[test]
    fn raw_and_der_signatures_and_both_kinds_of_iat_are_good() {
        let (pem, key) = key();
        let policy = TokenPolicy { keys: vec![key], ..TokenPolicy::default() };
        assert_eq!(check(&token(&pem, HEADER, &claims(NOW), false), &policy), Ok(()));
        assert_eq!(check(&token(&pem, HEADER, &claims(NOW), true), &policy), Ok(()));
        let text = format!(r#"{{"iss":"TEAM567890","iat":"{NOW}"}}"#);
        assert_eq!(check(&token(&pem, HEADER, &text, false), &policy), Ok(()));
    }

    #[test]
    fn bad_tokens_are_refused_with_apples_reasons() {
        let (pem, key) = key();
        let (other_pem, _) = super::tests::key();
        let policy = TokenPolicy { keys: vec![key.clone()], ..TokenPolicy::default() };
        let no_alg = r#"{"alg":"RS256","kid":"ABCDEFGHIJ"}"#;
        let other_kid = r#"{"alg":"ES256","kid":"OTHEROTHER"}"#;
        for (value, reason) in [
            (b"Bearer abc".to_vec(), Reason::MissingProviderToken),
            (b"bearer ".to_vec(), Reason::MissingProviderToken),
            (b"bearer a.b.c".to_vec(), Reason::InvalidProviderToken),
            (token(&pem, no_alg, &claims(NOW), false), Reason::InvalidProviderToken),
            (token(&pem, other_kid, &claims(NOW), false), Reason::InvalidProviderToken),
            (token(&other_pem, HEADER, &claims(NOW), false), Reason::InvalidProviderToken),
            (token(&pem, HEADER, &claims(NOW - 3601), false), Reason::ExpiredProviderToken),
            (token(&pem, HEADER, &claims(NOW + 3601), false), Reason::ExpiredProviderToken),
            (token(&pem, HEADER, r#"{"iss":"TEAM567890"}"#, false), Reason::InvalidProviderToken),
        ] {
            assert_eq!(check(&value, &policy), Err(reason));
        }
        let bound = ProviderKey { environment: Some(Environment::Production), ..key };
        let policy = TokenPolicy { keys: vec![bound], ..TokenPolicy::default() };
        let good = token(&pem, HEADER, &claims(NOW), false);
        assert_eq!(check(&good, &policy), Err(Reason::BadEnvironmentKeyIdInToken));
        let lenient = TokenPolicy { lenient: true, ..TokenPolicy::default() };
        assert_eq!(check(&token(&other_pem, no_alg, "{}", false), &lenient), Ok(()));
    }

    #[test]
    fn a_connection_holds_one_team_one_key_and_few_tokens() {
        let (pem, _) = key();
        let policy = TokenPolicy::default();
        let mut seen = Authorization::default();
        let mut at = |value: &[u8], now_s| seen.check(value, &policy, Environment::Sandbox, now_s);
        let (first, second) =
            (token(&pem, HEADER, &claims(NOW), false), token(&pem, HEADER, &claims(NOW + 9), false));
        assert_eq!(at(&first, NOW), Ok(()));
        assert_eq!(at(&second, NOW + 10), Err(Reason::TooManyProviderTokenUpdates));
        assert_eq!(at(&first, NOW + 11), Ok(()));
        assert_eq!(at(&first, NOW + 3601), Err(Reason::ExpiredProviderToken));
        let third = token(&pem, HEADER, &claims(NOW + 3601), false);
        assert_eq!(at(&third, NOW + 3602), Ok(()));
        let team = r#"{"iss":"OTHERTEAM0","iat":1800003601}"#;
        assert_eq!(at(&token(&pem, HEADER, team, false), NOW + 3602), Err(Reason::InvalidProviderToken));
        let kid = r#"{"alg":"ES256","kid":"OTHEROTHER"}"#;
        let other_key = token(&pem, kid, &claims(NOW + 3601), false);
        assert_eq!(at(&other_key, NOW + 3602), Err(Reason::UnrelatedKeyIdInToken));
    }
}
