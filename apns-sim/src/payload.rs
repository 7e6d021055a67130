//! The few keys that the simulator reads from a payload, found without parsing it.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The payload key with the producer's sequence number of the device token: a top-level integer beside `aps`.
pub const SEQUENCE_KEY: &str = "skein_seq";

static SEQUENCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"skein_seq\""));
static BADGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"badge\""));

static ALERT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"alert\""));
static BODY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"body\""));
static TITLE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"title\""));

/// The producer's sequence number, if the payload carries one.
pub(crate) fn sequence(payload: &[u8]) -> Option<u64> {
    integer_after(payload, &SEQUENCE)
}

/// The badge, if the payload sets one.
pub(crate) fn badge(payload: &[u8]) -> Option<u64> {
    integer_after(payload, &BADGE)
}

/// The longest text remembered of an alert, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;

/// What the alert says: itself if it is a string, else its body, else its title.
pub(crate) fn text(payload: &[u8]) -> Option<Box<str>> {
    let alert = value_after(payload, &ALERT)?;
    match alert.first()? {
        b'"' => string(alert),
        b'{' => [&BODY, &TITLE].into_iter().find_map(|key| string(value_after(alert, key)?)),
        _ => None,
    }
}

fn value_after<'a>(payload: &'a [u8], key: &Finder<'_>) -> Option<&'a [u8]> {
    let mut rest = payload;
    while let Some(at) = key.find(rest) {
        rest = rest[at + key.needle().len()..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b":") {
            return Some(value.trim_ascii_start());
        }
    }
    None
}

fn string(value: &[u8]) -> Option<Box<str>> {
    let inside = value.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', inside)?;
    if inside[end] == b'"' {
        return std::str::from_utf8(&inside[..end]).ok().map(cut);
    }
    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<String>();
    values.next()?.ok().map(|text| cut(&text))
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
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

    #[test]
    fn the_text_of_an_alert() {
        let said = |payload: &str| text(payload.as_bytes()).map(String::from);
        assert_eq!(said(r#"{"aps":{"alert":"hi"}}"#).as_deref(), Some("hi"));
        assert_eq!(
            said(r#"{"aps":{"alert":{"title":"Ann","body":"a \"b\" \u00e9"}}}"#).as_deref(),
            Some("a \"b\" é")
        );
        assert_eq!(said(r#"{"aps":{"alert" : {"title":"Ann"}}}"#).as_deref(), Some("Ann"));
        for none in [r#"{"aps":{"badge":1}}"#, r#"{"aps":{"alert":"#, r#"{"x":"alert"}"#, ""] {
            assert_eq!(said(none), None, "{none}");
        }
        assert_eq!(
            said(&format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "é".repeat(300))).map(|text| text.len()),
            Some(256)
        );
    }
}
