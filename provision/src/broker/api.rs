//! RabbitMQ's management API, asked as one user: a connection a request, bounded in time and size.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use skein_producer::{Before, tls_refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::ProvisionError;
use crate::step::Service::RabbitMq;

/// Longest wait for one answer; a new virtual host takes a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Largest answer read, in bytes: a thousand queues with their arguments, or every slot's binding, fit.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Where the management API is.
#[derive(Clone)]
pub struct ManagementAddress {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// For `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl fmt::Debug for ManagementAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// The API, asked as one user.
pub(crate) struct Api {
    address: ManagementAddress,
    authorization: Zeroizing<String>,
}

/// A status and what came with it.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// Its clock, to the second, as it writes it.
    pub date: Option<String>,
}

impl Api {
    pub(crate) fn new(address: ManagementAddress, user: &str, password: &str) -> Self {
        let login = Zeroizing::new(format!("{user}:{password}"));
        let authorization = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*login)));
        Self { address, authorization }
    }

    /// What is there, read; `None` where there is nothing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ProvisionError> {
        let Answer { status, body, .. } = self.ask(Method::GET, path, None).await?;
        match status {
            404 => Ok(None),
            200 => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| ProvisionError::refused(RabbitMq, format!("{path}: {error}"))),
            _ => Err(refusal(status, "reading", path)),
        }
    }

    /// Makes or changes what is there.
    pub(crate) async fn put(&self, path: &str, value: &Value) -> Result<(), ProvisionError> {
        self.done(Method::PUT, path, Some(value)).await
    }

    /// Takes away what is there, if it is.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ProvisionError> {
        self.done(Method::DELETE, path, None).await
    }

    async fn done(&self, method: Method, path: &str, value: Option<&Value>) -> Result<(), ProvisionError> {
        let deleting = method == Method::DELETE;
        let Answer { status, .. } = self.ask(method, path, value).await?;
        match status {
            200..=299 => Ok(()),
            404 if deleting => Ok(()),
            // The body may repeat what was sent.
            _ => Err(refusal(status, "changing", path)),
        }
    }

    /// One request.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        value: Option<&Value>,
    ) -> Result<Answer, ProvisionError> {
        let away = |why: String| {
            ProvisionError::away(RabbitMq, format!("its management API at {:?}: {why}", self.address))
        };
        let asked = tokio::time::timeout(ANSWER_LIMIT, self.exchange(method, path, value)).await;
        match asked.unwrap_or_else(|_| Err(format!("no answer in {ANSWER_LIMIT:?}"))) {
            Ok(answer) => Ok(answer),
            Err(why) => Err(self.tls_refusal().await.unwrap_or_else(|| away(why))),
        }
    }

    async fn tls_refusal(&self) -> Option<ProvisionError> {
        let ManagementAddress { host, port, tls } = &self.address;
        let why = tls_refusal((host, *port), Before::Nothing, tls.as_ref()?).await?;
        Some(ProvisionError::refused(RabbitMq, format!("its management API at {:?}: {why}", self.address)))
    }

    async fn exchange(&self, method: Method, path: &str, value: Option<&Value>) -> Result<Answer, String> {
        let ManagementAddress { host, port, tls } = &self.address;
        let body = value.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/{path}"))
            .header(HOST, format!("{host}:{port}"))
            .header(AUTHORIZATION, self.authorization.as_str())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
        let response = match tls {
            None => send(stream, request).await?,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                send(stream.map_err(|error| format!("TLS: {error}"))?, request).await?
            }
        };
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(Answer { status, body: body.map_err(|error| error.to_string())?.to_bytes(), date })
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

pub(super) fn refusal(status: u16, doing: &str, path: &str) -> ProvisionError {
    let why = match status {
        401 | 403 => "the user of monitor.management_url needs the tag administrator".to_owned(),
        other => format!("status {other}"),
    };
    ProvisionError::refused(RabbitMq, format!("{doing} {path}: {why}"))
}

/// A part of a path.
pub(crate) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
