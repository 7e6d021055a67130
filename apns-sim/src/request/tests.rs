//! The request table: what each header and body comes to.

use super::*;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn check_with(fields: &[(&str, &str)], body: usize, strict: Strictness) -> Option<Reason> {
    let path = format!("/3/device/{TOKEN}");
    let mut head = Head::default();
    let usual = [
        (":method", "POST"),
        (":path", &path),
        ("apns-topic", "com.example.im"),
        ("apns-push-type", "alert"),
    ];
    for (name, value) in usual {
        if !fields.iter().any(|(other, _)| *other == name) {
            head.take(name.as_bytes(), value.as_bytes(), &strict);
        }
    }
    for (name, value) in fields.iter().filter(|(_, value)| *value != "absent") {
        head.take(name.as_bytes(), value.as_bytes(), &strict);
    }
    head.finish(&strict);
    head.take_body_length(body);
    head.faults.first()
}

fn check(fields: &[(&str, &str)], body: usize) -> Option<Reason> {
    check_with(fields, body, Strictness::default())
}

#[test]
fn every_check_of_the_request_table() {
    type Case<'a> = (&'a [(&'a str, &'a str)], usize, Option<Reason>);
    let id = "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
    let (fits, over) = ("é".repeat(32), format!("{}x", "é".repeat(32)));
    let long = format!("/3/device/{}", "ab".repeat(201));
    let table: &[Case<'_>] = &[
        (&[], 100, None),
        (&[(":method", "GET")], 100, Some(Reason::MethodNotAllowed)),
        (&[(":path", "/3/devices/ab")], 100, Some(Reason::BadPath)),
        (&[(":path", "/")], 100, Some(Reason::BadPath)),
        (&[(":path", "absent")], 100, Some(Reason::BadPath)),
        (&[(":path", "/3/device/")], 100, Some(Reason::MissingDeviceToken)),
        (&[(":path", "/3/device")], 100, Some(Reason::MissingDeviceToken)),
        (&[(":path", "/3/device/abc")], 100, Some(Reason::BadDeviceToken)),
        (&[(":path", "/3/device/xyxy")], 100, Some(Reason::BadDeviceToken)),
        (&[(":path", &long)], 100, Some(Reason::BadDeviceToken)),
        (&[(":path", "/3/device/ABCD")], 100, None),
        (&[("apns-id", id)], 100, None),
        (&[("apns-id", "0192aaaabbbb7ccc8dddeeeeffff0000")], 100, Some(Reason::BadMessageId)),
        (&[("apns-id", "0192aaaa-bbbb-7ccc-8ddd-eeeeffff000g")], 100, Some(Reason::BadMessageId)),
        (&[("apns-id", "0192AAAA-bbbb-7ccc-8ddd-eeeeffff0000")], 100, None),
        (&[("apns-topic", "")], 100, Some(Reason::BadTopic)),
        (&[("apns-topic", "com example")], 100, Some(Reason::BadTopic)),
        (&[("apns-topic", "com.example.im.voip")], 100, Some(Reason::TopicDisallowed)),
        (&[("apns-push-type", "voip")], 100, Some(Reason::TopicDisallowed)),
        (&[("apns-push-type", "loud")], 100, Some(Reason::InvalidPushType)),
        (&[("apns-push-type", "absent")], 100, None),
        (&[("apns-priority", "10")], 100, None),
        (&[("apns-priority", "1")], 100, None),
        (&[("apns-priority", "7")], 100, Some(Reason::BadPriority)),
        (&[("apns-push-type", "background")], 100, Some(Reason::BadPriority)),
        (&[("apns-push-type", "background"), ("apns-priority", "10")], 100, Some(Reason::BadPriority)),
        (&[("apns-push-type", "background"), ("apns-priority", "5")], 100, None),
        (&[("apns-expiration", "0")], 100, None),
        (&[("apns-expiration", "1900000000")], 100, None),
        (&[("apns-expiration", "-1")], 100, Some(Reason::BadExpirationDate)),
        (&[("apns-expiration", "soon")], 100, Some(Reason::BadExpirationDate)),
        (&[("apns-expiration", "")], 100, Some(Reason::BadExpirationDate)),
        (&[("apns-collapse-id", &fits)], 100, None),
        (&[("apns-collapse-id", &over)], 100, Some(Reason::BadCollapseId)),
        (&[("apns-collapse-id", "")], 100, Some(Reason::BadCollapseId)),
        (&[("apns-id", id), ("apns-id", id)], 100, Some(Reason::DuplicateHeaders)),
        (&[("x-any", "1"), ("x-any", "1")], 100, None),
        (&[], 0, Some(Reason::PayloadEmpty)),
        (&[], 4096, None),
        (&[], 4097, Some(Reason::PayloadTooLarge)),
        (&[("apns-push-type", "voip"), ("apns-topic", "com.example.im.voip")], 5120, None),
        (
            &[("apns-push-type", "voip"), ("apns-topic", "com.example.im.voip")],
            5121,
            Some(Reason::PayloadTooLarge),
        ),
    ];
    for (fields, body, expected) in table {
        assert_eq!(check(fields, *body), *expected, "{fields:?} with a body of {body}");
    }
}

#[test]
fn switches_make_it_stricter() {
    let upper = [("apns-id", "0192AAAA-bbbb-7ccc-8ddd-eeeeffff0000")];
    let strict = Strictness { lower_case_id: true, ..Strictness::default() };
    assert_eq!(check_with(&upper, 9, strict), Some(Reason::BadMessageId));
    let strict = Strictness { token_of_32_bytes: true, ..Strictness::default() };
    assert_eq!(check_with(&[(":path", "/3/device/abcd")], 9, strict), Some(Reason::BadDeviceToken));
    let strict = Strictness { push_type_required: true, ..Strictness::default() };
    assert_eq!(check_with(&[("apns-push-type", "absent")], 9, strict), Some(Reason::InvalidPushType));
    let lenient = Strictness { topic_suffix: false, ..Strictness::default() };
    assert_eq!(check_with(&[("apns-push-type", "voip")], 9, lenient), None);
}

#[test]
fn ids_survive_the_way_through_text() {
    let id = 0x0192_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0123;
    assert_eq!(&format_uuid(id), b"0192aaaa-bbbb-7ccc-8ddd-eeeeffff0123");
    assert_eq!(parse_uuid(&format_uuid(id), true), Some(id));
}
