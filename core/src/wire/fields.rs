//! Reading one notification's fields, whatever is wrong with them: each fault is named, none hides another.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::id::NotificationId;
use crate::notification::{Badge, Content, ContentDraft, Edge, Expiration, Fault, Notification, Priority};
use crate::push_type::PushType;
use crate::time::Timestamp;
use crate::token::DeviceToken;
use crate::trace_context::TraceContext;

/// The fields of a notification, of an item, or of a batch, unread. Unknown fields are ignored.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Fields<'a> {
    /// The items, where it is a batch.
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<Fields<'a>>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    generation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    badge: Option<&'a RawValue>,
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    push_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    priority: Option<&'a RawValue>,
    #[serde(borrow, default)]
    expires_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    collapse_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    app: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    submitted_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// Reads fields one by one, collecting faults.
struct Reader<'f> {
    at: &'f str,
    faults: &'f mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, field: &str, problem: impl Into<String>) {
        self.faults.push(Fault::new(format!("{}{field}", self.at), problem));
    }

    /// A value of a type; `null` is absent.
    fn value<T: DeserializeOwned>(
        &mut self,
        field: &str,
        raw: Option<&RawValue>,
        expected: &str,
    ) -> Option<T> {
        let text = raw?.get();
        match serde_json::from_str::<Option<T>>(text) {
            Ok(value) => value,
            Err(_) => {
                self.fault(field, format!("not {expected}"));
                None
            }
        }
    }

    /// Text, borrowed where it holds no escape.
    fn text<'a>(&mut self, field: &str, raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let text = raw?.get();
        match serde_json::from_str::<Option<Text<'a>>>(text) {
            Ok(value) => value.map(|t| t.0),
            Err(_) => {
                self.fault(field, "not text");
                None
            }
        }
    }

    fn boxed(&mut self, field: &str, raw: Option<&RawValue>) -> Option<Box<str>> {
        self.text(field, raw).map(|t| t.into_owned().into_boxed_str())
    }

    fn time(&mut self, field: &str, raw: Option<&RawValue>) -> Option<Timestamp> {
        let text = self.text(field, raw)?;
        let time = Timestamp::parse(&text);
        if time.is_none() {
            self.fault(field, "not an RFC 3339 time such as 2026-11-21T12:00:00Z");
        }
        time
    }

    fn expiration(&mut self, raw: Option<&RawValue>) -> Expiration {
        match raw.map(RawValue::get) {
            None | Some("null") => Expiration::Unset,
            Some("0") => Expiration::NotStored,
            Some(text) if text.starts_with('"') => {
                self.time("expires_at", raw).map_or(Expiration::Unset, Expiration::At)
            }
            Some(_) => {
                self.fault("expires_at", "neither an RFC 3339 time nor 0 (one attempt, never stored)");
                Expiration::Unset
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// These fields over those of the batch around them.
    pub(super) fn over(&self, batch: &Fields<'a>) -> Self {
        Self {
            items: None,
            id: self.id,
            token: self.token,
            topic: self.topic.or(batch.topic),
            push_type: self.push_type.or(batch.push_type),
            priority: self.priority.or(batch.priority),
            expires_at: self.expires_at.or(batch.expires_at),
            collapse_id: self.collapse_id.or(batch.collapse_id),
            app: self.app.or(batch.app),
            reference: self.reference.or(batch.reference),
            submitted_at: self.submitted_at.or(batch.submitted_at),
            traceparent: self.traceparent.or(batch.traceparent),
            payload: self.payload.or(batch.payload),
            badge: self.badge.or(batch.badge),
            user: self.user.or(batch.user),
            generation: self.generation.or(batch.generation),
        }
    }

    /// Whether an item has content of its own.
    pub(super) fn has_content(&self) -> bool {
        let own = [
            self.topic,
            self.push_type,
            self.priority,
            self.expires_at,
            self.collapse_id,
            self.app,
            self.reference,
            self.submitted_at,
            self.traceparent,
            self.payload,
        ];
        own.iter().any(Option::is_some)
    }

    /// The device token alone: enough to know whose it is.
    pub(super) fn token(&self, at: &str, faults: &mut Vec<Fault>) -> Option<DeviceToken> {
        let mut reader = Reader { at, faults };
        let Some(text) = reader.text("token", self.token) else {
            if self.token.is_none() {
                reader.fault("token", "missing; send the device token as hexadecimal text");
            }
            return None;
        };
        DeviceToken::parse(&text).map_err(|e| reader.fault("token", e.to_string())).ok()
    }

    /// The id alone.
    pub(super) fn id(&self) -> Option<NotificationId> {
        self.id.and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// The content these fields make. `copy` makes the payload its own, so that it doesn't keep a larger body alive.
    pub(super) fn content(
        &self,
        source: Source<'_>,
        edge: Edge,
        at: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<Content> {
        let mut reader = Reader { at, faults };
        let push_type = match reader.text("push_type", self.push_type) {
            None => PushType::default(),
            Some(text) => PushType::parse(&text).unwrap_or_else(|| {
                let known = PushType::ALL.map(PushType::label).join(", ");
                reader.fault("push_type", format!("unknown; one of {known}"));
                PushType::default()
            }),
        };
        let priority = reader.value::<u64>("priority", self.priority, "a number: 10, 5 or 1").and_then(|n| {
            let priority = Priority::from_number(n);
            if priority.is_none() {
                reader.fault("priority", "not 10, 5 or 1");
            }
            priority
        });
        let draft = ContentDraft {
            topic: reader.text("topic", self.topic).map_or_else(|| Arc::from(""), |t| Arc::from(&*t)),
            push_type,
            priority,
            expiration: reader.expiration(self.expires_at),
            collapse_id: reader.boxed("collapse_id", self.collapse_id),
            app: reader.boxed("app", self.app),
            reference: reader.boxed("ref", self.reference),
            submitted_at: reader.time("submitted_at", self.submitted_at),
            trace: self.traceparent.and_then(|raw| TraceContext::parse(raw.get().trim_matches('"'))),
            payload: self.payload.map_or_else(Bytes::new, |raw| source.bytes(raw.get())),
        };
        let badge = self.badge(at, &mut Vec::new());
        draft.check(badge, edge, at, faults)
    }

    fn badge(&self, at: &str, faults: &mut Vec<Fault>) -> Option<Badge> {
        Reader { at, faults }.value(
            "badge",
            self.badge,
            "{\"set\":n} or {\"add\":k} with whole numbers from 0",
        )
    }

    /// The notification: its own fields here, its content as given.
    pub(super) fn notification(
        &self,
        token: Option<DeviceToken>,
        content: Option<Arc<Content>>,
        edge: Edge,
        at: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<Notification> {
        let badge = self.badge(at, faults);
        let mut reader = Reader { at, faults };
        let user = reader.boxed("user", self.user);
        let generation =
            reader.value("generation", self.generation, "a whole number from 0 to 65535").unwrap_or(0);
        let id = match (reader.text("id", self.id), edge) {
            (Some(text), _) => {
                NotificationId::parse(&text).map_err(|e| reader.fault("id", e.to_string())).ok()
            }
            (None, Edge::Caller { .. }) if self.id.is_none() => Some(NotificationId::now()),
            (None, _) => {
                if self.id.is_none() {
                    reader.fault("id", "missing; send a UUIDv7");
                }
                None
            }
        };
        if let Some(user) = &user {
            crate::notification::check_text(format!("{at}user"), user, faults);
        }
        if let Some(id) = id {
            edge.check_id(id, content.as_ref().and_then(|c| c.submitted_at), at, faults);
        }
        Some(Notification { id: id?, generation, token: token?, user, badge, content: content? })
    }
}

/// Where a payload's bytes come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'b> {
    /// A slice of the body: no copy, and the body lives as long.
    Shared(&'b Bytes),
    /// A copy: a large body can go.
    Copied,
}

impl Source<'_> {
    fn bytes(self, text: &str) -> Bytes {
        match self {
            Self::Shared(body) => body.slice_ref(text.as_bytes()),
            Self::Copied => Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}
