//! From a request's body to notifications, or to every fault it has. Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use skein_core::notification::Fault;
use skein_core::wire::read_drafts;
use skein_core::{Notification, Timestamp};

use crate::access::PoolRule;
use crate::problem::Problem;

/// Most faults named in one answer: the body of a thousand items could hold thousands.
const FAULTS_MAX: usize = 100;

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct Submission {
    /// In the body's order.
    pub(crate) notifications: Vec<Notification>,
    /// Whether the caller gave the id, for each: then it may have been submitted before.
    pub(crate) known: Vec<bool>,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<Vec<ItemShape<'a>>>,
}

#[derive(Deserialize)]
struct ItemShape<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Reads one notification, shared fields with `items`, or an array of notifications.
///
/// # Errors
/// [`Problem::NotJson`], or [`Problem::Invalid`] with every fault, at most [`FAULTS_MAX`].
pub(crate) fn read(
    body: &[u8],
    rule: &PoolRule,
    items_max: usize,
    now: Timestamp,
) -> Result<Submission, Problem> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(|e| Problem::NotJson(e.to_string()))?;
    let mut faults = Vec::new();
    let (submission, lead) = match whole.get().as_bytes().first() {
        Some(b'{') => {
            let given = shape(whole, items_max)?;
            let lead = if given.1 { Lead::Items } else { Lead::Alone };
            let read = read_drafts(whole.get().as_bytes(), now).unwrap_or_else(|found| {
                faults = found;
                Vec::new()
            });
            (Submission { notifications: read, known: given.0 }, lead)
        }
        Some(b'[') => (read_array(whole, items_max, now, &mut faults)?, Lead::Array),
        _ => return Err(Problem::fault("body", "neither an object nor an array")),
    };
    check_topics(&submission, rule, lead, &mut faults);
    check_twice(&submission, lead, &mut faults);
    if faults.is_empty() {
        return Ok(submission);
    }
    if faults.len() > FAULTS_MAX {
        let more = faults.len() - FAULTS_MAX;
        faults.truncate(FAULTS_MAX);
        faults.push(Fault::new("body", format!("{more} more faults are not named")));
    }
    Err(Problem::Invalid(faults))
}

/// How a notification's place is written.
#[derive(Clone, Copy)]
enum Lead {
    Alone,
    Items,
    Array,
}

impl Lead {
    fn at(self, n: usize) -> String {
        match self {
            Self::Alone => String::new(),
            Self::Items => format!("items[{n}]."),
            Self::Array => format!("[{n}]."),
        }
    }
}

/// Which ids the caller gave, and whether there are `items`. What has no readable shape is left to the reading itself.
fn shape(object: &RawValue, items_max: usize) -> Result<(Vec<bool>, bool), Problem> {
    let Ok(shape) = serde_json::from_str::<Shape<'_>>(object.get()) else { return Ok((vec![false], false)) };
    match shape.items {
        None => Ok((vec![shape.id.is_some()], false)),
        Some(items) if items.len() > items_max => Err(too_many(items.len(), items_max)),
        Some(items) => Ok((items.iter().map(|item| item.id.is_some()).collect(), true)),
    }
}

fn too_many(count: usize, most: usize) -> Problem {
    Problem::fault("items", &format!("{count} notifications; at most {most} in one request"))
}

fn read_array(
    array: &RawValue,
    items_max: usize,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Result<Submission, Problem> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(array.get()).map_err(|e| Problem::NotJson(e.to_string()))?;
    if elements.is_empty() || elements.len() > items_max {
        return Err(too_many(elements.len(), items_max));
    }
    let mut all = Submission { notifications: Vec::new(), known: Vec::new() };
    for (n, element) in elements.iter().enumerate() {
        let lead = Lead::Array.at(n);
        let (known, nested) = shape(element, items_max)?;
        if nested {
            faults.push(Fault::new(
                format!("{lead}items"),
                "not inside an array; send it as a request of its own",
            ));
            continue;
        }
        match read_drafts(element.get().as_bytes(), now) {
            Ok(read) => {
                all.notifications.extend(read);
                all.known.extend(known);
            }
            Err(found) => {
                faults.extend(found.into_iter().map(|f| Fault::new(format!("{lead}{}", f.field), f.problem)));
            }
        }
    }
    Ok(all)
}

fn check_topics(submission: &Submission, rule: &PoolRule, lead: Lead, faults: &mut Vec<Fault>) {
    if rule.topics.is_empty() || !faults.is_empty() {
        return;
    }
    for (n, notification) in submission.notifications.iter().enumerate() {
        if !rule.topics.iter().any(|topic| **topic == *notification.content.topic) {
            let topics = rule.topics.join(", ");
            let problem = format!("not a topic of this pool; one of {topics}");
            faults.push(Fault::new(format!("{}topic", lead.at(n)), problem));
        }
    }
}

fn check_twice(submission: &Submission, lead: Lead, faults: &mut Vec<Fault>) {
    let mut seen = HashMap::with_capacity(submission.notifications.len());
    for (n, notification) in submission.notifications.iter().enumerate() {
        if let Some(first) = seen.insert(notification.key(), n) {
            let problem = format!("the same as that of item {first}; each notification has its own");
            faults.push(Fault::new(format!("{}id", lead.at(n)), problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::NotificationId;

    const ONE: &str = r#"{"token":"ab","topic":"com.example.im","payload":{"aps":{}}}"#;

    fn read_text(body: &str) -> Result<Submission, Problem> {
        let rule = PoolRule { topics: vec!["com.example.im".into()] };
        read(body.as_bytes(), &rule, 3, NotificationId::now().at())
    }

    fn fields(body: &str) -> Vec<String> {
        match read_text(body) {
            Err(Problem::Invalid(faults)) => faults.into_iter().map(|f| f.field).collect(),
            other => panic!("not refused as invalid: {other:?}"),
        }
    }

    #[test]
    fn three_shapes() {
        assert_eq!(read_text(ONE).unwrap().known, [false]);
        let id = NotificationId::now();
        let shared = format!(
            r#"{{"topic":"com.example.im","payload":{{}},"items":[{{"token":"ab"}},{{"token":"cd","id":"{id}"}}]}}"#
        );
        let read = read_text(&shared).unwrap();
        assert_eq!(read.known, [false, true]);
        assert_eq!(read.notifications[1].id, id);
        assert_eq!(read_text(&format!("[{ONE},{ONE}]")).unwrap().notifications.len(), 2);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        assert_eq!(fields(r#"{"token":"zz","topic":"","payload":[]}"#), ["token", "topic", "payload"]);
        let bad_second = format!(r#"[{ONE},{{"token":"zz","topic":"com.example.im"}}]"#);
        assert_eq!(fields(&bad_second), ["[1].token", "[1].payload"]);
        assert_eq!(
            fields(r#"{"topic":"com.example.im","payload":{},"items":[{"token":"ab"},{}]}"#),
            ["items[1].token"]
        );
        assert_eq!(fields("[]"), ["items"]);
        assert_eq!(fields("7"), ["body"]);
        assert_eq!(fields(&format!("[{ONE},{ONE},{ONE},{ONE}]")), ["items"]);
        assert_eq!(fields(&format!(r#"[{{"items":[{ONE}]}}]"#)), ["[0].items"]);
        assert_eq!(fields(&ONE.replace("com.example.im", "com.example.mail")), ["topic"]);
    }

    #[test]
    fn an_id_stands_once_in_a_request() {
        let one = format!(r#"{{"id":"{}",{}"#, NotificationId::now(), &ONE[1..]);
        assert_eq!(fields(&format!("[{one},{one}]")), ["[1].id"]);
    }

    #[test]
    fn broken_json_is_no_fault_of_a_field() {
        for body in ["", "{", "[1,", "nul", "\u{1}"] {
            assert!(matches!(read_text(body), Err(Problem::NotJson(_))), "{body:?}");
        }
    }

    #[test]
    fn faults_are_bounded() {
        let rule = PoolRule::default();
        let body = format!("[{}]", vec!["{}"; 200].join(","));
        let Err(Problem::Invalid(faults)) = read(body.as_bytes(), &rule, 1000, NotificationId::now().at())
        else {
            panic!("not refused")
        };
        assert_eq!(faults.len(), FAULTS_MAX + 1);
        assert!(faults[FAULTS_MAX].problem.contains("500 more"), "{}", faults[FAULTS_MAX]);
    }
}
