//! The wire format: what a producer publishes and a sender takes. Producers in other languages need only
//! `producer-lib/schema/*.json` and the routing vectors.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::notification::{Badge, Content, Expiration, Notification};
use crate::push_type::PushType;
use crate::time::Timestamp;

mod decode;
mod fields;

pub use decode::{BadItem, Decoded, Malformed, Submitted, decode, read_drafts};

/// The AMQP content type.
pub const CONTENT_TYPE: &str = "application/json";
/// The AMQP `type` of one notification.
pub const NOTIFICATION_V1: &str = "skein.notification.v1";
/// The AMQP `type` of one payload for many devices.
pub const BATCH_V1: &str = "skein.batch.v1";
/// The AMQP header by which a producer marks what it published before without learning the outcome.
pub const REPEAT_HEADER: &str = "x-skein-repeat";
/// The AMQP `app_id` of what the front door publishes: it has counted what the broker confirmed, so that the senders count only what
/// others submit.
pub const FRONT_DOOR_APP_ID: &str = "skein-gateway";
/// RabbitMQ's header of further routing keys that consumers see not (sender-selected distribution).
pub const BCC_HEADER: &str = "BCC";
/// The most items in a batch.
pub const BATCH_ITEMS_MAX: usize = 1000;
/// The longest body of a message, in bytes.
pub const BODY_BYTES_MAX: usize = 96 * 1024;

/// The body of `skein.notification.v1`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "skein.notification.v1")]
pub struct NotificationV1<'a> {
    /// The device this is for, and what is its own.
    #[serde(flatten)]
    item: ItemV1<'a>,
    /// What it says.
    #[serde(flatten)]
    content: ContentV1<'a>,
}

/// The body of `skein.batch.v1`: the shared fields once, then the items. A field of an item stands in place of the batch's,
/// the payload as a whole.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "skein.batch.v1")]
pub struct BatchV1<'a> {
    #[serde(flatten)]
    content: ContentV1<'a>,
    /// One per device; at most 1,000.
    #[schemars(length(min = 1, max = 1000))]
    items: Vec<BatchItemV1<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct BatchItemV1<'a> {
    #[serde(flatten)]
    item: ItemV1<'a>,
    /// In place of the batch's, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    payload: Option<&'a RawValue>,
}

/// What is one device's own.
#[derive(Serialize, JsonSchema)]
struct ItemV1<'a> {
    /// A UUIDv7 made when it is submitted; it is the `apns-id`, and its time is within a day of the submission.
    #[schemars(
        with = "String",
        regex(pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    )]
    id: String,
    /// Which resend of the id this is.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    generation: u16,
    /// The device token as hexadecimal text of either case.
    #[schemars(length(min = 2, max = 400), regex(pattern = r"^([0-9a-fA-F]{2})+$"))]
    token: String,
    /// The user, as the backend names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    user: Option<&'a str>,
    /// What it does to the badge: `{"set":n}` or `{"add":k}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<Badge>,
}

/// What a notification says.
#[derive(Serialize, JsonSchema)]
struct ContentV1<'a> {
    /// `apns-topic`: the bundle id, with the suffix of the push type.
    #[schemars(length(min = 1, max = 256))]
    topic: &'a str,
    /// `apns-push-type`.
    #[serde(skip_serializing_if = "is_alert")]
    #[schemars(default)]
    push_type: PushType,
    /// `apns-priority`: 10, 5 or 1. Absent: 10, or 5 for a background push.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    /// `apns-expiration`: an RFC 3339 time, 0 for one attempt that APNs never stores, absent for APNs' own policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<ExpiresAtV1>,
    /// `apns-collapse-id`: at most 64 bytes, not characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    collapse_id: Option<&'a str>,
    /// The app, as the backend names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    app: Option<&'a str>,
    /// The backend's own id for what caused this.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    reference: Option<&'a str>,
    /// When it was submitted, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    submitted_at: Option<Timestamp>,
    /// The trace it belongs to: W3C Trace Context. One that can't be read is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// The JSON payload, sent as it stands here: at most 4,096 bytes (5,120 for voip).
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    payload: &'a RawValue,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum ExpiresAtV1 {
    /// RFC 3339.
    At(#[schemars(with = "String")] Timestamp),
    /// 0.
    NotStored(u8),
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}

fn is_alert(t: &PushType) -> bool {
    *t == PushType::Alert
}

fn item(n: &Notification) -> ItemV1<'_> {
    ItemV1 {
        id: n.id.to_string(),
        generation: n.generation,
        token: n.token.reveal_hex(),
        user: n.user.as_deref(),
        badge: n.badge,
    }
}

fn content(c: &Content) -> Result<ContentV1<'_>, serde_json::Error> {
    Ok(ContentV1 {
        topic: &c.topic,
        push_type: c.push_type,
        priority: Some(c.priority.number()),
        expires_at: match c.expiration {
            Expiration::Unset => None,
            Expiration::NotStored => Some(ExpiresAtV1::NotStored(0)),
            Expiration::At(at) => Some(ExpiresAtV1::At(at)),
        },
        collapse_id: c.collapse_id.as_ref().map(|id| id.as_str()),
        app: c.app.as_deref(),
        reference: c.reference.as_deref(),
        submitted_at: c.submitted_at,
        traceparent: c.trace.map(|trace| trace.to_string()),
        payload: serde_json::from_slice(&c.payload)?,
    })
}

/// Writes the body of `skein.notification.v1`.
///
/// # Errors
/// If the payload is not JSON.
pub fn encode(notification: &Notification) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512 + notification.content.payload.len());
    let body = NotificationV1 { item: item(notification), content: content(&notification.content)? };
    serde_json::to_writer(&mut out, &body)?;
    Ok(out)
}

/// Writes the body of `skein.batch.v1`. All must equal the first in everything their content says but the payload; a payload
/// that differs goes with its item. The caller keeps to [`BATCH_ITEMS_MAX`] and [`BODY_BYTES_MAX`].
///
/// # Errors
/// If a payload is not JSON.
pub fn encode_batch(notifications: &[Notification]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(1024 + 160 * notifications.len());
    if let Some(first) = notifications.first() {
        let shared = &first.content.payload;
        let items = notifications
            .iter()
            .map(|n| {
                let own = &n.content.payload;
                let payload = if own == shared { None } else { Some(serde_json::from_slice(own)?) };
                Ok(BatchItemV1 { item: item(n), payload })
            })
            .collect::<Result<_, serde_json::Error>>()?;
        serde_json::to_writer(&mut out, &BatchV1 { content: content(&first.content)?, items })?;
    }
    Ok(out)
}

/// The JSON Schema of the bodies, by AMQP `type`: generated from the types above, checked in under `producer-lib/schema/`.
pub fn schemas() -> [(&'static str, serde_json::Value); 2] {
    let of = |schema: schemars::Schema| schema.to_value();
    [
        (NOTIFICATION_V1, of(schemars::schema_for!(NotificationV1<'_>))),
        (BATCH_V1, of(schemars::schema_for!(BatchV1<'_>))),
    ]
}

#[cfg(test)]
mod tests;
