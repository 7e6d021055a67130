//! Which RabbitMQ it is: what must be declared depends on it, and the driver keeps it to itself. (Trying instead is no way: 3.10
//! takes a delivery limit of -1, and then throws every message away that comes back once.)

use std::io;
use std::sync::Arc;

use lapin::types::AMQPValue;
use lapin::types::parsing::parse_field_table;
use lapin::uri::AMQPScheme;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{BrokerAddress, header_text};

/// The longest greeting that is read; RabbitMQ's has about 500 bytes.
const GREETING_BYTES_MAX: usize = 16 * 1024;

/// A broker's major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(pub u16, pub u16);

pub(super) async fn ask(
    address: &BrokerAddress,
    tls: Option<&Arc<ClientConfig>>,
) -> io::Result<ServerVersion> {
    let authority = &address.uri().authority;
    let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
    match (&address.uri().scheme, tls) {
        (AMQPScheme::AMQPS, Some(config)) => {
            let name = ServerName::try_from(authority.host.clone()).map_err(io::Error::other)?;
            greet(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?).await
        }
        _ => greet(stream).await,
    }
}

/// Says the protocol's name, and reads `connection.start`, with which a server introduces itself (AMQP 0-9-1 §1.4.2.1).
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<ServerVersion> {
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if head[0] != 1 || length > GREETING_BYTES_MAX {
        return Err(io::Error::other("the server speaks no AMQP 0-9-1"));
    }
    let mut start = vec![0; length];
    stream.read_exact(&mut start).await?;
    version(&start).ok_or_else(|| io::Error::other("the server does not tell its version"))
}

fn version(start: &[u8]) -> Option<ServerVersion> {
    // Class, method, protocol version; then the server's properties.
    let (_, properties) = parse_field_table(start.get(6..)?).ok()?;
    let text = properties.inner().get("version").and_then(|value: &AMQPValue| header_text(value))?;
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some(ServerVersion(parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_among_the_properties() {
        let mut start = vec![0, 10, 0, 10, 0, 9];
        let mut table = Vec::new();
        for (key, value) in [("product", "RabbitMQ"), ("version", "4.1.3-rc.1"), ("platform", "Erlang")] {
            table.push(key.len() as u8);
            table.extend_from_slice(key.as_bytes());
            table.push(b'S');
            table.extend_from_slice(&(value.len() as u32).to_be_bytes());
            table.extend_from_slice(value.as_bytes());
        }
        start.extend_from_slice(&(table.len() as u32).to_be_bytes());
        start.extend_from_slice(&table);
        assert_eq!(version(&start), Some(ServerVersion(4, 1)));
        assert!(ServerVersion(4, 0) > ServerVersion(3, 13));
        assert_eq!(version(b"nonsense"), None);
    }
}
