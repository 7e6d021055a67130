//! Provider tokens, good and bad, alone and on one connection.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::request::{Head, Strictness, Topic};

const NOW: u64 = 1_800_000_000;

fn key() -> (String, ProviderKey) {
    let pem = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let key = ProviderKey::from_p8("ABCDEFGHIJ", "TEAM567890", None, pem.as_bytes()).expect("a P-256 key");
    (pem, key)
}

fn token(pem: &str, header: &str, claims: &str, der: bool) -> Vec<u8> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("pem");
    let signing = if der { &ECDSA_P256_SHA256_ASN1_SIGNING } else { &ECDSA_P256_SHA256_FIXED_SIGNING };
    let pair = EcdsaKeyPair::from_pkcs8(signing, key.secret_pkcs8_der()).expect("P-256");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
    format!("bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}

const HEADER: &str = r#"{"alg":"ES256","kid":"ABCDEFGHIJ"}"#;

fn claims(issued_s: u64) -> String {
    format!(r#"{{"iss":"TEAM567890","iat":{issued_s}}}"#)
}

fn check(value: &[u8], policy: &TokenPolicy) -> Result<(), Reason> {
    Authorization::default().check(value, policy, Environment::Sandbox, NOW)
}

#[test]
fn raw_and_der_signatures_and_both_kinds_of_iat_are_good() {
    let (pem, key) = key();
    let policy = TokenPolicy { keys: vec![key], ..TokenPolicy::default() };
    assert_eq!(check(&token(&pem, HEADER, &claims(NOW), false), &policy), Ok(()));
    assert_eq!(check(&token(&pem, HEADER, &claims(NOW), true), &policy), Ok(()));
    let text = format!(r#"{{"iss":"TEAM567890","iat":"{NOW}"}}"#);
    assert_eq!(check(&token(&pem, HEADER, &text, false), &policy), Ok(()));
}

#[test]
fn bad_tokens_are_refused_with_apples_reasons() {
    let (pem, key) = key();
    let (other_pem, _) = super::tests::key();
    let policy = TokenPolicy { keys: vec![key.clone()], ..TokenPolicy::default() };
    let no_alg = r#"{"alg":"RS256","kid":"ABCDEFGHIJ"}"#;
    let other_kid = r#"{"alg":"ES256","kid":"OTHEROTHER"}"#;
    for (value, reason) in [
        (b"Bearer abc".to_vec(), Reason::MissingProviderToken),
        (b"bearer ".to_vec(), Reason::MissingProviderToken),
        (b"bearer a.b.c".to_vec(), Reason::InvalidProviderToken),
        (token(&pem, no_alg, &claims(NOW), false), Reason::InvalidProviderToken),
        (token(&pem, other_kid, &claims(NOW), false), Reason::InvalidProviderToken),
        (token(&other_pem, HEADER, &claims(NOW), false), Reason::InvalidProviderToken),
        (token(&pem, HEADER, &claims(NOW - 3601), false), Reason::ExpiredProviderToken),
        (token(&pem, HEADER, &claims(NOW + 3601), false), Reason::ExpiredProviderToken),
        (token(&pem, HEADER, r#"{"iss":"TEAM567890"}"#, false), Reason::InvalidProviderToken),
    ] {
        assert_eq!(check(&value, &policy), Err(reason));
    }
    let bound = ProviderKey { environment: Some(Environment::Production), ..key };
    let policy = TokenPolicy { keys: vec![bound], ..TokenPolicy::default() };
    let good = token(&pem, HEADER, &claims(NOW), false);
    assert_eq!(check(&good, &policy), Err(Reason::BadEnvironmentKeyIdInToken));
    let lenient = TokenPolicy { lenient: true, ..TokenPolicy::default() };
    assert_eq!(check(&token(&other_pem, no_alg, "{}", false), &lenient), Ok(()));
}

#[test]
fn a_connection_holds_one_team_one_key_and_few_tokens() {
    let (pem, _) = key();
    let policy = TokenPolicy { wedges: false, ..TokenPolicy::default() };
    let mut seen = Authorization::default();
    let mut at = |value: &[u8], now_s| seen.check(value, &policy, Environment::Sandbox, now_s);
    let (first, second) =
        (token(&pem, HEADER, &claims(NOW), false), token(&pem, HEADER, &claims(NOW + 9), false));
    assert_eq!(at(&first, NOW), Ok(()));
    assert_eq!(at(&second, NOW + 10), Err(Reason::TooManyProviderTokenUpdates));
    assert_eq!(at(&first, NOW + 11), Ok(()));
    assert_eq!(at(&first, NOW + 3601), Err(Reason::ExpiredProviderToken));
    let third = token(&pem, HEADER, &claims(NOW + 3601), false);
    assert_eq!(at(&third, NOW + 3602), Ok(()));
    let team = r#"{"iss":"OTHERTEAM0","iat":1800003601}"#;
    assert_eq!(at(&token(&pem, HEADER, team, false), NOW + 3602), Err(Reason::InvalidProviderToken));
    let kid = r#"{"alg":"ES256","kid":"OTHEROTHER"}"#;
    let other_key = token(&pem, kid, &claims(NOW + 3601), false);
    assert_eq!(at(&other_key, NOW + 3602), Err(Reason::UnrelatedKeyIdInToken));
}

#[test]
fn a_wrong_environment_has_two_spellings() {
    let (pem, key) = key();
    let keys = vec![ProviderKey { environment: Some(Environment::Production), ..key }];
    let good = token(&pem, HEADER, &claims(NOW), false);
    for spelling in [Reason::BadEnvironmentKeyIdInToken, Reason::BadEnvironmentKeyInToken] {
        let policy =
            TokenPolicy { keys: keys.clone(), wrong_environment: spelling, ..TokenPolicy::default() };
        assert_eq!(check(&good, &policy), Err(spelling));
    }
}

#[test]
fn a_connection_on_which_a_token_expired_stays_broken() {
    let (pem, _) = key();
    let policy = TokenPolicy::default();
    let mut seen = Authorization::default();
    let mut at = |value: &[u8], now_s| seen.check(value, &policy, Environment::Sandbox, now_s);
    assert_eq!(at(&token(&pem, HEADER, &claims(NOW), false), NOW), Ok(()));
    assert_eq!(at(&token(&pem, HEADER, &claims(NOW), false), NOW + 3601), Err(Reason::ExpiredProviderToken));
    let fresh = token(&pem, HEADER, &claims(NOW + 3601), false);
    assert_eq!(at(&fresh, NOW + 3602), Err(Reason::ExpiredProviderToken));
    assert_eq!(Authorization::default().check(&fresh, &policy, Environment::Sandbox, NOW + 3602), Ok(()));
}

fn topic(name: &str) -> Option<Topic> {
    let mut head = Head::default();
    head.take(b"apns-topic", name.as_bytes(), &Strictness::default());
    head.topic
}

#[test]
fn keys_for_topics_their_relatives_and_revoked_ones() {
    let (pem, key) = key();
    let named = |id: &str| ProviderKey { key_id: id.to_owned(), ..key.clone() };
    let one = named("TOPICKEY01").for_topics(["com.example.im"]).related_to("TOPICKEY02");
    let policy = TokenPolicy {
        keys: vec![
            one,
            named("TOPICKEY02").for_topics(["com.example.tv"]),
            named("TEAMKEY001"),
            named("REVOKED001").revoked(true),
        ],
        ..TokenPolicy::default()
    };
    let by = |id: &str, issued_s| {
        token(&pem, &format!(r#"{{"alg":"ES256","kid":"{id}"}}"#), &claims(issued_s), false)
    };
    assert_eq!(check(&by("REVOKED001", NOW), &policy), Err(Reason::InvalidProviderToken));
    let mut seen = Authorization::default();
    let at = |seen: &mut Authorization, id: &str, issued_s| {
        seen.check(&by(id, issued_s), &policy, Environment::Sandbox, NOW)
    };
    assert_eq!(at(&mut seen, "TOPICKEY01", NOW), Ok(()));
    assert_eq!(seen.check_topic(topic("com.example.im.voip"), &policy), Ok(()));
    assert_eq!(seen.check_topic(topic("com.example.tv"), &policy), Err(Reason::InvalidProviderToken));
    assert_eq!(at(&mut seen, "TEAMKEY001", NOW), Err(Reason::UnrelatedKeyIdInToken));
    assert_eq!(at(&mut seen, "TOPICKEY02", NOW), Ok(()), "its related key");
    assert_eq!(seen.check_topic(topic("com.example.tv"), &policy), Ok(()));
    assert_eq!(at(&mut seen, "TOPICKEY02", NOW - 9), Err(Reason::TooManyProviderTokenUpdates));
    let mut team = Authorization::default();
    assert_eq!(at(&mut team, "TEAMKEY001", NOW), Ok(()));
    assert_eq!(at(&mut team, "TOPICKEY01", NOW), Err(Reason::UnrelatedKeyIdInToken));
}
