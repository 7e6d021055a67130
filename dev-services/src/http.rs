//! One HTTP/1.0 request to a loopback server: enough for management pages, `/readyz` and `/metrics`.

use std::{io, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const LIMIT: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body as text; bytes that are no UTF-8 are replaced.
    pub body: String,
}

impl Response {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}

/// A GET of `http://[user:password@]host:port/path`.
///
/// # Errors
/// When the server can't be reached, answers no HTTP, or not within 60 s. Any status is an `Ok`.
pub async fn get(url: &str) -> io::Result<Response> {
    request("GET", url, None).await
}

/// A request with an optional JSON body; credentials in the URL are sent as basic authentication.
///
/// # Errors
/// As [`get`].
pub async fn request(method: &str, url: &str, body: Option<&str>) -> io::Result<Response> {
    request_with(method, url, &[], body).await
}

/// [`request`] with further headers, each a name and its value.
///
/// # Errors
/// As [`get`].
pub async fn request_with(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> io::Result<Response> {
    tokio::time::timeout(LIMIT, exchange(method, url, headers, body)).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {url} within {LIMIT:?}"))
    })?
}

async fn exchange(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> io::Result<Response> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{why}: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("only http:// is spoken here"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (credentials, address) = authority.rsplit_once('@').map_or((None, authority), |(c, a)| (Some(c), a));

    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    if let Some(credentials) = credentials {
        head += &format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials));
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).await?;

    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| invalid("no HTTP answer"))?;
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid("no status"))?;
    Ok(Response { status, body: body.to_owned() })
}
