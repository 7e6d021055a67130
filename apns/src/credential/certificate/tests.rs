//! Certificates made for the test, with Apple's extensions.

use super::*;
use crate::credential::Credential;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

/// `SEQUENCE { topic, SEQUENCE { kind }, … }` by hand: all lengths stay below 128.
fn topics_der(topics: &[(&str, &str)]) -> Vec<u8> {
    let text = |s: &str| [&[0x0c, s.len() as u8], s.as_bytes()].concat();
    let sequence = |body: Vec<u8>| [vec![0x30, body.len() as u8], body].concat();
    sequence(topics.iter().flat_map(|(topic, kind)| [text(topic), sequence(text(kind))].concat()).collect())
}

fn extension(last: u64, content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 2, 840, 113635, 100, 6, 3, last], content)
}

fn made(extensions: Vec<CustomExtension>) -> (String, String) {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CustomDnType(vec![0, 9, 2342, 19200300, 100, 1, 1]), "com.example.im");
    name.push(DnType::OrganizationalUnitName, "TEAM567890");
    name.push(DnType::CommonName, "Apple Push Services: com.example.im");
    params.distinguished_name = name;
    params.custom_extensions = extensions;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

const NULL: [u8; 2] = [5, 0];

#[test]
fn environments_topics_and_validity_are_read_from_the_certificate() {
    let list = topics_der(&[("com.example.im", "app"), ("com.example.im.voip", "voip")]);
    let (cert, key) =
        made(vec![extension(1, NULL.to_vec()), extension(2, NULL.to_vec()), extension(6, list)]);
    let certificate = ClientCertificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let info = certificate.info();
    assert_eq!(info.uid.as_deref(), Some("com.example.im"));
    assert_eq!(info.team_id.as_deref(), Some("TEAM567890"));
    assert_eq!(info.environments, [Environment::Sandbox, Environment::Production]);
    assert_eq!(info.topics, ["com.example.im", "com.example.im.voip"]);
    assert_eq!(info.fingerprint.len(), 64);
    let credential = Credential::Certificate(certificate);
    let now = SystemTime::now();
    credential.check(Environment::Production, &["com.example.im.voip"], now).unwrap();
    let error = credential.check(Environment::Sandbox, &["com.example.other"], now).unwrap_err();
    assert!(matches!(error, CredentialError::TopicNotCovered { .. }), "{error}");
    let error = credential.check(Environment::Sandbox, &[], UNIX_EPOCH).unwrap_err();
    assert!(matches!(error, CredentialError::NotValidNow { .. }), "{error}");
}

#[test]
fn a_development_certificate_is_refused_for_production() {
    let (cert, key) = made(vec![extension(1, NULL.to_vec())]);
    let certificate = ClientCertificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(certificate.info().topics, ["com.example.im"], "the uid where there is no list");
    let credential = Credential::Certificate(certificate);
    let error =
        credential.check(Environment::Production, &["com.example.im"], SystemTime::now()).unwrap_err();
    assert_eq!(error, CredentialError::WrongEnvironment { has: "sandbox", wants: "production" });
}

#[test]
fn a_key_of_another_pair_is_refused() {
    let (cert, _) = made(vec![]);
    let (_, key) = made(vec![]);
    let error = ClientCertificate::from_pem(cert.as_bytes(), key.as_bytes()).err().unwrap();
    assert!(matches!(error, CredentialError::KeyMismatch(_)), "{error}");
    let error = ClientCertificate::from_pem(b"", key.as_bytes()).err().unwrap();
    assert_eq!(error, CredentialError::BadPem { what: "certificate" });
    assert!(ClientCertificate::from_pem(cert.as_bytes(), b"").is_err());
}

#[test]
fn a_p12_opens_with_its_password_only() {
    let (cert, key) = made(vec![extension(2, NULL.to_vec())]);
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let chain = p12_keystore::PrivateKeyChain::new(
        vec![1u8],
        p12_keystore::PrivateKey::from_der(key.secret_pkcs8_der()).unwrap(),
        [p12_keystore::Certificate::from_der(&der).unwrap()],
    );
    let mut store = KeyStore::new();
    store.add_entry("push", KeyStoreEntry::PrivateKeyChain(chain));
    let p12 = store.writer("right").encryption_iterations(10).mac_iterations(10).write().unwrap();
    let certificate = ClientCertificate::from_p12(&p12, "right").unwrap();
    assert_eq!(certificate.info().environments, [Environment::Production]);
    assert_eq!(ClientCertificate::from_p12(&p12, "wrong").err(), Some(CredentialError::WrongPassword));
    assert_eq!(ClientCertificate::from_p12(b"junk", "right").err(), Some(CredentialError::NotAP12));
}

#[test]
fn a_topic_list_of_another_shape_is_no_list() {
    for odd in [&b""[..], b"\x05\x00", b"\x30\x02\x0c\x05", b"\x30\x80"] {
        assert!(topic_list(odd).is_empty(), "{odd:?}");
    }
}

/// Made for this test with OpenSSL's legacy ciphers (RC2-40, 3DES), which Apple's Keychain still exports with.
const KEYCHAIN_STYLE: &[u8] = include_bytes!("../../../tests/fixtures/keychain-style.p12");

#[test]
fn a_p12_as_the_keychain_exports_it_opens() {
    let certificate = ClientCertificate::from_p12(KEYCHAIN_STYLE, "test").unwrap();
    assert_eq!(certificate.info().environments, [Environment::Production]);
    assert_eq!(certificate.info().uid.as_deref(), Some("com.example.im"));
}
