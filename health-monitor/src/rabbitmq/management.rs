//! RabbitMQ's management API: figures of queues, the listing of connections, and closing one.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Deserialize;
use skein_core::QueueName;
use zeroize::Zeroizing;

use super::http::{Client, Target};
use crate::queue_figures::Reading;

/// How the names of queues on the broker begin.
const QUEUE_PREFIX: &str = "skein.";

/// Where the management API is.
#[derive(Clone)]
pub struct ManagementOptions {
    /// Its address.
    pub url: ManagementUrl,
    /// For `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The user, with the tag `monitoring` and `administrator` where kicks are wanted.
    pub username: String,
    /// Its password.
    pub password: Zeroizing<String>,
    /// The virtual host of the queues.
    pub vhost: String,
}

/// `http[s]://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementUrl {
    /// Whether over TLS.
    pub tls: bool,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text is no address of a management API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address of a management API; write http://host:15672 or https://host:15671")]
pub struct NotAManagementUrl;

impl fmt::Display for ManagementUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// A client of the API. Its methods may be cancelled.
pub struct Management {
    client: Client,
    vhost: String,
}

#[derive(Deserialize)]
struct QueueRow {
    name: String,
    #[serde(default)]
    messages_ready: Option<u64>,
    #[serde(default)]
    messages_unacknowledged: Option<u64>,
    #[serde(default)]
    message_stats: Option<MessageStats>,
}

#[derive(Deserialize, Default)]
struct MessageStats {
    #[serde(default)]
    ack: u64,
}

#[derive(Deserialize)]
struct ConnectionRow {
    name: String,
    #[serde(default)]
    user_provided_name: Option<String>,
}

impl Management {
    /// A client that connects when it is first asked.
    pub fn new(options: ManagementOptions) -> Self {
        let login = format!("{}:{}", options.username, options.password.as_str());
        let authorization = Zeroizing::new(format!("Basic {}", STANDARD.encode(&login)));
        drop(Zeroizing::new(login));
        let ManagementUrl { host, port, .. } = options.url;
        let tls = options.tls;
        Self {
            client: Client::new(Target { host, port, tls, authorization }),
            vhost: percent_encoded(&options.vhost),
        }
    }

    /// Every queue of ours that the broker has figures of.
    ///
    /// # Errors
    /// Why there is no answer, or none of use, and what to do where that is known.
    pub async fn queues(&mut self) -> Result<Vec<(QueueName, Reading)>, String> {
        let path = format!(
            "/api/queues/{}?columns=name,messages_ready,messages_unacknowledged,message_stats.ack&disable_stats=false",
            self.vhost
        );
        let rows: Vec<QueueRow> = self.get(&path).await?;
        let read = |row: QueueRow| {
            let queue = QueueName::parse(row.name.strip_prefix(QUEUE_PREFIX)?)?;
            let settled = row.message_stats.unwrap_or_default().ack;
            let (ready, unacked) = (row.messages_ready?, row.messages_unacknowledged?);
            Some((queue, Reading { ready, unacked, settled }))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Every connection with a name that its client gave: the broker's name of it, and the client's.
    ///
    /// # Errors
    /// As [`Management::queues`].
    pub async fn connections(&mut self) -> Result<Vec<(String, String)>, String> {
        let rows: Vec<ConnectionRow> = self.get("/api/connections?columns=name,user_provided_name").await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.name, row.user_provided_name?))).collect())
    }

    /// Closes a connection.
    ///
    /// # Errors
    /// As [`Management::queues`]; also when it is gone, or too new for the API to know it.
    pub async fn close(&mut self, connection: &str) -> Result<(), String> {
        let path = format!("/api/connections/{}", percent_encoded(connection));
        match self.client.ask(Method::DELETE, &path).await? {
            (200..=299, _) => Ok(()),
            (404, _) => Err("the management API does not know it yet".to_owned()),
            (status, _) => Err(refusal(status)),
        }
    }

    async fn get<T: for<'de> Deserialize<'de>>(&mut self, path: &str) -> Result<T, String> {
        match self.client.ask(Method::GET, path).await? {
            (200, body) => {
                serde_json::from_slice(&body).map_err(|error| format!("an unexpected answer: {error}"))
            }
            (status, _) => Err(refusal(status)),
        }
    }
}

fn refusal(status: u16) -> String {
    match status {
        401 | 403 => format!("status {status}: its user needs the tags monitoring and administrator"),
        other => format!("status {other}"),
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(percent_encoded("/"), "%2F");
        assert_eq!(percent_encoded("127.0.0.1:5 -> [::1]:6"), "127.0.0.1%3A5%20-%3E%20%5B%3A%3A1%5D%3A6");
    }
}
