//! The few keys that the simulator reads from a payload, found without parsing it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The payload key with the producer's sequence number of the device token: a top-level integer beside `aps`.
pub const SEQUENCE_KEY: &str = "skein_seq";

static SEQUENCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"skein_seq\""));
static BADGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"badge\""));

/// The producer's sequence number, if the payload carries one.
pub(crate) fn sequence(payload: &[u8]) -> Option<u64> {
    integer_after(payload, &SEQUENCE)
}

/// The badge, if the payload sets one.
pub(crate) fn badge(payload: &[u8]) -> Option<u64> {
    integer_after(payload, &BADGE)
}

fn integer_after(payload: &[u8], key: &Finder<'_>) -> Option<u64> {
    let mut from = 0;
    while let Some(at) = key.find(&payload[from..]) {
        from += at + key.needle().len();
        let rest = payload[from..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":") else { continue };
        let rest = rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        return std::str::from_utf8(&rest[..digits]).ok()?.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_and_text_is_not() {
        assert_eq!(sequence(br#"{"aps":{"badge":3},"skein_seq":17}"#), Some(17));
        assert_eq!(sequence(br#"{"skein_seq" : 5 ,"aps":{}}"#), Some(5));
        assert_eq!(sequence(br#"{"aps":{"alert":"\"skein_seq\":9"}}"#), None);
        assert_eq!(sequence(br#"{"aps":{"alert":"skein_seq"},"x":["skein_seq"],"skein_seq":4}"#), Some(4));
        assert_eq!(sequence(br#"{"skein_seq":"4"}"#), None);
        assert_eq!(sequence(br#"{"skein_seq":99999999999999999999999}"#), None);
        assert_eq!(badge(br#"{"aps":{"badge":0}}"#), Some(0));
        assert_eq!(badge(b""), None);
    }
}
