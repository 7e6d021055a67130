//! PostgreSQL's form of a password, made here, so that the password itself is in no statement and in no log of the server
//! (RFC 5803; `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`).

use std::num::NonZeroU32;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What PostgreSQL itself uses; the passwords are random, so more would only cost each log-in.
pub(super) const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// Bytes of a new salt.
pub(super) const SALT_BYTES: usize = 16;

/// The stored form of an ASCII password (others would need SASLprep first).
pub(super) fn verifier(password: &str, salt: &[u8], iterations: NonZeroU32) -> String {
    let mut salted = Zeroizing::new([0; SHA256_OUTPUT_LEN]);
    derive(PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut *salted);
    let key = Key::new(HMAC_SHA256, &*salted);
    let stored = digest(&SHA256, sign(&key, b"Client Key").as_ref());
    let server = sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

/// Whether a stored form is this password's.
pub(super) fn is_verifier_of(stored: &str, password: &str) -> bool {
    let parts = || {
        let (head, _) = stored.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        Some((iterations.parse().ok()?, STANDARD.decode(salt).ok()?))
    };
    parts().is_some_and(|(iterations, salt)| verifier(password, &salt, iterations) == stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, in PostgreSQL's form.
    #[test]
    fn the_example_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let stored = verifier("pencil", &salt, ITERATIONS);
        let known = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                     wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(stored, known);
        assert!(is_verifier_of(&stored, "pencil") && !is_verifier_of(&stored, "pen"));
    }
}
