//! TLS towards ZooKeeper: whom to trust, who we are, and why it does not come about.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use skein_producer::{BadTls, Before, tls_config, tls_refusal};
use zookeeper_client::TlsOptions;

/// The port of a server that names none; its TLS usually has another.
const PORT: u16 = 2181;

/// Whom to trust, and who we are. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Tls {
    /// The driver's; it takes the one provider of cryptography that this program is built with.
    pub(super) driver: TlsOptions,
    /// The same, to ask a server ourselves: the driver keeps the reason of a refusal to itself.
    asking: Arc<rustls::ClientConfig>,
}

impl Tls {
    /// From PEM texts: the certificates to trust, and optionally our own certificate chain and its key.
    ///
    /// # Errors
    /// [`BadTls`], without a word of the key.
    pub fn new(roots: &[u8], client: Option<(&[u8], &[u8])>) -> Result<Self, BadTls> {
        let asking = tls_config(roots, client)?;
        let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
        let mut driver = TlsOptions::new().with_pem_ca(&text(roots)).map_err(|_| BadTls::Roots)?;
        if let Some((chain, key)) = client {
            let key = zeroize::Zeroizing::new(text(key));
            driver = driver.with_pem_identity(&text(chain), &key).map_err(|_| BadTls::Client)?;
        }
        Ok(Self { driver, asking })
    }

    /// Why one of the servers refuses us, or we it; `None` if none says anything of that kind.
    pub(super) async fn refusal(&self, servers: &[String]) -> Option<String> {
        for server in servers {
            let (host, port) = host_and_port(server)?;
            if let Some(why) = tls_refusal((host, port), Before::Nothing, &self.asking).await {
                return Some(format!("ZooKeeper at {server}: {why}"));
            }
        }
        None
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The first of the servers whose name no certificate can have; the driver takes none of these.
pub(super) fn unnamed(servers: &[String]) -> Option<&str> {
    let named =
        |server: &str| host_and_port(server).is_some_and(|(host, _)| ServerName::try_from(host).is_ok());
    servers.iter().map(String::as_str).find(|server| !named(server))
}

/// `host`, `host:port`, `[address]` or `[address]:port`, as the driver reads it.
fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match server.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    Some((host, port.map_or(Ok(PORT), str::parse).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_name_is_what_its_certificate_must_have() {
        assert_eq!(host_and_port("zk-1"), Some(("zk-1", 2181)));
        assert_eq!(host_and_port("zk-1:2281"), Some(("zk-1", 2281)));
        assert_eq!(host_and_port("[::1]:2281"), Some(("::1", 2281)));
        assert_eq!(host_and_port("zk-1:x"), None);
        let servers = ["zk-1:2281", "[::1]:2281", "no name"].map(str::to_owned);
        assert_eq!(unnamed(&servers), Some("no name"));
    }

    /// P9: secrets stay inside.
    #[test]
    fn debug_shows_no_key() {
        let made = rcgen::generate_simple_self_signed(["zk".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = Tls::new(certificate.as_bytes(), Some((certificate.as_bytes(), key.as_bytes()))).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls { .. }");
        assert_eq!(Tls::new(b"nothing", None).unwrap_err(), BadTls::Roots);
    }
}
