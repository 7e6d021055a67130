//! The simulator's own certificate authority: the server's certificate, and client certificates like Apple's.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;

/// A certificate and its key, both as PEM text.
#[derive(Clone)]
pub struct PemPair {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

/// What a client certificate says; see "Establishing a certificate-based connection to APNs".
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientCertificateSpec {
    /// Subject UID: the bundle id.
    pub bundle_id: String,
    /// Topics in the topic list; without any there is no list and the bundle id is the only topic.
    pub topics: Vec<String>,
    /// Good for the sandbox.
    pub sandbox: bool,
    /// Good for production.
    pub production: bool,
    /// Expired long ago.
    pub expired: bool,
    /// When it runs out; without, in the far future.
    #[serde(skip)]
    pub expires: Option<SystemTime>,
}

/// A certificate authority, of one simulator or of all that are given its key.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new one.
    pub fn generate() -> Result<Self, rcgen::Error> {
        Self::of(KeyPair::generate()?)
    }

    /// The one of a key, PKCS#8 in PEM: who trusted it before trusts it again.
    pub(crate) fn of_key(pem: &str) -> Result<Self, rcgen::Error> {
        Self::of(KeyPair::from_pem(pem)?)
    }

    /// Its key, PKCS#8 in PEM.
    pub(crate) fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }

    fn of(key: KeyPair) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "APNs simulator root");
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    /// The root certificate, for the clients' trust store.
    pub fn ca_pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn ca_der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A server certificate for these host names and addresses.
    pub(crate) fn server(
        &self,
        names: Vec<String>,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "APNs simulator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((vec![certificate.der().clone()], key.into()))
    }

    /// A client certificate with the extensions that Apple's push certificates have.
    pub fn client(&self, spec: &ClientCertificateSpec) -> Result<PemPair, rcgen::Error> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Apple Push Services: {}", spec.bundle_id));
        let uid = DnType::from_oid(&[0, 9, 2342, 19_200_300, 100, 1, 1]);
        params.distinguished_name.push(uid, spec.bundle_id.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(end) = spec.expires {
            params.not_after = end.into();
        }
        if spec.expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let mut extend = |last, content| {
            let oid = [1, 2, 840, 113_635, 100, 6, 3, last];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content));
        };
        if spec.sandbox {
            extend(1, vec![5, 0]);
        }
        if spec.production {
            extend(2, vec![5, 0]);
        }
        if !spec.topics.is_empty() {
            extend(6, topic_list(&spec.topics));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(PemPair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn topic_list(topics: &[String]) -> Vec<u8> {
    const UTF8_STRING: u8 = 0x0c;
    const SEQUENCE: u8 = 0x30;
    let mut content = Vec::new();
    for topic in topics {
        content.extend(der(UTF8_STRING, topic.as_bytes()));
        let kind = topic.rsplit('.').next().unwrap_or_default();
        content.extend(der(SEQUENCE, &der(UTF8_STRING, kind.as_bytes())));
    }
    der(SEQUENCE, &content)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length => {
            let bytes = length.to_be_bytes();
            let used = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | used.len() as u8);
            out.extend_from_slice(used);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use super::*;
    use crate::client_certificate::ClientCertificate;
    use crate::provider_token::Environment;
    use crate::reason::Reason;
    use crate::request::{Head, Strictness, Topic};

    const NOW: u64 = 1_800_000_000;

    fn topic(name: &str) -> Option<Topic> {
        let mut head = Head::default();
        head.take(b"apns-topic", name.as_bytes(), &Strictness::default());
        head.topic
    }

    fn made(spec: &ClientCertificateSpec) -> ClientCertificate {
        let pem = Authority::generate().and_then(|authority| authority.client(spec)).expect("a certificate");
        let der = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("pem");
        ClientCertificate::parse(&der).expect("a certificate like Apple's")
    }

    #[test]
    fn a_certificate_is_good_for_its_topics_and_environment_only() {
        let spec = ClientCertificateSpec {
            bundle_id: "com.example.im".to_owned(),
            topics: ["com.example.im", "com.example.im.voip"].map(str::to_owned).to_vec(),
            production: true,
            ..ClientCertificateSpec::default()
        };
        let certificate = made(&spec);
        let check = |name, environment| certificate.check(topic(name), environment, NOW);
        assert_eq!(check("com.example.im.voip", Environment::Production), Ok(()));
        assert_eq!(check("com.example.other", Environment::Production), Err(Reason::TopicDisallowed));
        assert_eq!(check("com.example.im", Environment::Sandbox), Err(Reason::BadCertificateEnvironment));
        assert_eq!(certificate.check(None, Environment::Production, NOW), Err(Reason::MissingTopic));
        let expired = made(&ClientCertificateSpec { expired: true, ..spec });
        assert_eq!(
            expired.check(topic("com.example.im"), Environment::Production, NOW),
            Err(Reason::BadCertificate)
        );
    }

    #[test]
    fn without_a_list_the_subject_is_the_only_topic() {
        let spec = ClientCertificateSpec {
            bundle_id: "com.example.im".to_owned(),
            ..ClientCertificateSpec::default()
        };
        let certificate = made(&spec);
        assert_eq!(certificate.check(None, Environment::Sandbox, NOW), Ok(()));
        assert_eq!(certificate.check(topic("com.example.im"), Environment::Production, NOW), Ok(()));
        let voip = topic("com.example.im.voip");
        assert_eq!(certificate.check(voip, Environment::Sandbox, NOW), Err(Reason::TopicDisallowed));
    }
}
