//! The checks of single requests, with Apple's statuses and reasons.

use crate::client::{Client, Fields, fields, id, start, token, with, without};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

#[test]
fn a_good_request_is_accepted_and_its_id_echoed() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let answer = client.ask(&with(fields(&token(1)), "apns-id", &id(1)), BODY);
    assert_eq!((answer.status, answer.id.as_deref(), answer.body.as_str()), (200, Some(id(1).as_str()), ""));
    assert_eq!(answer.unique_id.map(|id| id.len()), Some(36), "the sandbox names its delivery log entry");
    let generated = client.push(&token(1)).id.expect("an id");
    assert_eq!((generated.len(), generated.as_bytes()[14]), (36, b'4'));
    assert_ne!(client.push(&token(1)).id, Some(generated));
}

#[test]
fn production_names_no_unique_id() {
    let simulator = start(|config| config.environment = skein_apns_sim::Environment::Production);
    assert_eq!(Client::connect(&simulator).push(&token(1)).unique_id, None);
}

#[test]
fn bad_requests_are_refused_with_apples_reasons() {
    let simulator = start(|config| config.bundle_ids = vec!["com.example.im".to_owned()]);
    let mut client = Client::connect(&simulator);
    let good = || fields(&token(1));
    let duplicate = |name: &str, value: &str| {
        let mut fields = with(good(), name, value);
        fields.push((name.to_owned(), value.to_owned()));
        fields
    };
    let voip = || with(with(good(), "apns-push-type", "voip"), "apns-topic", "com.example.im.voip");
    let multibyte = "é".repeat(33);
    let table: Vec<(Fields, usize, u16, &str)> = vec![
        (with(good(), ":method", "GET"), 9, 405, "MethodNotAllowed"),
        (with(good(), ":path", "/3/devices/00"), 9, 404, "BadPath"),
        (with(good(), ":path", "/3/device/"), 9, 400, "MissingDeviceToken"),
        (with(good(), ":path", "/3/device/00g0"), 9, 400, "BadDeviceToken"),
        (with(good(), "apns-id", "1234"), 9, 400, "BadMessageId"),
        (without(good(), "apns-topic"), 9, 400, "MissingTopic"),
        (with(good(), "apns-topic", "com example"), 9, 400, "BadTopic"),
        (with(good(), "apns-topic", "com.example.other"), 9, 400, "TopicDisallowed"),
        (with(good(), "apns-push-type", "loud"), 9, 400, "InvalidPushType"),
        (with(good(), "apns-priority", "11"), 9, 400, "BadPriority"),
        (with(good(), "apns-push-type", "background"), 9, 400, "BadPriority"),
        (with(good(), "apns-expiration", "tomorrow"), 9, 400, "BadExpirationDate"),
        (with(good(), "apns-collapse-id", &multibyte), 9, 400, "BadCollapseId"),
        (duplicate("apns-topic", "com.example.im"), 9, 400, "DuplicateHeaders"),
        (duplicate("apns-expiration", "0"), 9, 400, "DuplicateHeaders"),
        (without(good(), "authorization"), 9, 403, "MissingProviderToken"),
        (with(good(), "authorization", "bearer x.y.z"), 9, 403, "InvalidProviderToken"),
        (good(), 0, 400, "PayloadEmpty"),
        (good(), 4097, 413, "PayloadTooLarge"),
        (good(), 60_000, 413, "PayloadTooLarge"),
        (voip(), 5121, 413, "PayloadTooLarge"),
    ];
    for (fields, length, status, reason) in &table {
        let answer = client.ask(fields, &vec![b'x'; (*length).min(16_384)]);
        assert_eq!((answer.status, answer.reason().as_deref()), (*status, Some(*reason)));
        assert!(answer.id.is_some(), "a refusal carries an apns-id");
    }
    for (fields, length) in
        [(good(), 4096), (voip(), 5120), (with(good(), "apns-collapse-id", &"é".repeat(32)), 9)]
    {
        assert_eq!(client.ask(&fields, &vec![b'x'; length]).status, 200);
    }
    let stats = simulator.stats();
    assert_eq!((stats.accepted, stats.requests), (3, table.len() as u64 + 3));
}

#[test]
fn bodies_and_header_blocks_may_come_in_pieces() {
    use skein_apns::frame::{flag, kind};
    use skein_apns::hpack::{Indexing, Name, encode_literal};
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let mut block = Vec::new();
    for (name, value) in fields(&token(1)) {
        encode_literal(Indexing::Incremental, Name::Literal(name.as_bytes()), value.as_bytes(), &mut block);
    }
    let (one, rest) = block.split_at(10);
    let (two, three) = rest.split_at(20);
    client.frame(
        kind::HEADERS,
        flag::PADDED | flag::PRIORITY,
        1,
        &[&[3, 0, 0, 0, 0, 1], one, &[0; 3]].concat(),
    );
    client.frame(kind::CONTINUATION, 0, 1, two);
    client.frame(kind::CONTINUATION, flag::END_HEADERS, 1, three);
    client.frame(kind::DATA, flag::PADDED, 1, &[&[2], &b"{\"skein_"[..], &[0; 2]].concat());
    client.frame(kind::DATA, 0, 1, b"seq\":7");
    client.frame(kind::DATA, flag::END_STREAM, 1, b"}");
    client.flush().expect("sent");
    assert_eq!(client.answer(1).status, 200);
    assert_eq!(simulator.log().rows[0].sequence(), Some(7));
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_ends() {
    use skein_apns::frame::{error_code, kind};
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    client.queue(&fields(&token(1)), b"");
    let end_of_headers = client.out.len() - 9;
    client.out.truncate(end_of_headers);
    client.frame(kind::DATA, 0, 1, &[b'x'; 5000]);
    client.flush().expect("sent");
    assert_eq!(client.answer(1).status, 413);
    assert_eq!(client.reset(1), error_code::NO_ERROR);
}

#[test]
fn strict_json_refuses_what_is_none() {
    let simulator = start(|config| config.strictness.json_body = true);
    let mut client = Client::connect(&simulator);
    assert_eq!(client.ask(&fields(&token(1)), b"no json").status, 400);
    assert_eq!(client.push(&token(1)).status, 200);
}
