//! TLS towards APNs: trusted roots, our certificate, and what its errors mean.

use crate::answer::ConnectFailure;
use crate::credential::Credential;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use std::sync::Arc;

/// Both roots that Apple tells providers to trust: the one in use since 2025, and the one before it.
const APPLE_ROOTS: [&[u8]; 2] =
    [include_bytes!("../roots/usertrust-rsa.pem"), include_bytes!("../roots/aaa-certificate-services.pem")];

/// Whom we believe to be APNs.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

/// A file of roots that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file holds no readable root certificate; give pem with at least one")]
pub struct BadRoots;

impl Roots {
    /// The roots that Apple's own servers lead to.
    pub fn apple() -> Self {
        Self::from_pem(&APPLE_ROOTS.concat()).expect("the shipped roots are readable")
    }

    /// The certificates of a PEM text, and no others.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadRoots> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            store.add(certificate.map_err(|_| BadRoots)?).map_err(|_| BadRoots)?;
        }
        if store.is_empty() { Err(BadRoots) } else { Ok(Self(Arc::new(store))) }
    }
}

pub(crate) fn client_config(roots: &Roots, credential: &Credential) -> Arc<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has the default versions of tls")
            .with_root_certificates(roots.0.clone());
    let mut config = match credential {
        Credential::Token(_) => builder.with_no_client_auth(),
        Credential::Certificate(certificate) => builder.with_client_cert_resolver(certificate.resolver()),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// TLS to a proxy: HTTP/1.1 inside, no certificate of ours.
pub(crate) fn proxy_config(roots: &Roots) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the default versions of tls")
        .with_root_certificates(roots.0.clone())
        .with_no_client_auth();
    Arc::new(config)
}

/// Sorts a TLS error into the classes that an operator acts on.
pub(crate) fn classify(error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidCertificate(_) => ConnectFailure::TlsChain,
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            ConnectFailure::ClientCertificate
        }
        _ => ConnectFailure::TlsHandshake,
    }
}

/// Alerts by which a server refuses the client's certificate. With TLS 1.3 they come after our side of the handshake
/// is done, so that the first read, not the connect, finds them (RFC 8446 §4.4.2.4).
pub(crate) fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_apple_roots_are_shipped() {
        assert_eq!(Roots::apple().0.len(), 2);
        assert_eq!(Roots::from_pem(b"").unwrap_err(), BadRoots);
        assert_eq!(
            Roots::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap_err(),
            BadRoots
        );
    }
}
