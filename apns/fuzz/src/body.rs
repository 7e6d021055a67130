//! Error bodies and GOAWAY debug data: whatever comes, a short reason and a timestamp that can be reckoned with.

use skein_apns::{ErrorBody, Reason, UNKNOWN_REASON_BYTES_MAX};

/// The last millisecond of the year 9999.
const TIMESTAMP_MS_MAX: i64 = 253_402_300_799_999;

/// Parses `data` as a body.
pub fn check(data: &[u8]) {
    let body = ErrorBody::parse(data);
    if let Some(Reason::Other(text)) = &body.reason {
        assert!(text.len() <= UNKNOWN_REASON_BYTES_MAX);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    }
    if let Some(timestamp_ms) = body.timestamp_ms {
        assert!((0..=TIMESTAMP_MS_MAX).contains(&timestamp_ms));
    }
}
