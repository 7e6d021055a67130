//! Device tokens at rest: encrypted with AES-256-GCM, tied to their fingerprint.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use skein_core::{DeviceToken, Fingerprint};

/// Encrypts and decrypts device tokens for the device table. Clones share the key.
///
/// A sealed token is a random nonce, the encrypted bytes and the tag; the fingerprint is authenticated with it, so that a
/// sealed token moved to another row does not open.
#[derive(Clone)]
pub struct TokenCipher(Arc<RandomizedNonceKey>);

/// The cipher refused: the key is another, or the bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored device token does not open with this key; give the key it was stored with")]
pub struct DoesNotOpen;

impl TokenCipher {
    /// From 32 secret bytes.
    ///
    /// # Panics
    /// Never: the algorithm takes exactly 32 bytes.
    pub fn new(key: [u8; 32]) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).expect("AES-256-GCM takes any 32 bytes");
        Self(Arc::new(key))
    }

    /// Encrypts a token.
    ///
    /// # Errors
    /// Only if the system has no random bytes.
    pub fn seal(&self, token: &DeviceToken, fingerprint: Fingerprint) -> Result<Vec<u8>, DoesNotOpen> {
        let mut body = token.as_bytes().to_vec();
        let nonce =
            self.0.seal_in_place_append_tag(Aad::from(fingerprint.0), &mut body).map_err(|_| DoesNotOpen)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Decrypts a token.
    ///
    /// # Errors
    /// [`DoesNotOpen`].
    pub fn open(&self, sealed: &[u8], fingerprint: Fingerprint) -> Result<DeviceToken, DoesNotOpen> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DoesNotOpen)?;
        let mut body = body.to_vec();
        let open =
            self.0.open_in_place(nonce, Aad::from(fingerprint.0), &mut body).map_err(|_| DoesNotOpen)?;
        DeviceToken::from_bytes(open).map_err(|_| DoesNotOpen)
    }
}

impl fmt::Debug for TokenCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCipher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_only_the_same_key_and_fingerprint_open() {
        let token = DeviceToken::parse("deadbeef00112233").unwrap();
        let (mine, other) = (Fingerprint([1; 16]), Fingerprint([2; 16]));
        let cipher = TokenCipher::new([7; 32]);
        let sealed = cipher.seal(&token, mine).unwrap();
        assert_eq!(cipher.open(&sealed, mine), Ok(token.clone()));
        assert_eq!(cipher.open(&sealed, other), Err(DoesNotOpen));
        assert_eq!(TokenCipher::new([8; 32]).open(&sealed, mine), Err(DoesNotOpen));
        assert_eq!(cipher.open(&sealed[..11], mine), Err(DoesNotOpen));
        assert!(!sealed.windows(8).any(|w| w == token.as_bytes()));
        assert_ne!(sealed, cipher.seal(&token, mine).unwrap(), "a nonce is never used twice");
        assert_eq!(format!("{cipher:?}"), "TokenCipher(…)");
    }
}
