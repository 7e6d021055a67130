//! Why TLS with a server does not come about, and what to do about it: for every service that is reached so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription as Alert, CertificateError as Bad, ClientConfig, Error};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a server may take for its word on a handshake.
const WORD_LIMIT: Duration = Duration::from_secs(2);

/// What asks PostgreSQL for TLS (its documentation, "SSLRequest"): length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What comes before the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// The client asks for it, as PostgreSQL wants.
    PostgreSql,
}

/// Asks a server, over a connection of its own, why it has no TLS with us: what is wrong, and what to do. `None` if nothing is wrong
/// with TLS, or the server does not answer. At most 2 s.
///
/// After the handshake it says nothing and listens: under TLS 1.3 a server looks at our certificate when we are done, and its word on
/// it is lost if we have sent more than that by then.
pub async fn tls_refusal(
    (host, port): (&str, u16),
    before: Before,
    config: &Arc<ClientConfig>,
) -> Option<String> {
    let asked = tokio::time::timeout(WORD_LIMIT, async {
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let stream = opened(host, port, before).await.ok()?;
        heard(name, stream, config).await.err()
    });
    // Without an error by then the handshake is done, and the server waits for us.
    let error = asked.await.ok()??;
    let presents = config.client_auth_cert_resolver.has_certs();
    Some(match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => format!("TLS: {tls}; {}", tls_remedy(tls, presents)),
        None => format!(
            "TLS: the server closes the connection without a word ({error}); {}",
            silent_remedy(presents)
        ),
    })
}

async fn opened(host: &str, port: u16, before: Before) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((host, port)).await?;
    if before == Before::PostgreSql {
        stream.write_all(&SSL_REQUEST).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    Ok(stream)
}

async fn heard(name: ServerName<'static>, stream: TcpStream, config: &Arc<ClientConfig>) -> io::Result<()> {
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    stream.read_u8().await.map(drop)
}

const fn silent_remedy(presents: bool) -> &'static str {
    if presents {
        "if it goes on, check that cert_file has not expired and is of an authority that the server trusts"
    } else {
        "if it goes on, the server may demand a client certificate: set cert_file and key_file"
    }
}

/// What to do about an error of TLS; `presents` says whether we have a client certificate.
pub fn tls_remedy(error: &Error, presents: bool) -> &'static str {
    match error {
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "the server's certificate is of no authority that is trusted here: check ca_file"
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: address the server by a name of its certificate"
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it on the server"
        }
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: compare the clocks"
        }
        Error::InvalidCertificate(_) => {
            "the server's certificate is of no use: issue another for a server, with its names"
        }
        Error::InvalidMessage(_) => "no TLS is spoken at that port: check the address",
        Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity)
        | Error::PeerIncompatible(_) => {
            "no version of TLS or cipher is in common: let the server speak TLS 1.2 or 1.3"
        }
        Error::AlertReceived(_) if !presents => {
            "the server demands a client certificate: set cert_file and key_file"
        }
        Error::AlertReceived(Alert::CertificateExpired) => {
            "our client certificate has expired: renew cert_file"
        }
        Error::AlertReceived(Alert::UnknownCA) => {
            "our client certificate is of no authority that the server trusts: check cert_file"
        }
        Error::AlertReceived(_) => {
            "the server refuses our client certificate: check that cert_file has not expired and is of an authority that it trusts"
        }
        _ => "check ca_file, cert_file and key_file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_remedy_of_its_own() {
        let bad = Error::InvalidCertificate;
        for (error, presents, word) in [
            (bad(Bad::UnknownIssuer), false, "ca_file"),
            (bad(Bad::NotValidForName), false, "another name"),
            (bad(Bad::Expired), false, "renew it on the server"),
            (Error::AlertReceived(Alert::CertificateRequired), false, "set cert_file"),
            (Error::AlertReceived(Alert::HandshakeFailure), false, "set cert_file"),
            (Error::AlertReceived(Alert::CertificateExpired), true, "renew cert_file"),
            (Error::AlertReceived(Alert::UnknownCA), true, "authority"),
            (Error::AlertReceived(Alert::CertificateUnknown), true, "refuses our client certificate"),
        ] {
            assert!(tls_remedy(&error, presents).contains(word), "{error}: {}", tls_remedy(&error, presents));
        }
    }
}
