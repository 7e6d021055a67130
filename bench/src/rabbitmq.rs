//! A virtual host for one round, and what the broker counted in it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::arguments::Services;
use crate::http;
use crate::stop::until;

const COUNT_LIMIT: Duration = Duration::from_secs(30);
/// RabbitMQ's statistics are up to 5 s old; a count that stood still longer is the last.
const COUNT_QUIET: Duration = Duration::from_millis(5_500);

/// A virtual host of its own, deleted with its queues when dropped.
pub(crate) struct Vhost {
    management: String,
    url: String,
    name: String,
}

/// The parts of an address `scheme://user:password@host/path`.
pub(crate) struct Address<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) host: &'a str,
}

impl<'a> Address<'a> {
    /// Reads an address; its path is left out. Percent escapes in the login are not read.
    pub(crate) fn read(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Some(Self { scheme, user, password, host })
    }
}

impl Vhost {
    /// Creates it, with all rights for the login of `services`.
    pub(crate) fn create(services: &Services, name: &str) -> Result<Self> {
        let why = "set --rabbitmq-url and --rabbitmq-management, or RABBITMQ_URL and RABBITMQ_MANAGEMENT, as \
                   `cargo run -p skein-tests --bin services` prints them";
        let url = services.rabbitmq_url.as_deref().context(why)?;
        let management = services.rabbitmq_management.as_deref().context(why)?;
        let address =
            Address::read(url).context("the RabbitMQ address is not amqp://user:password@host:port")?;
        let user = if address.user.is_empty() { "guest" } else { address.user };
        let this = Self {
            management: management.trim_end_matches('/').to_owned(),
            url: format!("{}://{}/{name}", address.scheme, url.split('/').nth(2).unwrap_or_default()),
            name: name.to_owned(),
        };
        this.manage("PUT", &format!("vhosts/{name}"), "").context("cannot make a virtual host")?;
        let rights = r#"{"configure":".*","write":".*","read":".*"}"#;
        this.manage("PUT", &format!("permissions/{name}/{user}"), rights)?;
        Ok(this)
    }

    /// Its AMQP address with login.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many messages were published to an exchange, once the broker's statistics stand still.
    pub(crate) fn published_to(&self, exchange: &str) -> Result<u64> {
        let mut last = (u64::MAX, Instant::now());
        until("the broker's statistics to stand still", COUNT_LIMIT, || {
            let answer = self.manage("GET", &format!("exchanges/{}/{exchange}", self.name), "")?;
            let answer: Value = serde_json::from_slice(&answer)?;
            let count = answer["message_stats"]["publish_in"].as_u64().unwrap_or(0);
            if count != last.0 {
                last = (count, Instant::now());
            }
            Ok((last.1.elapsed() > COUNT_QUIET).then_some(count))
        })
    }

    fn manage(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        http::request(method, &format!("{}/api/{path}", self.management), body)
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // The broker may be gone already, with everything in it.
        let _ = self.manage("DELETE", &format!("vhosts/{}", self.name), "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let address = Address::read("amqp://guest:secret@127.0.0.1:5672/%2f").unwrap();
        assert_eq!((address.scheme, address.host), ("amqp", "127.0.0.1:5672"));
        assert_eq!((address.user, address.password), ("guest", "secret"));
        let bare = Address::read("postgres://postgres@127.0.0.1:5432/postgres").unwrap();
        assert_eq!((bare.user, bare.password, bare.host), ("postgres", "", "127.0.0.1:5432"));
        assert!(Address::read("localhost").is_none());
    }
}
