//! What stands for a device token in logs and maps, and the seeded draws that decide faults.

/// The 64-bit fingerprint of a device token: FNV-1a over its bytes, then the finaliser of MurmurHash3.
///
/// The bytes are the decoded token, not its hex text. The same hash that routes tokens, so that a producer in any
/// language computes it in ten lines.
pub fn fingerprint(token: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in token {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// The fingerprint of a token written in hex, upper or lower case; `None` if it is no even-length hex.
pub fn fingerprint_of_hex(token: &str) -> Option<u64> {
    let mut bytes = [0; DEVICE_TOKEN_BYTES_MAX];
    decode_hex(token.as_bytes(), &mut bytes).map(fingerprint)
}

/// The longest device token accepted: 200 bytes, 400 hex digits.
pub const DEVICE_TOKEN_BYTES_MAX: usize = 200;

/// Decodes hex into `out`, returning the part that was filled.
pub(crate) fn decode_hex<'a>(hex: &[u8], out: &'a mut [u8; DEVICE_TOKEN_BYTES_MAX]) -> Option<&'a [u8]> {
    let (pairs, rest) = hex.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() || pairs.len() > out.len() {
        return None;
    }
    let mut bad = 0;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLE[usize::from(*high)], NIBBLE[usize::from(*low)]);
        bad |= high | low;
        *byte = high << 4 | (low & 0x0f);
    }
    if bad & 0x80 != 0 { None } else { Some(&out[..pairs.len()]) }
}

const NIBBLE: [u8; 256] = {
    let mut table = [0x80; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

pub(crate) fn nibble(digit: u8) -> Option<u8> {
    let value = NIBBLE[usize::from(digit)];
    (value < 16).then_some(value)
}

pub(crate) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A number in `[0, 1)` that depends on nothing but its arguments.
pub(crate) fn draw(seed: u64, salt: u64, subject: u64, attempt: u64) -> f64 {
    let hash = mix(mix(mix(seed ^ mix(salt)).wrapping_add(subject)).wrapping_add(attempt));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// A map key's own bits are its hash: ids and fingerprints are already mixed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mixed(u64);

impl std::hash::Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ fingerprint(bytes));
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = self.0.wrapping_add(u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(23).wrapping_add(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = mix((value >> 64) as u64 ^ mix(value as u64));
    }
}

pub(crate) type BuildMixed = std::hash::BuildHasherDefault<Mixed>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_of_the_hex_does_not_matter() {
        assert_eq!(fingerprint_of_hex("00aaFF"), Some(fingerprint(&[0, 0xaa, 0xff])));
        assert_eq!(fingerprint_of_hex("00AAff"), fingerprint_of_hex("00aaFF"));
        for bad in ["", "0", "0g", "zz", "é0"] {
            assert_eq!(fingerprint_of_hex(bad), None, "{bad}");
        }
        assert_eq!(fingerprint_of_hex(&"ab".repeat(DEVICE_TOKEN_BYTES_MAX + 1)), None);
        assert!(fingerprint_of_hex(&"ab".repeat(DEVICE_TOKEN_BYTES_MAX)).is_some());
    }

    #[test]
    fn its_low_bits_are_the_published_slots() {
        for (token, slot) in [("00".repeat(32), 830), ("ff".repeat(32), 422), ("a0".to_owned(), 604)] {
            assert_eq!(fingerprint_of_hex(&token).map(|hash| hash % 1024), Some(slot), "{token}");
        }
    }

    #[test]
    fn draws_are_even_and_repeatable() {
        let hits = (0..100_000).filter(|n| draw(7, 1, *n, 0) < 0.01).count();
        assert!((850..1150).contains(&hits), "{hits}");
        assert_eq!(draw(7, 1, 42, 3), draw(7, 1, 42, 3));
        assert_ne!(draw(7, 1, 42, 3), draw(7, 1, 42, 4));
        assert_ne!(draw(7, 1, 42, 3), draw(8, 1, 42, 3));
    }
}
