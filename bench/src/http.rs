//! A small HTTP/1.1 client for loopback: management API, role pages, simulator's control, and the gateway under load.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const LIMIT: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 64 << 20;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body of an answer that is 2xx.
    pub(crate) fn successful(self) -> Result<Vec<u8>> {
        let text = || String::from_utf8_lossy(&self.body).chars().take(300).collect::<String>();
        ensure!((200..300).contains(&self.status), "HTTP status {}: {}", self.status, text());
        Ok(self.body)
    }
}

/// One kept connection.
pub(crate) struct Client {
    host: String,
    authorization: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `host:port`; `authorization` is the header's value, or empty.
    pub(crate) fn connect(host: &str, authorization: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self {
            host: host.to_owned(),
            authorization: authorization.to_owned(),
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }

    /// One request with a JSON body, which may be empty.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Response> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        if !self.authorization.is_empty() {
            request += &format!("authorization: {}\r\n", self.authorization);
        }
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        self.answer().with_context(|| format!("{method} {path} at {}", self.host))
    }

    fn answer(&mut self) -> Result<Response> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP answer")?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "the answer's head is cut");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        let body = if chunked { self.chunks()? } else { self.exactly(length)? };
        Ok(Response { status, body })
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        ensure!(length <= BODY_BYTES_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).context("a bad chunk")?;
            body.extend(self.exactly(length)?);
            self.exactly(2)?;
            if length == 0 {
                return Ok(body);
            }
            ensure!(body.len() <= BODY_BYTES_MAX, "an endless answer");
        }
    }
}

/// One request to `http://[user:password@]host:port/path` over a connection of its own.
pub(crate) fn request(method: &str, url: &str, body: &str) -> Result<Vec<u8>> {
    let rest = url.strip_prefix("http://").with_context(|| "only http:// is spoken here".to_owned())?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (login, host) =
        authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
    let authorization = login.map(|login| format!("Basic {}", STANDARD.encode(login))).unwrap_or_default();
    Client::connect(host, &authorization)?.request(method, path, body.as_bytes())?.successful()
}
