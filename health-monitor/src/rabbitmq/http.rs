//! One HTTP/1.1 connection to the management API, made anew when it ends; bounded in time and size.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use skein_producer::{Before, tls_refusal};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Longest wait for a connection and for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes: 10,000 queues or connections of which a few columns are asked fit.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where to, and as whom.
pub(super) struct Target {
    pub host: String,
    pub port: u16,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub authorization: Zeroizing<String>,
}

/// A client of one server.
pub(super) struct Client {
    target: Target,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    pub fn new(target: Target) -> Self {
        Self { target, sender: None }
    }

    /// Asks, and gives the status and the body. Cancelled, the next request uses a new connection.
    pub async fn ask(&mut self, method: Method, path: &str) -> Result<(u16, Bytes), String> {
        let asked = tokio::time::timeout(ANSWER_LIMIT, self.exchange(method, path)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer in {ANSWER_LIMIT:?}")));
        let Target { host, port, tls, .. } = &self.target;
        match (answer, tls) {
            (Err(error), Some(tls)) => {
                let refusal = tls_refusal((host, *port), Before::Nothing, tls).await;
                Err(refusal.unwrap_or(error))
            }
            (answer, _) => answer,
        }
    }

    async fn exchange(&mut self, method: Method, path: &str) -> Result<(u16, Bytes), String> {
        let kept = self.sender.take().filter(|sender| !sender.is_closed());
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let Target { host, port, authorization, .. } = &self.target;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{host}:{port}"))
            .header(AUTHORIZATION, authorization.as_str())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let Target { host, port, tls, .. } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let sender = match tls {
            None => {
                let (sender, connection) =
                    handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
                tokio::spawn(connection);
                sender
            }
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                let stream = stream.map_err(|error| format!("TLS: {error}"))?;
                let (sender, connection) =
                    handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(sender)
    }
}
