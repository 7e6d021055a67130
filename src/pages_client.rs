//! Asking the pages of a running sender on this machine: one request, one answer.

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

use crate::exit::Failure;
use crate::operator::OPERATOR_HEADER;

/// Longest wait for an answer: a new credential is tried over a connection of its own.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Asks the pages at `url`, such as `http://127.0.0.1:9180`, and gives status and body.
///
/// # Errors
/// The address is none; nobody answers there.
pub async fn ask(url: &str, method: Method, path: &str) -> Result<(u16, Value), Failure> {
    let authority = url
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?']))
        .ok_or_else(|| Failure::Usage("--url is no address such as http://127.0.0.1:9180".into()))?;
    let asked = async {
        let stream = TcpStream::connect(authority).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(HOST, authority);
        let request = request.header(OPERATOR_HEADER, "1").body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow!(error))?.to_bytes();
        anyhow::Ok((status, serde_json::from_slice(&body).context("the answer is no JSON")?))
    };
    let away = |why: String| {
        Failure::Away(format!("no answer from the pages at {url}: {why}; is a sender running there?"))
    };
    match tokio::time::timeout(ANSWER_LIMIT, asked).await {
        Ok(answer) => answer.map_err(|error| away(format!("{error:#}"))),
        Err(_) => Err(away(format!("{ANSWER_LIMIT:?} have passed"))),
    }
}
