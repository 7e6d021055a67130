//! Broadcast channels: management and publishing.

use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::faults::RequestFaults;
use skein_apns_sim::{Handle, ProviderKey};

use crate::client::{Client, Fields, bearer, id, start, without};

const CREATE: &str = r#"{"message-storage-policy":1,"push-type":"LiveActivity"}"#;
const ACTIVITY: &str = r#"{"aps":{"event":"update","content-state":{},"timestamp":1}}"#;

fn fields(method: &str, path: &str, more: &[(&str, &str)]) -> Fields {
    let bearer = bearer();
    let usual = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
        ("authorization", &bearer),
    ];
    usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What came back: status, headers, body.
struct Got(u16, Fields, String);

impl Got {
    fn header(&self, name: &str) -> Option<String> {
        self.1.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }

    fn reason(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.2).expect("JSON");
        body["reason"].as_str().expect("a reason").to_owned()
    }
}

fn ask(client: &mut Client, fields: &Fields, body: &str) -> Got {
    let stream = client.send(fields, body.as_bytes());
    let (fields, body) = client.whole(stream);
    Got(fields[0].1.parse().expect("a status"), fields, body)
}

const CHANNELS: &str = "/1/apps/com.example.im/channels";
const ALL: &str = "/1/apps/com.example.im/all-channels";
const PUBLISH: &str = "/4/broadcasts/apps/com.example.im";

fn create(client: &mut Client, body: &str) -> String {
    let got = ask(client, &fields("POST", CHANNELS, &[]), body);
    assert_eq!((got.0, got.2.as_str()), (201, ""));
    got.header("apns-channel-id").expect("its id")
}

fn publish(channel: &str, expiration: &str) -> Fields {
    fields(
        "POST",
        PUBLISH,
        &[
            ("apns-channel-id", channel),
            ("apns-expiration", expiration),
            ("apns-priority", "10"),
            ("apns-push-type", "Liveactivity"),
            ("apns-request-id", &id(5)),
        ],
    )
}

#[test]
fn a_channel_lives_and_dies() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let channel = create(&mut client, CREATE);
    let named = [("apns-channel-id", channel.as_str()), ("apns-request-id", &id(7))];
    let got = ask(&mut client, &fields("GET", CHANNELS, &named), "");
    let body: serde_json::Value = serde_json::from_str(&got.2).expect("JSON");
    assert_eq!((got.0, body["message-storage-policy"].as_u64()), (200, Some(1)));
    assert_eq!(body["push-type"].as_str(), Some("LiveActivity"));
    assert_eq!(got.header("apns-request-id"), Some(id(7)), "echoed");

    let got = ask(&mut client, &publish(&channel, "1900000000"), ACTIVITY);
    assert_eq!((got.0, got.header("apns-request-id"), got.2.as_str()), (200, Some(id(5)), ""));
    assert!(got.header("apns-unique-id").is_some());
    let shown = &simulator.channels()["com.example.im"][0];
    assert_eq!(
        (shown.published, shown.stored.as_ref().map(|body| body["aps"]["event"] == "update")),
        (1, Some(true))
    );

    let got = ask(&mut client, &fields("GET", ALL, &[]), "");
    assert_eq!((got.0, got.2), (200, format!(r#"{{"channels":["{channel}"]}}"#)));
    let got = ask(&mut client, &fields("DELETE", CHANNELS, &named), "");
    assert_eq!((got.0, got.2.as_str()), (204, ""));
    assert!(got.header("apns-request-id").is_some());
    assert_eq!(ask(&mut client, &fields("GET", CHANNELS, &named), "").reason(), "ChannelNotRegistered");
    assert_eq!(ask(&mut client, &fields("GET", ALL, &[]), "").2, r#"{"channels":[]}"#);
    assert_eq!(client.push(&crate::client::token(1)).status, 200, "the port serves devices as well");
}

fn reason_for(simulator: &Handle, fields: &Fields, body: &str) -> String {
    ask(&mut Client::connect(simulator), fields, body).reason()
}

#[test]
fn every_reason_of_the_broadcast_table() {
    let simulator = start(|config| {
        config.broadcast.channels_max = 2;
        config.broadcast.bundle_ids = vec!["com.example.im".to_owned()];
        config.bundle_ids = ["com.example.im", "com.example.quiet"].map(str::to_owned).to_vec();
    });
    let mut client = Client::connect(&simulator);
    let stored = create(&mut client, CREATE);
    let fleeting = create(&mut client, &CREATE.replace('1', "0"));
    let post = || fields("POST", CHANNELS, &[]);
    let spoilt = |name: &str, value: Option<&str>| {
        let mut all = publish(&stored, "0");
        all.retain(|(other, _)| other != name);
        all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        all
    };
    let twice = |name: &str, value: &str| {
        let mut all = publish(&stored, "0");
        all.push((name.to_owned(), value.to_owned()));
        all
    };
    let long = "QUJD".repeat(40);
    let table: Vec<(Fields, String, &str)> = vec![
        (post(), CREATE.into(), "CannotCreateChannelConfig"),
        (post(), "{".into(), "BadRequestPayload"),
        (post(), String::new(), "PayloadEmpty"),
        (post(), CREATE.replace('{', r#"{"x":1,"#), "BadRequestParams"),
        (post(), r#"{"message-storage-policy":1}"#.into(), "MissingPushType"),
        (post(), CREATE.replace("LiveActivity", "alert"), "InvalidPushType"),
        (post(), r#"{"push-type":"LiveActivity"}"#.into(), "MissingChannelQueueSize"),
        (post(), CREATE.replace('1', "2"), "MissingChannelQueueSize"),
        (fields("GET", CHANNELS, &[]), String::new(), "MissingChannelId"),
        (fields("DELETE", CHANNELS, &[("apns-channel-id", "!")]), String::new(), "BadChannelId"),
        (fields("GET", CHANNELS, &[("apns-channel-id", &long)]), String::new(), "BadChannelId"),
        (fields("PUT", CHANNELS, &[]), String::new(), "MethodNotAllowed"),
        (fields("POST", ALL, &[]), String::new(), "MethodNotAllowed"),
        (fields("POST", "/1/apps/com.example.im/some", &[]), String::new(), "BadPath"),
        (fields("POST", "/1/apps/com.example.im.voip/channels", &[]), CREATE.into(), "TopicDisallowed"),
        (fields("POST", "/1/apps/com.example.quiet/channels", &[]), CREATE.into(), "FeatureNotEnabled"),
        (fields("GET", "/1/apps/com.example.else/all-channels", &[]), String::new(), "TopicMismatch"),
        (spoilt("authorization", None), ACTIVITY.into(), "MissingProviderToken"),
        (spoilt("apns-channel-id", None), ACTIVITY.into(), "MissingChannelId"),
        (spoilt("apns-channel-id", Some("QUJD")), ACTIVITY.into(), "ChannelNotRegistered"),
        (spoilt("apns-push-type", None), ACTIVITY.into(), "MissingPushType"),
        (spoilt("apns-push-type", Some("alert")), ACTIVITY.into(), "InvalidPushType"),
        (spoilt("apns-priority", None), ACTIVITY.into(), "BadPriority"),
        (spoilt("apns-priority", Some("3")), ACTIVITY.into(), "BadPriority"),
        (spoilt("apns-expiration", None), ACTIVITY.into(), "BadExpirationDate"),
        (spoilt("apns-request-id", Some("x")), ACTIVITY.into(), "BadMessageId"),
        (publish(&fleeting, "1900000000"), ACTIVITY.into(), "BadExpirationDate"),
        (publish(&stored, "0"), String::new(), "PayloadEmpty"),
        (twice("apns-priority", "10"), ACTIVITY.into(), "DuplicateHeaders"),
        (twice("apns-request-id", &id(6)), ACTIVITY.into(), "DuplicateHeaders"),
        (publish(&stored, "0"), "no json".into(), "BadRequestPayload"),
        (publish(&stored, "0"), "x".repeat(5121), "PayloadTooLarge"),
    ];
    for (fields, body, reason) in &table {
        let got = reason_for(&simulator, fields, body);
        assert_eq!(got, *reason, "{:?}", &fields[3]);
    }
    assert_eq!(
        ask(&mut client, &publish(&fleeting, "0"), &format!("{{\"x\":\"{}\"}}", "y".repeat(5112))).0,
        200
    );
}

#[test]
fn management_has_a_port_of_its_own() {
    let simulator = start(|config| config.management = Some(([127, 0, 0, 1], 0).into()));
    let address = simulator.management_addr().expect("it listens");
    let mut management = Client::connect_to(&simulator, address);
    let channel = create(&mut management, CREATE);
    assert_eq!(ask(&mut management, &publish(&channel, "0"), ACTIVITY).reason(), "BadPath");
    assert_eq!(management.push(&crate::client::token(1)).reason().as_deref(), Some("BadPath"));
    let mut client = Client::connect(&simulator);
    assert_eq!(ask(&mut client, &fields("GET", ALL, &[]), "").reason(), "BadPath");
    assert_eq!(ask(&mut client, &publish(&channel, "0"), ACTIVITY).0, 200);
}

#[test]
fn a_key_of_other_topics_reaches_no_channel() {
    let pem = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let key = ProviderKey::from_p8("ABCDEFGHIJ", "TEAM567890", None, pem.as_bytes()).expect("P-256");
    let simulator = start(|config| {
        config.tokens.keys = vec![key.for_topics(["com.example.im"])];
        config.tokens.lenient = true;
    });
    let mut client = Client::connect(&simulator);
    let channel = create(&mut client, CREATE);
    assert_eq!(ask(&mut client, &publish(&channel, "0"), ACTIVITY).0, 200);
    refuses_the_other_app(&mut client, &channel, |fields| fields);
}

#[test]
fn a_certificate_of_other_topics_reaches_no_channel() {
    let simulator = start(|_| {});
    let spec = ClientCertificateSpec {
        bundle_id: "com.example.im".to_owned(),
        sandbox: true,
        ..ClientCertificateSpec::default()
    };
    let pair = simulator.authority().client(&spec).expect("a certificate");
    let mut client = Client::try_connect(&simulator, &[b"h2"], Some(&pair)).expect("connected");
    let bare = |fields| without(fields, "authorization");
    let got = ask(&mut client, &bare(fields("POST", CHANNELS, &[])), CREATE);
    assert_eq!(got.0, 201);
    let channel = got.header("apns-channel-id").expect("its id");
    refuses_the_other_app(&mut client, &channel, bare);
}

/// Management and publishing of `com.example.else` are 403 `TopicMismatch`.
fn refuses_the_other_app(client: &mut Client, channel: &str, bare: impl Fn(Fields) -> Fields) {
    let other = |path: &str| path.replace("com.example.im", "com.example.else");
    let named = [("apns-channel-id", channel)];
    let mut elsewhere = publish(channel, "0");
    elsewhere.iter_mut().for_each(|(_, value)| *value = other(value));
    for (request, body) in [
        (fields("POST", &other(CHANNELS), &[]), CREATE),
        (fields("GET", &other(CHANNELS), &named), ""),
        (fields("DELETE", &other(CHANNELS), &named), ""),
        (fields("GET", &other(ALL), &[]), ""),
        (elsewhere, ACTIVITY),
    ] {
        let got = ask(client, &bare(request), body);
        assert_eq!((got.0, got.reason().as_str()), (403, "TopicMismatch"));
    }
}

#[test]
fn the_service_fails_broadcasts_too() {
    type Strike = fn(&mut RequestFaults);
    let table: [(Strike, u16, &str); 4] = [
        (|faults| faults.too_many_requests = 1.0, 429, "TooManyRequests"),
        (|faults| faults.internal_server_error = 1.0, 500, "InternalServerError"),
        (|faults| faults.service_unavailable = 1.0, 503, "Service Unavailable"),
        (|faults| faults.shutdown = 1.0, 503, "Shutdown"),
    ];
    for (strike, status, reason) in table {
        let simulator = start(|config| strike(&mut config.faults.request));
        let mut client = Client::connect(&simulator);
        for request in [fields("GET", ALL, &[]), publish("QUJD", "0")] {
            let got = ask(&mut client, &request, ACTIVITY);
            assert_eq!((got.0, got.reason().as_str()), (status, reason));
            assert!(got.header("apns-request-id").is_some());
        }
    }
}
