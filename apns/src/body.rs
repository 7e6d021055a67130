//! What the body of a refusal, or GOAWAY's debug data, says.

use crate::reason::Reason;
use serde::Deserialize;
use std::borrow::Cow;

/// Reason and timestamp of an error body; both absent if it has none or is not JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// What APNs says is wrong.
    pub reason: Option<Reason>,
    /// With 410 only: when APNs found the token inactive, in **milliseconds** since the epoch.
    pub timestamp_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    timestamp: Option<serde_json::Value>,
}

/// The same, for a body whose timestamp is no number that anybody has (1e999).
#[derive(Deserialize)]
struct ReasonAlone<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

/// The last millisecond of the year 9999: what is beyond it can't be reckoned with.
const TIMESTAMP_MS_MAX: i64 = 253_402_300_799_999;

impl ErrorBody {
    /// Reads a body tolerantly: extra keys are ignored, a timestamp may be a number or a string, and anything that
    /// is not such an object is an empty answer, not an error.
    pub fn parse(bytes: &[u8]) -> Self {
        let Ok(wire) = serde_json::from_slice::<Wire<'_>>(bytes) else {
            let alone = serde_json::from_slice::<ReasonAlone<'_>>(bytes).ok();
            return Self { reason: alone.map(|body| Reason::parse(&body.reason)), timestamp_ms: None };
        };
        let timestamp_ms = wire
            .timestamp
            .and_then(|value| match value {
                serde_json::Value::Number(number) => {
                    number.as_i64().or_else(|| number.as_f64().map(|ms| ms as i64))
                }
                serde_json::Value::String(text) => text.parse().ok(),
                _ => None,
            })
            .filter(|ms| (0..=TIMESTAMP_MS_MAX).contains(ms));
        Self { reason: wire.reason.map(|text| Reason::parse(&text)), timestamp_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_in_every_shape() {
        let full =
            ErrorBody::parse(br#"{"reason":"Unregistered","timestamp":1700000000123,"more":{"a":[1]}}"#);
        assert_eq!(
            full,
            ErrorBody { reason: Some(Reason::Unregistered), timestamp_ms: Some(1_700_000_000_123) }
        );
        let text = ErrorBody::parse(br#"{"timestamp":"17","reason":"Bad\u0050ath"}"#);
        assert_eq!(text, ErrorBody { reason: Some(Reason::BadPath), timestamp_ms: Some(17) });
        let beyond = ErrorBody { reason: Some(Reason::Unregistered), timestamp_ms: None };
        for timestamp in
            ["18446744073709551616", "9223372036854775807", "-1", "1e999", "{}", "[[1]]", "\"x\"", "null"]
        {
            let body = format!(r#"{{"reason":"Unregistered","timestamp":{timestamp}}}"#);
            assert_eq!(ErrorBody::parse(body.as_bytes()), beyond, "{timestamp}");
        }
        for odd in [&b""[..], b"<html>", b"[]", b"{\"reason\":7}", b"{\"reason\":null}", b"{", b"\xff"] {
            assert_eq!(ErrorBody::parse(odd), ErrorBody::default(), "{odd:?}");
        }
    }
}
