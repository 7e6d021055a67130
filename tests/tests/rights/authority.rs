//! A certificate authority of a test's own: certificates that are right, and that are not.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate and its key, PEM.
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, PartialEq)]
pub enum Valid {
    Now,
    /// It has expired.
    Once,
}

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server that is addressed so, and by no other name.
    pub fn server(&self, name: &str, valid: Valid) -> Pem {
        self.sign(vec![name.to_owned()], ExtendedKeyUsagePurpose::ServerAuth, valid)
    }

    pub fn client(&self, valid: Valid) -> Pem {
        self.sign(Vec::new(), ExtendedKeyUsagePurpose::ClientAuth, valid)
    }

    fn sign(&self, names: Vec<String>, usage: ExtendedKeyUsagePurpose, valid: Valid) -> Pem {
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "skein");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after =
            if valid == Valid::Now { date_time_ymd(2100, 1, 1) } else { date_time_ymd(2021, 1, 1) };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pem { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
