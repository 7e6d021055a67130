//! Secrets: wiped when dropped, never printed.

use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password or the like. Wiped from memory when dropped; `Debug` prints `Secret(…)`, there is no `Display`.
///
/// Comparison is for telling that a configuration changed; it does not take constant time.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that hands it to a driver. Never log what this returns.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A 32-byte key, written as 64 hex digits in its file. Wiped when dropped; `Debug` prints `Key32(…)`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key32([u8; 32]);

impl Key32 {
    /// Reads exactly 64 hex digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = Self([0; 32]);
        hex32(text, &mut key.0).then_some(key)
    }

    /// The key's bytes, for the one place that keys a cipher or a hash. Never log what this returns.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key32(…)")
    }
}

/// Fills `bytes` from 64 hex digits; false, with `bytes` in no defined state, for anything else.
pub(crate) fn hex32(text: &str, bytes: &mut [u8; 32]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return false;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = ((pair[0] as char).to_digit(16), (pair[1] as char).to_digit(16)) else {
            return false;
        };
        *byte = (high * 16 + low) as u8;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P9: secrets stay inside.
    #[test]
    fn debug_shows_nothing() {
        let key = Key32::from_hex(&"ab".repeat(32));
        let text = format!("{:?} {key:?}", Secret::new("hunter2".into()));
        assert_eq!(text, "Secret(…) Some(Key32(…))");
    }

    #[test]
    fn key_needs_64_hex_digits() {
        assert_eq!(Key32::from_hex(&"0F".repeat(32)).map(|k| *k.expose()), Some([15; 32]));
        assert!(Key32::from_hex(&"0f".repeat(31)).is_none());
        assert!(Key32::from_hex(&"0g".repeat(32)).is_none());
        assert!(Key32::from_hex(&"é".repeat(32)).is_none());
    }
}
