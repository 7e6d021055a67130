//! The two ways to prove who one is, and TLS.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use skein_apns_sim::authority::{Authority, ClientCertificateSpec, PemPair};
use skein_apns_sim::{CertificateRefusal, Environment, EnvironmentRefusal, Handle, Reason};

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

/// What a client with this certificate meets: a refusal's reason, or the end of its connection.
fn meets(simulator: &Handle, pair: &PemPair) -> Result<Option<String>, ()> {
    let Ok(mut client) = Client::try_connect(simulator, &[b"h2"], Some(pair)) else { return Err(()) };
    if matches!(client.event(), Event::Closed(_)) {
        return Err(());
    }
    Ok(client.ask(&without(fields(&token(1)), "authorization"), BODY).reason())
}

#[test]
fn certificates_are_refused_in_the_handshake_or_by_answers() {
    let good = || ClientCertificateSpec { sandbox: true, ..spec() };
    let expired = ClientCertificateSpec { expired: true, ..good() };
    for (refusal, refused) in [
        (CertificateRefusal::Handshake, Err(())),
        (CertificateRefusal::Answer, Ok(Some("BadCertificate".to_owned()))),
    ] {
        let simulator = start(|config| {
            config.certificates.refusal = refusal;
            config.certificates.own_only = true;
        });
        let issue = |spec: &ClientCertificateSpec| simulator.authority().client(spec).expect("a certificate");
        let pair = issue(&good());
        assert_eq!(meets(&simulator, &pair), Ok(None));
        assert_eq!(meets(&simulator, &issue(&expired)), refused);
        let foreign = Authority::generate().and_then(|other| other.client(&good())).expect("a certificate");
        assert_eq!(meets(&simulator, &foreign), refused, "another issuer");

        let mut before = Client::try_connect(&simulator, &[b"h2"], Some(&pair)).expect("connected");
        before.ping();
        let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("pem");
        assert!(simulator.set_certificate_revoked(&der, true));
        assert_eq!(meets(&simulator, &pair), refused, "revoked");
        let plain = without(fields(&token(1)), "authorization");
        assert_eq!(before.ask(&plain, BODY).status, 200, "what is open goes on");
        assert!(simulator.set_certificate_revoked(&der, false));
        assert_eq!(meets(&simulator, &pair), Ok(None));
        let failed = if refusal == CertificateRefusal::Handshake { 3 } else { 0 };
        assert_eq!(simulator.stats().tls_errors, failed);
        assert_eq!(Client::connect(&simulator).push(&token(1)).status, 200, "none at all is a token client");
    }
}

#[test]
fn any_issuer_is_good_unless_told_otherwise() {
    let simulator = start(|config| config.environment = Environment::Production);
    let foreign = Authority::generate().and_then(|other| other.client(&spec())).expect("a certificate");
    assert_eq!(meets(&simulator, &foreign), Ok(None));
}

#[test]
fn a_certificate_of_the_other_environment_is_answered_or_sent_away() {
    let simulator = start(|_| {});
    let pair = simulator.authority().client(&spec()).expect("a certificate");
    assert_eq!(meets(&simulator, &pair), Ok(Some("BadCertificateEnvironment".to_owned())));

    let simulator = start(|config| config.certificates.wrong_environment = EnvironmentRefusal::Goaway);
    let mut client = Client::try_connect(&simulator, &[b"h2"], Some(&pair)).expect("connected");
    let text = r#"{"reason":"BadCertificateEnvironment"}"#.to_owned();
    assert_eq!(client.goaway(), (0, 0, text.clone()));
    assert_eq!(client.goaway(), (0, 0, text), "two in a row");
    client.closed();
}

#[test]
fn a_connection_whose_token_expired_is_of_no_use_any_more() {
    let simulator = start(|_| {});
    let mut client = Client::connect(&simulator);
    let old = bearer_aged(3700);
    for value in [&old, &bearer()] {
        let answer = client.ask(&with(fields(&token(1)), "authorization", value), BODY);
        assert_eq!((answer.status, answer.reason().as_deref()), (403, Some("ExpiredProviderToken")));
    }
    assert_eq!(Client::connect(&simulator).push(&token(1)).status, 200);
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
