//! A connection to RabbitMQ that can be cut: our own TCP connect, so that its socket can be reset at any instant, and no
//! automatic recovery, which would hide a cut. Also used by the room `backends`.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_compat::Compat;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::AMQPValue;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

mod address;
mod cutter;
mod refusal;
mod tls;
mod version;

pub use address::{BadAddress, BrokerAddress};
pub use cutter::Cutter;
pub use refusal::{Before, tls_refusal, tls_remedy};
pub use tls::{BadTls, tls_config};
pub use version::ServerVersion;

/// The largest AMQP frame asked for. The driver keeps 32 of them as buffers, each way.
const FRAME_BYTES_MAX: u32 = 32 * 1024;

/// How to reach the broker.
#[derive(Clone)]
pub struct LinkOptions {
    /// The brokers, tried in turn.
    pub brokers: Vec<BrokerAddress>,
    /// For `amqps` addresses; see [`tls_config`].
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The name that the broker shows and that its events carry.
    pub name: String,
    /// Silence is noticed after 2 to 3 of these; at least 1 s.
    pub heartbeat: Duration,
    /// How long one broker may take from the TCP connect to an open connection.
    pub connect_limit: Duration,
}

impl LinkOptions {
    /// For these brokers, with a heartbeat of 4 s and a connect limit of 5 s.
    pub fn new(brokers: Vec<BrokerAddress>, name: impl Into<String>) -> Self {
        Self {
            brokers,
            tls: None,
            name: name.into(),
            heartbeat: Duration::from_secs(4),
            connect_limit: Duration::from_secs(5),
        }
    }
}

/// Why there is no connection, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not reachable, or lost.
    #[error("{0}")]
    Away(String),
    /// Reached, and it refuses what is asked: trying again helps only after somebody mended the cause.
    #[error("{0}")]
    Refused(String),
}

impl LinkError {
    /// Sorts an error of the driver: what the broker itself says is a refusal, all else is absence.
    pub fn of(error: &lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(said) => {
                let text = said.to_string();
                // 320 is an operator's or an alarm's close, 541 the broker's own fault.
                if matches!(said.get_id(), 320 | 541) { Self::Away(text) } else { Self::Refused(text) }
            }
            _ => Self::Away(error.to_string()),
        }
    }
}

impl From<lapin::Error> for LinkError {
    fn from(error: lapin::Error) -> Self {
        Self::of(&error)
    }
}

/// An open connection. Dropping it resets its socket, and sends no polite close: closing politely with deliveries
/// unsettled reorders quorum queues.
pub struct Link {
    // First, so that the socket is dead before the driver's own drop wants to say good-bye on it.
    cutter: Cutter,
    connection: Connection,
    address: BrokerAddress,
    tls: Option<Arc<rustls::ClientConfig>>,
    limit: Duration,
}

impl Link {
    /// Connects to the first broker that answers, beginning with number `turn` of the list.
    ///
    /// The socket lives on the current tokio runtime; the driver adds one thread of its own that ends with the connection.
    ///
    /// # Errors
    /// The last broker's answer.
    pub async fn connect(options: &LinkOptions, turn: usize) -> Result<Self, LinkError> {
        let mut last = LinkError::Refused("no broker is configured; set the list of broker addresses".into());
        for n in 0..options.brokers.len() {
            let address = &options.brokers[(turn + n) % options.brokers.len()];
            let one = tokio::time::timeout(options.connect_limit, Self::connect_to(options, address));
            match one.await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(e)) => last = e,
                Err(_) => {
                    let late = format!("{address} does not answer in {:?}", options.connect_limit);
                    last = Self::explained(options, address, LinkError::Away(late)).await;
                }
            }
        }
        Err(last)
    }

    /// The driver says of a refused handshake as much as its socket did: often only that it was closed.
    async fn explained(options: &LinkOptions, address: &BrokerAddress, error: LinkError) -> LinkError {
        let encrypted = address.uri().scheme == AMQPScheme::AMQPS;
        let Some(config) = options.tls.as_ref().filter(|_| encrypted) else { return error };
        let authority = &address.uri().authority;
        match tls_refusal((&authority.host, authority.port), Before::Nothing, config).await {
            Some(why) => LinkError::Refused(format!("RabbitMQ at {address}: {why}")),
            None => error,
        }
    }

    async fn connect_to(options: &LinkOptions, address: &BrokerAddress) -> Result<Self, LinkError> {
        let away = |e: io::Error| LinkError::Away(format!("{address}: {e}"));
        let mut uri: AMQPUri = address.uri().clone();
        uri.query.heartbeat = Some(u16::try_from(options.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX));
        uri.query.frame_max = Some(FRAME_BYTES_MAX);
        let tls = match (&uri.scheme, &options.tls) {
            (AMQPScheme::AMQP, _) => None,
            (AMQPScheme::AMQPS, Some(config)) => Some(RustlsConnector::from(Arc::clone(config))),
            (AMQPScheme::AMQPS, None) => {
                return Err(LinkError::Refused(format!(
                    "{address} wants TLS; set the certificates to trust"
                )));
            }
        };
        let host = (uri.authority.host.clone(), uri.authority.port);
        let stream = TcpStream::connect(host).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let cutter = Cutter::of(&stream).map_err(away)?;

        // The driver may keep an error of the handshake to itself until the limit is over.
        let (say, mut said) = oneshot::channel();
        let parts = Mutex::new(Some((stream, say)));
        let connector = async move |uri: AMQPUri, _runtime| {
            let parts = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (stream, say) = parts.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            let plain = AsyncTcpStream::Plain(Compat::new(stream));
            let Some(tls) = &tls else { return Ok(plain) };
            match plain.into_rustls(tls, &uri.authority.host).await {
                Ok(encrypted) => Ok(encrypted),
                Err(error) => {
                    // Nobody listens any more only if the attempt was given up.
                    let _ = say.send(error.to_string());
                    Err(error.into())
                }
            }
        };
        let runtime = lapin::runtime::default_runtime()?;
        let opening = Connection::connector(uri, runtime, connector, properties(&options.name));
        let refused = |why: String| LinkError::Refused(format!("{address}: TLS: {why}"));
        let opened = tokio::select! {
            biased;
            Ok(why) = &mut said => return Err(Self::explained(options, address, refused(why)).await),
            opened = opening => opened,
        };
        if let (Err(_), Ok(why)) = (&opened, said.try_recv()) {
            return Err(Self::explained(options, address, refused(why)).await);
        }
        match opened {
            Ok(connection) => Ok(Self {
                cutter,
                connection,
                address: address.clone(),
                tls: options.tls.clone(),
                limit: options.connect_limit,
            }),
            Err(e) => Err(match LinkError::of(&e) {
                LinkError::Away(why) => {
                    Self::explained(options, address, LinkError::Away(format!("{address}: {why}"))).await
                }
                LinkError::Refused(why) => LinkError::Refused(format!("{address}: {why}")),
            }),
        }
    }

    /// The driver's connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What cuts it, from anywhere.
    pub fn cutter(&self) -> &Cutter {
        &self.cutter
    }

    /// Which broker answered.
    pub fn broker(&self) -> &BrokerAddress {
        &self.address
    }

    /// Asks the broker which version it is, over a socket of its own.
    ///
    /// # Errors
    /// [`LinkError::Away`].
    pub async fn server_version(&self) -> Result<ServerVersion, LinkError> {
        let address = &self.address;
        let asked = tokio::time::timeout(self.limit, version::ask(address, self.tls.as_ref())).await;
        match asked {
            Ok(Ok(version)) => Ok(version),
            Ok(Err(e)) => Err(LinkError::Away(format!("{address}: {e}"))),
            Err(_) => Err(LinkError::Away(format!("{address} does not answer in {:?}", self.limit))),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cutter.cut();
    }
}

/// The driver's own recovery stays off: it hides the cut, and a consumer's stream shows no error over it.
fn properties(name: &str) -> ConnectionProperties {
    let mut properties = ConnectionProperties::default().with_connection_name(name.into());
    for (key, value) in [("product", "skein"), ("version", env!("CARGO_PKG_VERSION"))] {
        properties = properties.with_client_property(key.into(), value.into());
    }
    properties
}

/// A header's value as text.
pub fn header_text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}
