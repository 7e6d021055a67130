//! Why there is no TLS with the database, asked over a connection of its own: a server that refuses our certificate often only closes,
//! and the pool of connections tells no more than that its time is over.

use std::sync::Arc;

use skein_core::seam::LedgerError;
use skein_producer::{Before, tls_config, tls_refusal};

use super::options::PostgresOptions;

/// Whom to ask.
#[derive(Clone)]
pub(super) struct Refusal {
    host: String,
    port: u16,
    /// `None` without TLS, or without files to read it from: then errors stay as they are.
    config: Option<Arc<rustls::ClientConfig>>,
}

impl Refusal {
    /// For the server at this host and port.
    pub(super) fn new(options: &PostgresOptions, (host, port): (&str, u16)) -> Self {
        // A path is a socket of this machine, which has no TLS.
        let config = if options.tls && !host.starts_with('/') { config(options) } else { None };
        Self { host: host.to_owned(), port, config }
    }

    /// The same outcome; where TLS is the reason, with what is wrong and what to do.
    pub(super) async fn explain<T>(&self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        let (Err(LedgerError::Away(_)), Some(config)) = (&outcome, &self.config) else { return outcome };
        match tls_refusal((&self.host, self.port), Before::PostgreSql, config).await {
            Some(why) => {
                Err(LedgerError::Refused(format!("PostgreSQL at {}:{}: {why}", self.host, self.port)))
            }
            None => outcome,
        }
    }
}

fn config(options: &PostgresOptions) -> Option<Arc<rustls::ClientConfig>> {
    let roots = std::fs::read(options.ca_file.as_ref()?).ok()?;
    let client = match &options.client_certificate {
        Some((chain, key)) => {
            Some((std::fs::read(chain).ok()?, zeroize::Zeroizing::new(std::fs::read(key).ok()?)))
        }
        None => None,
    };
    let client = client.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()));
    tls_config(&roots, client).ok()
}
