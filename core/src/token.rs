//! Device tokens: personal data and a capability to send, so never printed; outside they are keyed fingerprints.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest device token accepted, in bytes (Apple's documentation: the length is not fixed; 100 bytes were announced).
pub const TOKEN_BYTES_MAX: usize = 200;

/// A device token, canonical: the bytes behind its hexadecimal text, whatever its case.
///
/// `Debug` shows no byte of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceToken(Box<[u8]>);

/// Why a text is not a device token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// Empty text.
    #[error("empty; send the device token as hexadecimal text")]
    Empty,
    /// Something else than hexadecimal digits, or an odd number of them.
    #[error(
        "not hexadecimal with an even number of digits; send the bytes of the device token as hexadecimal text"
    )]
    NotHex,
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0xff,
    }
}

const NIBBLES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = nibble(i as u8);
        i += 1;
    }
    table
};

/// Decodes hexadecimal text of either case. `None` if it is not that.
fn from_hex(text: &[u8]) -> Option<Box<[u8]>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let mut bad = 0;
    let bytes = text
        .chunks_exact(2)
        .map(|pair| {
            let (high, low) = (NIBBLES[pair[0] as usize], NIBBLES[pair[1] as usize]);
            bad |= (high | low) & 0xf0;
            high << 4 | (low & 0x0f)
        })
        .collect();
    (bad == 0).then_some(bytes)
}

/// Writes lower-case hexadecimal text.
fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]));
}

impl DeviceToken {
    /// Reads hexadecimal text of either case.
    pub fn parse(hex: &str) -> Result<Self, NotAToken> {
        match hex.len() {
            0 => Err(NotAToken::Empty),
            n if n > 2 * TOKEN_BYTES_MAX => Err(NotAToken::TooLong),
            _ => from_hex(hex.as_bytes()).map(Self).ok_or(NotAToken::NotHex),
        }
    }

    /// From the token's bytes (1 to [`TOKEN_BYTES_MAX`]).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAToken> {
        match bytes.len() {
            0 => Err(NotAToken::Empty),
            n if n > TOKEN_BYTES_MAX => Err(NotAToken::TooLong),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// The token's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The token as lower-case hexadecimal text, for `:path` and the wire only.
    pub fn reveal_hex(&self) -> String {
        let mut out = Vec::with_capacity(self.0.len() * 2);
        push_hex(&self.0, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceToken({} bytes)", self.0.len())
    }
}

/// The key of all fingerprints of one installation. Kept secret: with it, a guess at a token can be confirmed.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// From 32 secret bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From a secret text of any length, by BLAKE3's key derivation.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("skein 2026 fingerprint key v1", secret))
    }

    /// The fingerprint of a device token.
    pub fn token(&self, token: &DeviceToken) -> Fingerprint {
        self.print(token.as_bytes())
    }

    /// The fingerprint of a user, collapse id or other text.
    pub fn text(&self, text: &str) -> Fingerprint {
        self.print(text.as_bytes())
    }

    fn print(&self, bytes: &[u8]) -> Fingerprint {
        let mut out = [0; 16];
        out.copy_from_slice(&blake3::keyed_hash(&self.0, bytes).as_bytes()[..16]);
        Fingerprint(out)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

/// What stands for a device token or a user in ledger, logs and metrics: 16 bytes of a keyed BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Its first 8 bytes as a number: enough for a filter whose hits are confirmed elsewhere.
    pub fn short(&self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(head)
    }

    /// Reads its 32 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let bytes = from_hex(hex.as_bytes())?;
        Some(Self(<[u8; 16]>::try_from(&*bytes).ok()?))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not a fingerprint of 32 hexadecimal digits"))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_whatever_the_case() {
        let lower = DeviceToken::parse("a0ff").unwrap();
        assert_eq!(lower, DeviceToken::parse("A0fF").unwrap());
        assert_eq!(lower.reveal_hex(), "a0ff");
        assert_eq!(DeviceToken::parse(""), Err(NotAToken::Empty));
        assert_eq!(DeviceToken::parse("a"), Err(NotAToken::NotHex));
        assert_eq!(DeviceToken::parse("zz"), Err(NotAToken::NotHex));
        assert_eq!(DeviceToken::parse("ä0"), Err(NotAToken::NotHex));
        assert!(DeviceToken::parse(&"ab".repeat(200)).is_ok());
        assert_eq!(DeviceToken::parse(&"ab".repeat(201)), Err(NotAToken::TooLong));
    }

    #[test]
    fn p9_debug_shows_no_byte() {
        let token = DeviceToken::parse("deadbeef").unwrap();
        assert!(!format!("{token:?}").contains("dead"));
        assert!(!format!("{:?}", FingerprintKey::derive(b"secret")).contains("secret"));
    }

    #[test]
    fn fingerprints_depend_on_the_key() {
        let token = DeviceToken::parse("deadbeef").unwrap();
        let (a, b) = (FingerprintKey::derive(b"a"), FingerprintKey::derive(b"b"));
        assert_ne!(a.token(&token), b.token(&token));
        assert_eq!(a.token(&token), FingerprintKey::derive(b"a").token(&token));
        assert_eq!(Fingerprint::parse(&a.token(&token).to_string()), Some(a.token(&token)));
    }
}
