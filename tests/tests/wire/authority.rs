//! One certificate authority for one test: what a server shows, what a client shows, both kinds of credential.

use rcgen::{CertificateParams, CertifiedIssuer, CustomExtension, DnType, KeyPair};
use skein_apns::{ClientCertificate, ClientConfig, Credential, Endpoint, Environment, Roots, TokenKey};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const TOPIC: &str = "com.example.im";
pub const KEY_ID: &str = "ABCDE12345";
pub const TEAM_ID: &str = "TEAM567890";
/// Apple's extension with the topics of a certificate.
const TOPICS_OID: &[u64] = &[1, 2, 840, 113_635, 100, 6, 3, 6];

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    token_key: KeyPair,
    folder: tempfile::TempDir,
}

impl Authority {
    /// Its folder holds `ca.pem`, the server's `cert.pem` and `key.pem` (PKCS #8), and `token-key.pem`: the public
    /// key of [`Authority::token`].
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "wire test authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::Builder::new().prefix("skein-wire-").tempdir().unwrap();
        let authority = Self { issuer, token_key: KeyPair::generate().unwrap(), folder };
        let (certificate, key) =
            authority.signed(CertificateParams::new(vec!["localhost".to_owned()]).unwrap());
        authority.keep("ca.pem", &authority.issuer.pem());
        authority.keep("cert.pem", &certificate);
        authority.keep("key.pem", &key);
        authority.keep("token-key.pem", &authority.token_key.public_key_pem());
        authority
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn keep(&self, name: &str, text: &str) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn signed(&self, mut params: CertificateParams) -> (String, String) {
        // Some verifiers ask for the end entity's use of its key.
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub fn token(&self) -> Credential {
        let pem = self.token_key.serialize_pem();
        Credential::Token(TokenKey::from_p8(pem.as_bytes(), KEY_ID, TEAM_ID).unwrap())
    }

    /// A certificate for [`TOPIC`], shaped like Apple's: UID and topic list.
    pub fn certificate(&self) -> Credential {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uid = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
        params.distinguished_name.push(uid, TOPIC);
        params.distinguished_name.push(DnType::CommonName, format!("Apple Push Services: {TOPIC}"));
        params.custom_extensions.push(CustomExtension::from_oid_content(TOPICS_OID, topics_der()));
        let (certificate, key) = self.signed(params);
        Credential::Certificate(ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap())
    }

    /// A client's settings for a server on this machine: quick to retry, otherwise the defaults.
    pub fn config(&self, port: u16) -> ClientConfig {
        ClientConfig {
            roots: Roots::from_pem(self.issuer.pem().as_bytes()).unwrap(),
            connect_interval_min: Duration::from_millis(1),
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(50),
            ..ClientConfig::new(Endpoint::custom("localhost", port, Environment::Sandbox).unwrap())
        }
    }
}

/// `SEQUENCE { UTF8String topic, SEQUENCE { UTF8String "app" } }`
fn topics_der() -> Vec<u8> {
    let text = |text: &str| [&[0x0c, text.len() as u8], text.as_bytes()].concat();
    let sequence = |content: Vec<u8>| [vec![0x30, content.len() as u8], content].concat();
    sequence([text(TOPIC), sequence(text("app"))].concat())
}
