//! TLS towards the broker: whom to trust, and who we are.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a TLS setting is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTls {
    /// No certificate can be read from the trusted ones.
    #[error("the file of trusted certificates holds no PEM certificate")]
    Roots,
    /// The client certificate or its key cannot be read.
    #[error("the client certificate or its key is no PEM, or they do not belong together")]
    Client,
    /// The TLS library says no.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Makes the TLS settings from PEM texts: the certificates to trust (a private CA, or the system's bundle), and optionally
/// our own certificate chain and its key.
///
/// # Errors
/// [`BadTls`], without a word of the key.
pub fn tls_config(roots: &[u8], client: Option<(&[u8], &[u8])>) -> Result<Arc<ClientConfig>, BadTls> {
    let mut store = RootCertStore::empty();
    let roots: Vec<_> = CertificateDer::pem_slice_iter(roots).filter_map(Result::ok).collect();
    if store.add_parsable_certificates(roots).0 == 0 {
        return Err(BadTls::Roots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| BadTls::Setup(e.to_string()))?
        .with_root_certificates(store);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).filter_map(Result::ok).collect();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadTls::Client)?;
            builder.with_client_auth_cert(chain, key).map_err(|_| BadTls::Client)?
        }
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_certificate() {
        assert_eq!(tls_config(b"nothing", None).unwrap_err(), BadTls::Roots);
    }
}
