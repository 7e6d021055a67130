//! Making a connection: directly or through a proxy, then TLS. No HTTP/2 yet.

use crate::answer::ConnectFailure;
use crate::endpoint::{Endpoint, Proxy};
use crate::proxy;
use crate::reach::reach;
use crate::stream::Stream;
use crate::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection on which both sides have agreed on TLS.
pub(crate) struct Dialled {
    pub stream: Stream,
    pub tls: ClientConnection,
    pub address: SocketAddr,
    /// Of the time for connecting, for APNs to begin to speak.
    pub time_left: Duration,
}

/// Why a connection could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("can't connect ({label}): {detail}", label = failure.label())]
pub struct DialError {
    /// Its class.
    pub failure: ConnectFailure,
    /// What the system or TLS says; no secret.
    pub detail: String,
}

impl DialError {
    pub(crate) fn new(failure: ConnectFailure, detail: impl std::fmt::Display) -> Self {
        Self { failure, detail: detail.to_string() }
    }

    pub(crate) fn of_io(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::new(tls::classify(tls), tls);
        }
        let failure = match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            io::ErrorKind::TimedOut => ConnectFailure::Timeout,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => ConnectFailure::Unreachable,
            _ => ConnectFailure::Other,
        };
        Self::new(failure, error)
    }
}

/// What stays the same from one connection of a client to the next.
#[derive(Clone)]
pub(crate) struct Route {
    pub endpoint: Endpoint,
    pub proxy: Option<Proxy>,
    pub tls: Arc<ClientConfig>,
    pub timeout: Duration,
}

/// Connects. `turn` grows with each attempt, so that attempts go round the addresses of the name, which is resolved
/// afresh each time (past this process there may still be a cache of the system's).
pub(crate) async fn dial(route: Route, turn: usize) -> Result<Dialled, DialError> {
    let deadline = Instant::now() + route.timeout;
    let (stream, address) = dial_tls(&route, turn).await?;
    let (stream, tls) = stream.into_inner();
    Ok(Dialled { stream, tls, address, time_left: deadline.saturating_duration_since(Instant::now()) })
}

/// [`dial`], with socket and TLS still as one stream.
pub(crate) async fn dial_tls(
    route: &Route,
    turn: usize,
) -> Result<(TlsStream<Stream>, SocketAddr), DialError> {
    let deadline = Instant::now() + route.timeout;
    let (stream, address) = match &route.proxy {
        None => {
            let reached = reach(route.endpoint.host(), route.endpoint.port(), turn);
            let reached = timeout_at(deadline, reached).await;
            let (tcp, address) = reached.unwrap_or_else(|_| Err(out_of_time(ConnectFailure::Timeout)))?;
            (Stream::Direct(tcp), address)
        }
        Some(proxy) => {
            let tunnel = timeout_at(deadline, tunnel(proxy, route, turn)).await;
            tunnel.unwrap_or_else(|_| Err(out_of_time(ConnectFailure::ProxyUnreachable)))?
        }
    };
    let tunnelled = stream.is_tunnel();
    let handshake = TlsConnector::from(route.tls.clone()).connect(route.endpoint.server_name(), stream);
    let stream = match timeout_at(deadline, handshake).await {
        Err(_) => return Err(out_of_time(ConnectFailure::Timeout)),
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(match DialError::of_io(&error) {
                // Where nothing of TLS came, nobody can tell a proxy that gives up from an end behind it.
                DialError { failure: ConnectFailure::Other, detail } if tunnelled => {
                    let detail = format!("the tunnel ended in the handshake with apns: {detail}");
                    DialError { failure: ConnectFailure::ProxyLost, detail }
                }
                // An end of the stream inside the handshake is the peer's way of saying no.
                DialError { failure: ConnectFailure::Other, detail } => {
                    DialError { failure: ConnectFailure::TlsHandshake, detail }
                }
                other => other,
            });
        }
    };
    Ok((stream, address))
}

fn out_of_time(failure: ConnectFailure) -> DialError {
    let what = if failure == ConnectFailure::Timeout { "no connection in time" } else { "no tunnel in time" };
    DialError::new(failure, what)
}

/// A tunnel to the endpoint through a proxy.
async fn tunnel(proxy: &Proxy, route: &Route, turn: usize) -> Result<(Stream, SocketAddr), DialError> {
    let unreachable = |detail: String| {
        DialError::new(ConnectFailure::ProxyUnreachable, format_args!("{proxy:?}: {detail}"))
    };
    let (tcp, address) =
        reach(&proxy.host, proxy.port, turn).await.map_err(|error| unreachable(error.detail))?;
    let mut stream = match &proxy.tls {
        None => Stream::Tunnel(tcp),
        Some(roots) => {
            let name = ServerName::try_from(proxy.host.to_string())
                .map_err(|_| unreachable("its host is neither a dns name nor an ip address".to_owned()))?;
            let connected = TlsConnector::from(tls::proxy_config(roots)).connect(name, tcp).await;
            let over_tls = connected.map_err(|error| unreachable(format!("tls to it fails: {error}")))?;
            Stream::TlsTunnel(Box::new(over_tls))
        }
    };
    proxy::open_tunnel(&mut stream, proxy, &route.endpoint).await?;
    Ok((stream, address))
}
