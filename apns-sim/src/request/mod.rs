//! One request as its headers come in, and the checks that need nothing but the request itself.

use crate::broadcast::{BROADCAST_BYTES_MAX, BroadcastHead, Method};
use crate::fingerprint::{DEVICE_TOKEN_BYTES_MAX, decode_hex, fingerprint, nibble};
use crate::push_type::{PAYLOAD_BYTES_MAX, PushType, suffix_of};
use crate::reason::{FaultSet, Reason};

/// The longest collapse id, in bytes, not characters.
pub const COLLAPSE_ID_BYTES_MAX: usize = 64;
/// The longest topic the simulator takes.
pub const TOPIC_BYTES_MAX: usize = 255;

/// Which of the switches that Apple leaves open are strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strictness {
    /// Refuse an `apns-id` with upper-case digits (`BadMessageId`). Default: off.
    pub lower_case_id: bool,
    /// Refuse device tokens that are not 64 hex digits (`BadDeviceToken`). Default: off; Apple promises no length.
    pub token_of_32_bytes: bool,
    /// Refuse a topic whose suffix is not the push type's (`TopicDisallowed`). Default: on.
    pub topic_suffix: bool,
    /// Refuse a request without `apns-push-type` (`InvalidPushType`). Default: off.
    pub push_type_required: bool,
    /// Refuse a body that is no JSON object (`PayloadEmpty`, since Apple names no reason). Default: off; costs CPU.
    pub json_body: bool,
}

impl Default for Strictness {
    fn default() -> Self {
        Self {
            lower_case_id: false,
            token_of_32_bytes: false,
            topic_suffix: true,
            push_type_required: false,
            json_body: false,
        }
    }
}

/// A topic, as far as the simulator needs it after the header is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Of the whole topic.
    pub(crate) hash: u64,
    /// Of the bundle id, without the suffix.
    pub(crate) bundle_hash: u64,
    suffix: Option<PushType>,
}

/// What the headers of one request said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    seen: u16,
    pub(crate) faults: FaultSet,
    /// Fingerprint of the device token; 0 if there is none.
    pub(crate) token: u64,
    pub(crate) id: Option<u128>,
    pub(crate) topic: Option<Topic>,
    pub(crate) push_type: Option<PushType>,
    pub(crate) priority: Option<u8>,
    pub(crate) expiration: Option<u64>,
    /// Fingerprint of the collapse id.
    pub(crate) collapse: Option<u64>,
    pub(crate) authorization: bool,
    pub(crate) method: Method,
    /// It is not about a device.
    pub(crate) broadcast: Option<Box<BroadcastHead>>,
}

impl Head {
    /// Takes one header field. `true` if it was `authorization`, whose value the caller then looks at.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8], strict: &Strictness) -> bool {
        if let Some(broadcast) = &mut self.broadcast
            && name.starts_with(b"apns-")
        {
            broadcast.take(name, value, &mut self.faults);
            self.id = broadcast.request_id;
            return false;
        }
        let bit = match name {
            b":method" => {
                self.method = Method::parse(value);
                if value != b"POST" {
                    self.faults.add(Reason::MethodNotAllowed);
                }
                1 << 0
            }
            b":path" => {
                self.take_path(value, strict);
                1 << 1
            }
            b"authorization" => {
                self.authorization = true;
                1 << 2
            }
            b"apns-id" => {
                match parse_uuid(value, strict.lower_case_id) {
                    Some(id) => self.id = Some(id),
                    None => self.faults.add(Reason::BadMessageId),
                }
                1 << 3
            }
            b"apns-topic" => {
                self.take_topic(value);
                1 << 4
            }
            b"apns-push-type" => {
                self.push_type = PushType::parse(value);
                if self.push_type.is_none() {
                    self.faults.add(Reason::InvalidPushType);
                }
                1 << 5
            }
            b"apns-priority" => {
                self.priority = parse_priority(value);
                if self.priority.is_none() {
                    self.faults.add(Reason::BadPriority);
                }
                1 << 6
            }
            b"apns-expiration" => {
                self.expiration = parse_seconds(value);
                if self.expiration.is_none() {
                    self.faults.add(Reason::BadExpirationDate);
                }
                1 << 7
            }
            b"apns-collapse-id" => {
                if value.is_empty() || value.len() > COLLAPSE_ID_BYTES_MAX {
                    self.faults.add(Reason::BadCollapseId);
                } else {
                    self.collapse = Some(fingerprint(value));
                }
                1 << 8
            }
            b":scheme" => 1 << 9,
            b":authority" => 1 << 10,
            b"content-length" => 1 << 11,
            _ => 0,
        };
        if self.seen & bit != 0 {
            self.faults.add(Reason::DuplicateHeaders);
        }
        self.seen |= bit;
        name == b"authorization"
    }

    /// Whether a topic was given, good or bad.
    pub(crate) fn names_topic(&self) -> bool {
        self.seen & (1 << 4) != 0
    }

    fn take_path(&mut self, path: &[u8], strict: &Strictness) {
        let Some(token) = path.strip_prefix(b"/3/device") else {
            return self.take_other_path(path);
        };
        let token = match token {
            [] | [b'/'] => return self.faults.add(Reason::MissingDeviceToken),
            [b'/', token @ ..] if !token.contains(&b'/') => token,
            _ => return self.faults.add(Reason::BadPath),
        };
        let mut bytes = [0; DEVICE_TOKEN_BYTES_MAX];
        match decode_hex(token, &mut bytes) {
            Some(bytes) => {
                self.token = fingerprint(bytes);
                if strict.token_of_32_bytes && bytes.len() != 32 {
                    self.faults.add(Reason::BadDeviceToken);
                }
            }
            None => self.faults.add(Reason::BadDeviceToken),
        }
    }

    fn take_other_path(&mut self, path: &[u8]) {
        match BroadcastHead::parse(path) {
            Some(broadcast) => {
                self.take_topic(broadcast.bundle.as_bytes());
                self.broadcast = Some(Box::new(broadcast));
            }
            None => self.faults.add(Reason::BadPath),
        }
    }

    fn take_topic(&mut self, topic: &[u8]) {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || !topic.iter().all(plain) {
            return self.faults.add(Reason::BadTopic);
        }
        let suffix = suffix_of(topic);
        let bundle = &topic[..topic.len() - suffix.map_or(0, |kind| kind.topic_suffix().len())];
        let hash = fingerprint(topic);
        let bundle_hash = if suffix.is_some() { fingerprint(bundle) } else { hash };
        self.topic = Some(Topic { hash, bundle_hash, suffix });
    }

    /// The checks that need all headers at once; to be called when the header block has ended.
    pub(crate) fn finish(&mut self, strict: &Strictness) {
        if self.seen & 1 == 0 {
            self.faults.add(Reason::MethodNotAllowed);
        }
        if self.seen & (1 << 1) == 0 {
            self.faults.add(Reason::BadPath);
        }
        if let Some(broadcast) = &self.broadcast {
            self.faults.remove(Reason::MethodNotAllowed);
            return broadcast.finish(self.method, &mut self.faults);
        }
        match self.push_type {
            Some(PushType::Background) if self.priority.unwrap_or(10) == 10 => {
                self.faults.add(Reason::BadPriority)
            }
            None if strict.push_type_required => self.faults.add(Reason::InvalidPushType),
            _ => {}
        }
        if strict.topic_suffix
            && let (Some(topic), Some(kind)) = (self.topic, self.push_type)
            && kind != PushType::Mdm
            && topic.suffix.map_or("", PushType::topic_suffix) != kind.topic_suffix()
        {
            self.faults.add(Reason::TopicDisallowed);
        }
    }

    /// The largest body this request may have.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        match self.broadcast {
            Some(_) => BROADCAST_BYTES_MAX,
            None => self.push_type.map_or(PAYLOAD_BYTES_MAX, PushType::payload_bytes_max),
        }
    }

    /// Looks at the whole body.
    pub(crate) fn take_body_length(&mut self, length: usize) {
        if self.broadcast.as_ref().is_some_and(|broadcast| !broadcast.route.has_body(self.method)) {
            return;
        }
        if length == 0 {
            self.faults.add(Reason::PayloadEmpty);
        } else if length > self.payload_bytes_max() {
            self.faults.add(Reason::PayloadTooLarge);
        }
    }
}

pub(crate) fn parse_priority(value: &[u8]) -> Option<u8> {
    match value {
        b"10" => Some(10),
        b"5" => Some(5),
        b"1" => Some(1),
        _ => None,
    }
}

pub(crate) fn parse_seconds(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(b"-").map_or(value, |_| b"");
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A canonical UUID, 8-4-4-4-12.
pub(crate) fn parse_uuid(value: &[u8], lower_case_only: bool) -> Option<u128> {
    let value: &[u8; 36] = value.try_into().ok()?;
    let mut id = 0;
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else if lower_case_only && byte.is_ascii_uppercase() {
            return None;
        } else {
            id = id << 4 | u128::from(nibble(*byte)?);
        }
    }
    Some(id)
}

/// The canonical text of an id.
pub(crate) fn format_uuid(id: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const PLACES: [u8; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (byte, place) in id.to_be_bytes().into_iter().zip(PLACES) {
        text[usize::from(place)] = DIGITS[usize::from(byte >> 4)];
        text[usize::from(place) + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests;
