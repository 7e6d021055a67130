//! What a request may ask of a server of ours (in `apns-collapse-id`), and the answer that must come of it.

use crate::load::{Answers, Done};
use skein_apns::{Answer, Reason};

pub struct Wish {
    pub name: &'static str,
    status: u16,
    reason: Option<&'static str>,
    timestamp_ms: Option<i64>,
}

const fn wish(name: &'static str, status: u16, reason: Option<&'static str>) -> Wish {
    Wish { name, status, reason, timestamp_ms: None }
}

const fn gone(name: &'static str) -> Wish {
    let (status, reason, timestamp_ms) = (410, Some("Unregistered"), Some(1_700_000_000_123));
    Wish { name, status, reason, timestamp_ms }
}

/// Most are accepted, so that a run of refusals does not retire the connection.
static WISHES: [Wish; 16] = [
    wish("", 200, None),
    gone("gone"),
    wish("", 200, None),
    wish("bad", 400, Some("BadDeviceToken")),
    // 103 (Early Hints) before the answer.
    wish("hints", 200, None),
    // A header block after the body.
    gone("trailers"),
    wish("busy", 429, Some("TooManyRequests")),
    wish("", 200, None),
    wish("html", 404, None),
    wish("slow", 200, None),
    // The body in DATA frames of one byte.
    gone("split"),
    // Forty fields of 180 bytes, another forty in each answer.
    wish("headers", 200, None),
    // 20,000 bytes of body.
    wish("large", 400, None),
    wish("", 200, None),
    // 100,000 bytes of body: more than is wanted of any refusal.
    wish("huge", 400, None),
    wish("", 200, None),
];

pub fn of_key(key: u64) -> &'static Wish {
    &WISHES[(key % WISHES.len() as u64) as usize]
}

/// Each reply is the one that its request asked for, under its own id.
pub fn assert_granted(answers: &Answers) {
    for (key, Done { request, answer }) in answers {
        let Answer::Reply { status, reason, timestamp_ms, apns_id, .. } = answer else { continue };
        let name = request.collapse_id.as_deref().unwrap_or_default();
        let wish = WISHES.iter().find(|wish| wish.name == name).unwrap();
        assert_eq!(
            (*status, reason.as_ref().map(Reason::label), *timestamp_ms, *apns_id),
            (wish.status, wish.reason, wish.timestamp_ms, Some(request.apns_id)),
            "push {key} asked for {name:?}"
        );
    }
}
