//! How a Rust backend writes a notification.

use std::sync::Arc;

use bytes::Bytes;

use super::check::{ContentDraft, Edge, check_text};
use super::{Badge, Expiration, Fault, Notification, Priority};
use crate::aps::Payload;
use crate::id::NotificationId;
use crate::push_type::PushType;
use crate::time::Timestamp;
use crate::token::DeviceToken;
use crate::trace_context::TraceContext;

/// A notification being written; [`Draft::build`] checks it and names every fault at once.
#[derive(Clone)]
pub struct Draft {
    id: Option<NotificationId>,
    generation: u16,
    token: String,
    user: Option<Box<str>>,
    badge: Option<Badge>,
    content: ContentDraft,
}

impl Draft {
    /// For a device token (hexadecimal text) and a topic (the app's bundle id).
    pub fn new(token: impl Into<String>, topic: &str) -> Self {
        let content = ContentDraft { topic: topic.into(), ..ContentDraft::default() };
        Self { id: None, generation: 0, token: token.into(), user: None, badge: None, content }
    }

    /// What it says.
    #[must_use]
    pub fn payload(self, payload: &Payload) -> Self {
        let bytes = serde_json::to_vec(payload).unwrap_or_default();
        self.payload_json(bytes)
    }

    /// What it says, as JSON text.
    #[must_use]
    pub fn payload_json(mut self, json: impl Into<Bytes>) -> Self {
        self.content.payload = json.into();
        self
    }

    /// An id made before, for instance to submit the same notification again.
    #[must_use]
    pub fn id(mut self, id: NotificationId) -> Self {
        self.id = Some(id);
        self
    }

    /// Which resend of its id it is.
    #[must_use]
    pub fn generation(mut self, generation: u16) -> Self {
        self.generation = generation;
        self
    }

    /// The kind of push; `alert` if not called.
    #[must_use]
    pub fn push_type(mut self, push_type: PushType) -> Self {
        self.content.push_type = push_type;
        self
    }

    /// The priority; what suits the push type if not called.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.content.priority = Some(priority);
        self
    }

    /// How long it is worth delivering; APNs' own policy (up to 30 days) if not called.
    #[must_use]
    pub fn expiration(mut self, expiration: Expiration) -> Self {
        self.content.expiration = expiration;
        self
    }

    /// A newer one with the same id takes its place on the device.
    #[must_use]
    pub fn collapse_id(mut self, id: &str) -> Self {
        self.content.collapse_id = Some(id.into());
        self
    }

    /// What it does to the badge.
    #[must_use]
    pub fn badge(mut self, badge: Badge) -> Self {
        self.badge = Some(badge);
        self
    }

    /// The user, as the backend names them.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The app, as the backend names it.
    #[must_use]
    pub fn app(mut self, app: &str) -> Self {
        self.content.app = Some(app.into());
        self
    }

    /// The backend's own id for what caused this.
    #[must_use]
    pub fn reference(mut self, reference: &str) -> Self {
        self.content.reference = Some(reference.into());
        self
    }

    /// The trace it belongs to, as a `traceparent` of W3C *Trace Context*. What can't be read is ignored, as the standard demands.
    #[must_use]
    pub fn traceparent(mut self, traceparent: &str) -> Self {
        self.content.trace = TraceContext::parse(traceparent);
        self
    }

    /// Checks it as of `now` and gives it an id if it has none.
    ///
    /// # Errors
    /// Every fault it has.
    pub fn build(self, now: Timestamp) -> Result<Notification, Vec<Fault>> {
        let (edge, mut faults) = (Edge::Caller { now }, Vec::new());
        let token =
            DeviceToken::parse(&self.token).map_err(|e| faults.push(Fault::new("token", e.to_string()))).ok();
        if let Some(user) = &self.user {
            check_text("user".into(), user, &mut faults);
        }
        let id = self.id.unwrap_or_else(NotificationId::now);
        edge.check_id(id, None, "", &mut faults);
        let draft = ContentDraft { submitted_at: Some(now), ..self.content };
        let content = draft.check(self.badge, edge, "", &mut faults);
        match (token, content) {
            (Some(token), Some(content)) if faults.is_empty() => Ok(Notification {
                id,
                generation: self.generation,
                token,
                user: self.user,
                badge: self.badge,
                content: Arc::new(content),
            }),
            _ => Err(faults),
        }
    }

    /// Checks it once for many devices, which then share their content: the form of a group message.
    ///
    /// # Errors
    /// Every fault, those of a device led by `items[n].`.
    pub fn build_for(
        self,
        devices: impl IntoIterator<Item = (String, Option<String>)>,
        now: Timestamp,
    ) -> Result<Vec<Notification>, Vec<Fault>> {
        let mut faults = Vec::new();
        let draft = ContentDraft { submitted_at: Some(now), ..self.content };
        let content = draft.check(self.badge, Edge::Caller { now }, "", &mut faults).map(Arc::new);
        let mut built = Vec::new();
        for (n, (token, user)) in devices.into_iter().enumerate() {
            if let Some(user) = &user {
                check_text(format!("items[{n}].user"), user, &mut faults);
            }
            match (DeviceToken::parse(&token), &content) {
                (Ok(token), Some(content)) => built.push(Notification {
                    id: NotificationId::now(),
                    generation: self.generation,
                    token,
                    user: user.map(Into::into),
                    badge: self.badge,
                    content: Arc::clone(content),
                }),
                (Err(e), _) => faults.push(Fault::new(format!("items[{n}].token"), e.to_string())),
                _ => {}
            }
        }
        if faults.is_empty() { Ok(built) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        NotificationId::now().at()
    }

    fn with_payload(bytes: usize) -> Draft {
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(text.len(), bytes);
        Draft::new("ab", "com.example.im").payload_json(text)
    }

    #[test]
    fn limits_are_exact_to_the_byte() {
        assert!(with_payload(4096).build(now()).is_ok());
        assert_eq!(with_payload(4097).build(now()).unwrap_err()[0].field, "payload");
        let voip = |n| with_payload(n).push_type(PushType::Voip).build(now()).map_err(|f| f.len());
        assert_eq!(voip(4096).unwrap_err(), 1, "the topic lacks .voip");
        let voip = |n| Draft {
            content: ContentDraft { topic: "a.voip".into(), ..with_payload(n).content },
            ..with_payload(n)
        };
        assert!(voip(5120).push_type(PushType::Voip).build(now()).is_ok());
        assert!(voip(5121).push_type(PushType::Voip).build(now()).is_err());
        assert!(with_payload(4096 - BADGE).badge(Badge::Add(1)).build(now()).is_ok());
        assert!(with_payload(4097 - BADGE).badge(Badge::Add(1)).build(now()).is_err());
    }
    const BADGE: usize = super::super::BADGE_BYTES_MAX;

    #[test]
    fn every_fault_at_once() {
        let faults = Draft::new("xyz", "")
            .payload_json("[]")
            .collapse_id(&"c".repeat(65))
            .user("a\0b")
            .reference(&"r".repeat(300))
            .expiration(Expiration::At(Timestamp::from_secs(5)))
            .id(NotificationId::new(Timestamp::from_secs(5), [0; 10]))
            .build(now())
            .unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["token", "user", "id", "topic", "payload", "ref", "collapse_id", "expires_at"]);
    }

    #[test]
    fn background_goes_at_priority_5() {
        let draft = Draft::new("ab", "t")
            .payload_json("{\"aps\":{\"content-available\":1}}")
            .push_type(PushType::Background);
        assert_eq!(draft.clone().build(now()).unwrap().content.priority, Priority::Conserve);
        assert!(draft.priority(Priority::Immediate).build(now()).is_err());
    }

    #[test]
    fn many_devices_share_their_content() {
        let devices = ["aa", "bb"].map(|t| (t.to_owned(), None));
        let built = Draft::new("", "t").payload_json("{}").build_for(devices, now()).unwrap();
        assert!(Arc::ptr_eq(&built[0].content, &built[1].content));
        let faults =
            Draft::new("", "t").payload_json("{}").build_for([("zz".to_owned(), None)], now()).unwrap_err();
        assert_eq!(faults[0].field, "items[0].token");
    }
}
