//! From a body to notifications: by the sender, which takes only what is its own, and at the gateway's door.

use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Fields, Source};
use super::{BATCH_ITEMS_MAX, BATCH_V1, BODY_BYTES_MAX, NOTIFICATION_V1};
use crate::id::NotificationId;
use crate::notification::{Content, Edge, Fault, Notification};
use crate::slot::Slot;
use crate::time::Timestamp;

/// What a body held for its taker.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The notifications whose slot is the taker's own, in the body's order.
    pub items: Vec<Notification>,
    /// Items that are the taker's own (or nobody's) and can't be read.
    pub bad: Vec<BadItem>,
    /// In a batch whose first item is the taker's own: all its ids and slots, for the *submitted* row.
    pub submitted: Option<Submitted>,
}

/// Every id and slot of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// The ids, in the body's order; items without a readable id are left out.
    pub ids: Vec<NotificationId>,
    /// The slots that its items need.
    pub slots: Vec<Slot>,
}

/// An item that can't be read, while its neighbours can.
#[derive(Debug, PartialEq, Eq)]
pub struct BadItem {
    /// Its id, if that can be read.
    pub id: Option<NotificationId>,
    /// Its place in the body.
    pub index: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Why a whole body is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The AMQP `type` is none that this version knows.
    #[error("unknown type; publish {NOTIFICATION_V1} or {BATCH_V1}")]
    UnknownType,
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("{0} bytes; at most {BODY_BYTES_MAX}")]
    TooLong(usize),
    /// Not a JSON object of the right shape. Holds serde's word with its place, which quotes no value.
    #[error("not a JSON object of the wire contract, at line {line} column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A batch with too few or too many items.
    #[error("{0} items; a batch has 1 to {BATCH_ITEMS_MAX}")]
    Items(usize),
}

impl Malformed {
    /// Every word of [`label`](Self::label).
    pub const LABELS: [&'static str; 4] = ["unknown_type", "body_too_long", "not_json", "bad_item_count"];

    /// The word in metric and dead letter.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::UnknownType => "unknown_type",
            Self::TooLong(_) => "body_too_long",
            Self::NotJson { .. } => "not_json",
            Self::Items(_) => "bad_item_count",
        }
    }
}

fn parse(body: &[u8]) -> Result<Fields<'_>, Malformed> {
    serde_json::from_slice(body).map_err(|e| Malformed::NotJson { line: e.line(), column: e.column() })
}

/// Reads a body taken from a queue. `owns` says which slots are the taker's own: others' items are passed over.
///
/// # Errors
/// If nothing of it is of use: the whole body goes to the dead letters.
pub fn decode(
    kind: &str,
    body: &Bytes,
    now: Timestamp,
    owns: impl Fn(Slot) -> bool,
) -> Result<Decoded, Malformed> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Malformed::TooLong(body.len()));
    }
    let edge = Edge::Queue { now };
    match kind {
        NOTIFICATION_V1 => {
            let fields = parse(body)?;
            let mut decoded = Decoded::default();
            read_item(&fields, 0, "", None, Source::Shared(body), edge, &mut decoded);
            Ok(decoded)
        }
        BATCH_V1 => {
            let batch = parse(body)?;
            let items = batch.items.as_deref().unwrap_or_default();
            if items.is_empty() || items.len() > BATCH_ITEMS_MAX {
                return Err(Malformed::Items(items.len()));
            }
            Ok(decode_batch(&batch, items, edge, owns))
        }
        _ => Err(Malformed::UnknownType),
    }
}

fn decode_batch(
    batch: &Fields<'_>,
    items: &[Fields<'_>],
    edge: Edge,
    owns: impl Fn(Slot) -> bool,
) -> Decoded {
    let mut decoded = Decoded::default();
    let slot = |item: &Fields<'_>| item.token("", &mut Vec::new()).map(|t| Slot::of(&t));
    let first = slot(&items[0]);
    if first.is_none_or(&owns) {
        let mut slots: Vec<Slot> = items.iter().filter_map(slot).collect();
        slots.sort_unstable();
        slots.dedup();
        decoded.submitted = Some(Submitted { ids: items.iter().filter_map(Fields::id).collect(), slots });
    }
    let mut shared: Option<Arc<Content>> = None;
    for (index, item) in items.iter().enumerate() {
        let mine = slot(item).map_or(first.is_none_or(&owns), &owns);
        if !mine {
            continue;
        }
        let at = format!("items[{index}].");
        let whole = item.over(batch);
        if item.has_content() {
            read_item(&whole, index, &at, None, Source::Copied, edge, &mut decoded);
            continue;
        }
        if shared.is_none() {
            shared = whole.content(Source::Copied, edge, &at, &mut Vec::new()).map(Arc::new);
        }
        read_item(&whole, index, &at, shared.as_ref(), Source::Copied, edge, &mut decoded);
    }
    decoded
}

fn read_item(
    fields: &Fields<'_>,
    index: usize,
    at: &str,
    shared: Option<&Arc<Content>>,
    source: Source<'_>,
    edge: Edge,
    decoded: &mut Decoded,
) {
    let mut faults = Vec::new();
    let token = fields.token(at, &mut faults);
    let content = match shared {
        Some(content) => Some(Arc::clone(content)),
        None => fields.content(source, edge, at, &mut faults).map(Arc::new),
    };
    let notification = fields.notification(token, content, edge, at, &mut faults);
    match notification {
        Some(notification) if faults.is_empty() => decoded.items.push(notification),
        _ => decoded.bad.push(BadItem { id: fields.id(), index, faults }),
    }
}

/// Reads what a caller submits as JSON: one notification, or shared fields with `items`. An absent id is made, an absent
/// `submitted_at` becomes `now`.
///
/// # Errors
/// Every fault, those of an item led by `items[n].`.
pub fn read_drafts(body: &[u8], now: Timestamp) -> Result<Vec<Notification>, Vec<Fault>> {
    let fields = parse(body).map_err(|e| vec![Fault::new("body", e.to_string())])?;
    let edge = Edge::Caller { now };
    let mut decoded = Decoded::default();
    match &fields.items {
        None => read_item(&fields, 0, "", None, Source::Copied, edge, &mut decoded),
        Some(items) if items.is_empty() || items.len() > BATCH_ITEMS_MAX => {
            return Err(vec![Fault::new("items", Malformed::Items(items.len()).to_string())]);
        }
        Some(items) => decoded = decode_batch(&fields, items, edge, |_| true),
    }
    let faults: Vec<Fault> = decoded.bad.into_iter().flat_map(|bad| bad.faults).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    for notification in &mut decoded.items {
        if notification.content.submitted_at.is_none() {
            Arc::make_mut(&mut notification.content).submitted_at = Some(now);
        }
    }
    Ok(decoded.items)
}
