//! The two ways to prove who one is, and TLS.

use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::{Environment, Reason};

use crate::client::{Client, Event, bearer, bearer_aged, fields, start, token, with, without};

const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

fn spec() -> ClientCertificateSpec {
    ClientCertificateSpec {
        bundle_id: "com.example.im".to_owned(),
        topics: vec!["com.example.im".to_owned(), "com.example.im.voip".to_owned()],
        production: true,
        ..ClientCertificateSpec::default()
    }
}

#[test]
fn a_client_certificate_alone_decides() {
    let simulator = start(|config| config.environment = Environment::Production);
    let pair = simulator.authority().client(&spec()).expect("a certificate");
    let mut client = Client::try_connect(&simulator, &[b"h2"], Some(&pair)).expect("connected");
    assert_eq!(client.stream_limit(), 1000, "no token needs to be shown first");
    let plain = || without(fields(&token(1)), "authorization");
    let mut reason = |fields: crate::client::Fields| client.ask(&fields, BODY).reason();
    assert_eq!(reason(plain()), None);
    assert_eq!(reason(with(plain(), "authorization", "bearer nonsense")), None, "ignored");
    assert_eq!(reason(with(plain(), "apns-topic", "com.example.other")).as_deref(), Some("TopicDisallowed"));
    assert_eq!(reason(without(plain(), "apns-topic")).as_deref(), Some("MissingTopic"));
}

#[test]
fn certificates_of_the_wrong_environment_or_time_are_refused() {
    let simulator = start(|config| config.environment = Environment::Sandbox);
    for (spec, reason) in [
        (spec(), "BadCertificateEnvironment"),
        (ClientCertificateSpec { expired: true, sandbox: true, ..spec() }, "BadCertificate"),
    ] {
        let pair = simulator.authority().client(&spec).expect("a certificate");
        let mut client = Client::try_connect(&simulator, &[b"h2"], Some(&pair)).expect("connected");
        let answer = client.ask(&without(fields(&token(1)), "authorization"), BODY);
        assert_eq!((answer.status, answer.reason().as_deref()), (403, Some(reason)));
    }
}

#[test]
fn clients_may_leave_alpn_out_but_not_ask_for_http_1() {
    let simulator = start(|_| {});
    let mut client = Client::try_connect(&simulator, &[], None).expect("connected");
    assert_eq!(client.push(&token(1)).status, 200);
    let refused = Client::try_connect(&simulator, &[b"http/1.1"], None).map(|mut client| client.event());
    assert!(!matches!(refused, Ok(Event::Settings(_))), "{refused:?}");
}

#[test]
fn a_second_token_too_soon_is_too_many() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let other = bearer().replace("bearer ", "bearer");
    assert_eq!(client.push(&token(1)).status, 200);
    assert_eq!(client.ask(&with(fields(&token(1)), "authorization", &other), BODY).status, 403);
    let second = bearer_aged(60);
    let answer = client.ask(&with(fields(&token(1)), "authorization", &second), BODY);
    assert_eq!((answer.status, answer.reason().as_deref()), (429, Some("TooManyProviderTokenUpdates")));
    assert_eq!(simulator.stats().refused_for(Reason::TooManyProviderTokenUpdates), 1);
    assert_eq!(
        Client::connect(&simulator).ask(&with(fields(&token(1)), "authorization", &second), BODY).status,
        200
    );
}
