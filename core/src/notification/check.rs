//! Where a notification's content is checked: once, at an edge, with every fault named.

use std::sync::Arc;

use bytes::Bytes;

use super::payload_rules::{problem_of_badge, problem_of_payload, problem_of_priority, problem_of_topic};
use super::{
    BADGE_BYTES_MAX, Badge, COLLAPSE_ID_BYTES_MAX, CollapseId, Content, Expiration, Fault, Priority,
    TEXT_BYTES_MAX,
};
use crate::id::{ID_DISTANCE_MAX, NotificationId};
use crate::push_type::PushType;
use crate::time::Timestamp;
use crate::trace_context::TraceContext;

/// Where a notification is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Before it is accepted from its caller: a time that has passed is the caller's mistake.
    Caller {
        /// The present.
        now: Timestamp,
    },
    /// When it is taken from a queue, where it may have waited: a time that has passed is a verdict, not a fault.
    Queue {
        /// The present.
        now: Timestamp,
    },
}

impl Edge {
    /// Checks an id's own time: within a day of the submission.
    pub(crate) fn check_id(
        self,
        id: NotificationId,
        submitted_at: Option<Timestamp>,
        at: &str,
        faults: &mut Vec<Fault>,
    ) {
        let (now, reference) = match self {
            Self::Caller { now } => (now, now),
            Self::Queue { now } => (now, submitted_at.unwrap_or(now)),
        };
        if !id.is_near(reference) || id.at() > now.plus(ID_DISTANCE_MAX) {
            faults.push(Fault::new(
                format!("{at}id"),
                "its own time is more than a day from its submission; make the id when you submit",
            ));
        }
    }
}

/// Content before it is checked.
#[derive(Clone, Default)]
pub struct ContentDraft {
    /// `apns-topic`.
    pub topic: Arc<str>,
    /// `apns-push-type`.
    pub push_type: PushType,
    /// `apns-priority`; absent means what suits the push type.
    pub priority: Option<Priority>,
    /// `apns-expiration`.
    pub expiration: Expiration,
    /// `apns-collapse-id`.
    pub collapse_id: Option<Box<str>>,
    /// The app.
    pub app: Option<Box<str>>,
    /// The backend's own id.
    pub reference: Option<Box<str>>,
    /// When the producer submitted it.
    pub submitted_at: Option<Timestamp>,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The JSON payload.
    pub payload: Bytes,
}

/// Checks a text that is stored or sent as a header.
pub(crate) fn check_text(field: String, text: &str, faults: &mut Vec<Fault>) {
    if text.len() > TEXT_BYTES_MAX {
        faults.push(Fault::new(field, format!("{} bytes; at most {TEXT_BYTES_MAX}", text.len())));
    } else if text.chars().any(char::is_control) {
        faults.push(Fault::new(field, "holds a control character"));
    } else if text.is_empty() {
        faults.push(Fault::new(field, "empty; leave it out instead"));
    }
}

impl ContentDraft {
    /// Checks everything and names every fault, its field led by `at`. `badge` is what the notification does to the badge,
    /// since inserting it lengthens the payload.
    pub fn check(
        self,
        badge: Option<Badge>,
        edge: Edge,
        at: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<Content> {
        let before = faults.len();
        self.check_topic(at, faults);
        let priority = self.check_priority(at, faults);
        self.check_payload(badge, at, faults);
        if let Some(problem) = problem_of_badge(self.push_type, badge) {
            faults.push(Fault::new(format!("{at}badge"), problem));
        }
        for (field, text) in [("app", &self.app), ("ref", &self.reference)] {
            if let Some(text) = text {
                check_text(format!("{at}{field}"), text, faults);
            }
        }
        let collapse_id = self.collapse_id.as_deref().and_then(|text| {
            let id = CollapseId::parse(text);
            if id.is_none() {
                let problem = format!(
                    "{} bytes; 1 to {COLLAPSE_ID_BYTES_MAX} bytes (not characters) without control characters",
                    text.len()
                );
                faults.push(Fault::new(format!("{at}collapse_id"), problem));
            }
            id
        });
        if let (Edge::Caller { now }, Expiration::At(expires)) = (edge, self.expiration)
            && expires <= now
        {
            faults.push(Fault::new(
                format!("{at}expires_at"),
                "has passed; send a time to come, 0 for one attempt, or leave it out",
            ));
        }
        (faults.len() == before).then(|| Content {
            topic: self.topic,
            push_type: self.push_type,
            priority,
            expiration: self.expiration,
            collapse_id,
            app: self.app,
            reference: self.reference,
            submitted_at: self.submitted_at,
            trace: self.trace,
            payload: self.payload,
        })
    }

    fn check_topic(&self, at: &str, faults: &mut Vec<Fault>) {
        let suffix = self.push_type.topic_suffix();
        if self.topic.is_empty() {
            faults.push(Fault::new(format!("{at}topic"), "missing; send the app's bundle id"));
        } else if !self.topic.bytes().all(|b| b.is_ascii_graphic()) || self.topic.len() > TEXT_BYTES_MAX {
            faults.push(Fault::new(
                format!("{at}topic"),
                "not a bundle id: printable ASCII without spaces, at most 256 bytes",
            ));
        } else if !self.topic.ends_with(suffix) {
            let kind = self.push_type.label();
            faults.push(Fault::new(
                format!("{at}topic"),
                format!("a {kind} push needs the bundle id followed by {suffix}"),
            ));
        } else if let Some(problem) = problem_of_topic(self.push_type, &self.topic) {
            faults.push(Fault::new(format!("{at}topic"), problem));
        }
    }

    fn check_priority(&self, at: &str, faults: &mut Vec<Fault>) -> Priority {
        let usual =
            if self.push_type == PushType::Background { Priority::Conserve } else { Priority::default() };
        let priority = self.priority.unwrap_or(usual);
        if let Some(problem) = problem_of_priority(self.push_type, priority) {
            faults.push(Fault::new(format!("{at}priority"), problem));
        }
        priority
    }

    fn check_payload(&self, badge: Option<Badge>, at: &str, faults: &mut Vec<Fault>) {
        let field = format!("{at}payload");
        let most = self.push_type.payload_bytes_max();
        let reserve = if badge.is_some() { BADGE_BYTES_MAX } else { 0 };
        if self.payload.first() != Some(&b'{') {
            faults.push(Fault::new(field, "missing or no JSON object; send {\"aps\":{…}}"));
        } else if self.payload.len() + reserve > most {
            let size = self.payload.len();
            let kind = self.push_type.label();
            let badge =
                if reserve > 0 { format!(", {reserve} of them kept for the badge") } else { String::new() };
            faults.push(Fault::new(
                field,
                format!("{size} bytes of JSON; a {kind} push has at most {most}{badge}"),
            ));
        } else if let Some(problem) = problem_of_payload(self.push_type, &self.payload) {
            faults.push(Fault::new(field, problem));
        }
    }
}
