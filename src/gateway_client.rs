//! Asking a running gateway: one HTTP/1.1 connection, made anew when it ends.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use skein_config::{Config, Secret};
use tokio::net::TcpStream;

use crate::args::Door;
use crate::exit::Failure;

/// Longest wait for a connection, and for one answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The environment's variable with the API key.
const KEY_VARIABLE: &str = "SKEIN_API_KEY";

/// A gateway to ask.
pub struct GatewayClient {
    authority: String,
    key: Secret,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What a gateway answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What `Retry-After` says.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// What it says is wrong, with every fault.
    pub fn problem(&self) -> String {
        let mut text = self.body["message"].as_str().unwrap_or("the gateway refuses").to_owned();
        for fault in self.body["faults"].as_array().into_iter().flatten() {
            let part = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("\n  {}: {}", part("field"), part("problem")));
        }
        text
    }

    /// The failure it stands for.
    pub fn failure(&self) -> Failure {
        match self.status {
            503 => Failure::Away(self.problem()),
            401 | 403 => Failure::Usage(self.problem()),
            _ => Failure::Failed(anyhow!(self.problem())),
        }
    }
}

impl GatewayClient {
    /// For the gateway named in the arguments, or that of the configuration.
    ///
    /// # Errors
    /// The address or the key cannot be read.
    pub fn new(config: &Config, door: &Door) -> Result<Self, Failure> {
        let authority = match &door.url {
            None if config.gateway.tls.cert_file.is_some() => {
                let why = "the gateway of this configuration speaks TLS, which this command does not; \
                           name a plain address on its machine with --url";
                return Err(Failure::Usage(why.to_owned()));
            }
            None => config.gateway.listen.to_string(),
            Some(url) => url
                .strip_prefix("http://")
                .map(|rest| rest.trim_end_matches('/').to_owned())
                .filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?']))
                .ok_or_else(|| Failure::Usage("--url is no address such as http://127.0.0.1:8080".into()))?,
        };
        Ok(Self { authority, key: read_key(door)?, sender: None })
    }

    /// Connects, so that a gateway that is not there is known before anything is sent.
    ///
    /// # Errors
    /// [`Failure::Away`].
    pub async fn reach(&mut self) -> Result<(), Failure> {
        self.sender = Some(connect(&self.authority).await.map_err(|error| self.away(format!("{error:#}")))?);
        Ok(())
    }

    fn away(&self, why: String) -> Failure {
        let gateway = &self.authority;
        Failure::Away(format!("no answer from the gateway at http://{gateway}: {why}; is it running?"))
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`Failure::Away`] if there is no answer; then nobody knows whether the request was done.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("the request cannot be made")?;
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => connect(&self.authority).await.map_err(|error| self.away(format!("{error:#}")))?,
        };
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow!(error))?.to_bytes();
            let body =
                serde_json::from_slice(&body).context("the answer is no JSON; is this Skein's gateway?")?;
            anyhow::Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body })
        };
        let answer = match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
            Ok(answer) => answer.map_err(|error| self.away(format!("{error:#}")))?,
            Err(_) => return Err(self.away(format!("{ANSWER_LIMIT:?} have passed"))),
        };
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn connect(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let address = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn read_key(door: &Door) -> Result<Secret, Failure> {
    let text = match &door.key_file {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read the key in {}: {error}", path.display())))?,
        None => std::env::var(KEY_VARIABLE).map_err(|_| {
            let why = "the gateway wants an API key; name its file with --key-file, or set SKEIN_API_KEY \
                       (`skein config new-key` makes one)";
            Failure::Usage(why.to_owned())
        })?,
    };
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::Usage(
            "the API key is empty or holds other characters than printable ones".into(),
        ));
    }
    Ok(Secret::new(key.to_owned()))
}
