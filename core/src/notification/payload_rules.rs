//! What Apple asks of the payload of a push type, beyond its size: checked before anything is sent, since APNs takes most
//! of these mistakes and the device drops the push without a word.
//!
//! Sources: Apple, *Pushing background updates to your App*, *Starting and updating Live Activities with ActivityKit push
//! notifications*, *Updating widgets with WidgetKit push notifications*, *Sending broadcast push notification requests to
//! APNs*; for device management the protocol's push magic.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Badge, Priority};
use crate::push_type::PushType;

/// The largest payload of a broadcast, in bytes of JSON (inclusive).
pub const BROADCAST_BYTES_MAX: usize = 5120;

/// What a device management topic begins with: it is the UID of the management certificate.
const MDM_TOPIC: &str = "com.apple.mgmt.";

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    aps: Option<Aps<'a>>,
    #[serde(borrow)]
    mdm: Option<&'a RawValue>,
}

/// The keys that rules speak about, each as it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Aps<'a> {
    #[serde(borrow)]
    alert: Option<&'a RawValue>,
    #[serde(borrow)]
    badge: Option<&'a RawValue>,
    #[serde(borrow)]
    sound: Option<&'a RawValue>,
    #[serde(borrow)]
    content_available: Option<&'a RawValue>,
    #[serde(borrow)]
    content_changed: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    content_state: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes_type: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

fn is(value: Option<&RawValue>, text: &str) -> bool {
    value.is_some_and(|value| value.get() == text)
}

fn begins(value: Option<&RawValue>, with: &[u8]) -> bool {
    value.is_some_and(|value| value.get().as_bytes().first().is_some_and(|first| with.contains(first)))
}

fn is_object(value: Option<&RawValue>) -> bool {
    begins(value, b"{")
}

fn is_number(value: Option<&RawValue>) -> bool {
    begins(value, b"-0123456789")
}

/// What is wrong with a payload of this push type, if anything is. Types without rules are not looked into.
pub(super) fn problem_of_payload(push_type: PushType, payload: &[u8]) -> Option<&'static str> {
    let has_rules = matches!(
        push_type,
        PushType::Background | PushType::Liveactivity | PushType::Widgets | PushType::Mdm
    );
    if !has_rules {
        return None;
    }
    let Ok(wire) = serde_json::from_slice::<Wire<'_>>(payload) else {
        return Some("no JSON object with an aps dictionary as this push type has it");
    };
    let aps = wire.aps.unwrap_or_default();
    match push_type {
        PushType::Background if !is(aps.content_available, "1") => {
            Some("a background push needs \"content-available\": 1 in aps")
        }
        PushType::Background if aps.alert.is_some() || aps.badge.is_some() || aps.sound.is_some() => {
            Some("a background push has no alert, badge or sound; send those as an alert push")
        }
        PushType::Liveactivity => problem_of_activity(&aps, true),
        PushType::Widgets if !is(aps.content_changed, "true") => {
            Some("a widgets push needs \"content-changed\": true in aps")
        }
        PushType::Mdm if !begins(wire.mdm, b"\"") => {
            Some("an mdm push is {\"mdm\": \"<push magic of the device>\"}")
        }
        _ => None,
    }
}

/// What is wrong with a broadcast to a channel, if anything is.
pub fn problem_of_broadcast(payload: &[u8]) -> Option<&'static str> {
    if payload.len() > BROADCAST_BYTES_MAX {
        return Some("a broadcast has at most 5120 bytes of JSON");
    }
    match serde_json::from_slice::<Wire<'_>>(payload) {
        Ok(Wire { aps: Some(aps), .. }) => problem_of_activity(&aps, false),
        _ => Some("no JSON object with an aps dictionary"),
    }
}

fn problem_of_activity(aps: &Aps<'_>, may_start: bool) -> Option<&'static str> {
    let event = aps.event.map(RawValue::get);
    match event {
        _ if !is_number(aps.timestamp) => {
            Some("a Live Activity needs a timestamp in aps, in seconds since the epoch")
        }
        Some("\"start\"") if !may_start => {
            Some("a broadcast updates or ends an activity; it can't start one")
        }
        Some("\"start\"")
            if aps.alert.is_none() || !begins(aps.attributes_type, b"\"") || !is_object(aps.attributes) =>
        {
            Some("a Live Activity's start needs alert, attributes-type and attributes in aps")
        }
        Some("\"start\"" | "\"update\"") if !is_object(aps.content_state) => {
            Some("a Live Activity's start and update need a content-state object in aps")
        }
        Some("\"start\"" | "\"update\"" | "\"end\"") => None,
        _ => Some("a Live Activity needs an event in aps: start, update or end"),
    }
}

/// What is wrong with a priority for this push type, if anything is.
pub(super) fn problem_of_priority(push_type: PushType, priority: Priority) -> Option<&'static str> {
    match (push_type, priority) {
        (PushType::Background, Priority::Immediate | Priority::Lowest) => {
            Some("a background push has priority 5; send 5 or leave it out")
        }
        (PushType::Liveactivity | PushType::Location, Priority::Lowest) => {
            Some("this push type has priority 10 or 5")
        }
        _ => None,
    }
}

/// What is wrong with a topic for this push type beyond its suffix, if anything is.
pub(super) fn problem_of_topic(push_type: PushType, topic: &str) -> Option<&'static str> {
    (push_type == PushType::Mdm && !topic.starts_with(MDM_TOPIC))
        .then_some("an mdm push goes to the management certificate's UID, com.apple.mgmt.…")
}

/// What is wrong with a badge for this push type, if anything is.
pub(super) fn problem_of_badge(push_type: PushType, badge: Option<Badge>) -> Option<&'static str> {
    (badge.is_some() && push_type != PushType::Alert)
        .then_some("only an alert push changes the badge; a badge without alert and sound is one too")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(push_type: PushType, payload: &str) {
        assert_eq!(problem_of_payload(push_type, payload.as_bytes()), None, "{payload}");
    }

    fn bad(push_type: PushType, payload: &str, word: &str) {
        let problem = problem_of_payload(push_type, payload.as_bytes());
        assert!(problem.is_some_and(|problem| problem.contains(word)), "{payload}: {problem:?}");
    }

    #[test]
    fn background_is_content_available_alone() {
        use PushType::Background;
        good(Background, r#"{"aps":{"content-available":1},"custom":{"alert":"mine"}}"#);
        bad(Background, r#"{"aps":{}}"#, "content-available");
        bad(Background, r#"{"aps":{"content-available":true}}"#, "content-available");
        bad(Background, r#"{"custom":1}"#, "content-available");
        bad(Background, r#"{"aps":{"content-available":1,"sound":""}}"#, "no alert");
        bad(Background, r#"{"aps":{"content-available":1,"badge":0}}"#, "no alert");
    }

    #[test]
    fn live_activities_have_their_fields() {
        use PushType::Liveactivity;
        let start = r#"{"aps":{"timestamp":1,"event":"start","content-state":{},"attributes-type":"Game","attributes":{},"alert":{"title":"t"}}}"#;
        good(Liveactivity, start);
        good(Liveactivity, r#"{"aps":{"timestamp":1,"event":"update","content-state":{"a":1}}}"#);
        good(Liveactivity, r#"{"aps":{"timestamp":1,"event":"end","dismissal-date":0}}"#);
        for missing in [r#""attributes-type":"Game","#, r#""attributes":{},"#, r#","alert":{"title":"t"}"#] {
            bad(Liveactivity, &start.replace(missing, ""), "start needs");
        }
        bad(Liveactivity, &start.replace(r#""content-state":{},"#, ""), "content-state");
        bad(Liveactivity, r#"{"aps":{"event":"update","content-state":{}}}"#, "timestamp");
        bad(Liveactivity, r#"{"aps":{"timestamp":"1","event":"end"}}"#, "timestamp");
        bad(Liveactivity, r#"{"aps":{"timestamp":1,"event":"pause"}}"#, "event");
        assert_eq!(problem_of_broadcast(br#"{"aps":{"timestamp":1,"event":"end"}}"#), None);
        assert!(problem_of_broadcast(start.as_bytes()).is_some_and(|p| p.contains("can't start")));
        let long =
            format!("{{\"aps\":{{\"timestamp\":1,\"event\":\"end\"}},\"x\":\"{}\"}}", "x".repeat(5120));
        assert!(problem_of_broadcast(long.as_bytes()).is_some_and(|p| p.contains("5120")));
    }

    #[test]
    fn widgets_and_management_have_theirs_and_alerts_are_free() {
        good(PushType::Widgets, r#"{"aps":{"content-changed":true}}"#);
        bad(PushType::Widgets, r#"{"aps":{"content-changed":1}}"#, "content-changed");
        good(PushType::Mdm, r#"{"mdm":"MAGIC"}"#);
        bad(PushType::Mdm, r#"{"aps":{}}"#, "push magic");
        good(PushType::Alert, "not even JSON");
        assert!(problem_of_topic(PushType::Mdm, "com.example.im").is_some());
        assert!(problem_of_topic(PushType::Mdm, "com.apple.mgmt.External.1").is_none());
    }

    #[test]
    fn priorities_and_badges() {
        assert!(problem_of_priority(PushType::Background, Priority::Immediate).is_some());
        assert!(problem_of_priority(PushType::Background, Priority::Conserve).is_none());
        assert!(problem_of_priority(PushType::Liveactivity, Priority::Lowest).is_some());
        assert!(problem_of_priority(PushType::Alert, Priority::Lowest).is_none());
        assert!(problem_of_badge(PushType::Voip, Some(Badge::Set(1))).is_some());
        assert!(problem_of_badge(PushType::Alert, Some(Badge::Set(1))).is_none());
    }
}
