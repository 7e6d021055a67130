//! `[pools.<name>]`: one credential with its environment, topics, limits and queues.

#[cfg(test)]
use crate::schema::POOL;
use crate::schema::join;
use crate::secret::Secret;
use crate::service_url::ServiceUrl;
use crate::value::{ListItem, Value};
use crate::values::{Reader, Setting, choice, read_optional_section, section};
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// `[pools.<name>]`.
    Pool {
        /// Which APNs.
        environment: Environment,
        /// Topics it may send for; at least one, none twice.
        topics: Vec<String>,
        /// What it proves itself with.
        credential: Credential,
        /// Another host than Apple's, `host` or `host:port`.
        endpoint: Option<String>,
        /// Where broadcasts are published.
        broadcast_endpoint: Option<String>,
        /// Where broadcast channels are managed.
        channels_endpoint: Option<String>,
        /// Roots to trust in place of the shipped ones, PEM.
        ca_file: Option<PathBuf>,
        /// Port at Apple, or of an endpoint that names none.
        port: NonZeroU16,
        /// Most connections from one sender.
        connections_max: NonZeroU32,
        /// Most written and unanswered from one sender.
        in_flight_max: NonZeroU32,
        /// Longest wait for one answer.
        request_deadline: Duration,
        /// Whether a newer one supersedes an older one with the same collapse id in its lane.
        collapse: bool,
        /// An HTTP CONNECT proxy.
        proxy: Option<Proxy>,
        /// Its number of queues, if not `broker.queues`.
        queues: Option<NonZeroU16>,
    }
}

impl Pool {
    /// Host and port to connect to: the endpoint's, or Apple's for the environment.
    #[must_use]
    pub fn host_and_port(&self) -> (String, u16) {
        let named = self.endpoint.as_deref().and_then(crate::service_url::split_host_port);
        match named {
            Some((host, port)) => (host, port.unwrap_or(self.port.get())),
            None => (self.environment.apple_host().to_owned(), self.port.get()),
        }
    }

    /// Host and port where broadcasts to channels are published.
    #[must_use]
    pub fn broadcast_host_and_port(&self) -> (String, u16) {
        let named = self.broadcast_endpoint.as_deref().and_then(crate::service_url::split_host_port);
        named.map_or_else(|| self.host_and_port(), |(host, port)| (host, port.unwrap_or(self.port.get())))
    }

    /// Host and port where broadcast channels are managed. A pool with an endpoint of its own has them there.
    #[must_use]
    pub fn channels_host_and_port(&self) -> (String, u16) {
        let (host, port) = self.environment.apple_channels();
        match self.channels_endpoint.as_deref().and_then(crate::service_url::split_host_port) {
            Some((host, own)) => (host, own.unwrap_or(port)),
            None if self.endpoint.is_some() => self.host_and_port(),
            None => (host.to_owned(), port),
        }
    }
}

choice! {
    /// Which APNs; a device token belongs to exactly one.
    Environment {
        /// `api.push.apple.com`.
        Production = "production",
        /// `api.sandbox.push.apple.com`.
        Sandbox = "sandbox",
    }
}

impl ListItem for Environment {}

impl Environment {
    /// Apple's host and port for managing broadcast channels ("Sending channel management requests to APNs").
    #[must_use]
    pub fn apple_channels(self) -> (&'static str, u16) {
        match self {
            Self::Production => ("api-manage-broadcast.push.apple.com", 2196),
            Self::Sandbox => ("api-manage-broadcast.sandbox.push.apple.com", 2195),
        }
    }

    /// Apple's host ("Sending notification requests to APNs").
    #[must_use]
    pub fn apple_host(self) -> &'static str {
        match self {
            Self::Production => "api.push.apple.com",
            Self::Sandbox => "api.sandbox.push.apple.com",
        }
    }
}

/// What a pool proves itself with. The files exist and only their owner can read them; what is in them is checked
/// where they are loaded.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// A signing key and the JSON web tokens made with it.
    Token {
        /// The `.p8` file.
        key_file: PathBuf,
        /// The key's id.
        key_id: String,
        /// The team's id.
        team_id: String,
        /// What the key is bound to; empty if to nothing.
        environments: Vec<Environment>,
        /// Topics the key is bound to; empty if to none.
        topics: Vec<String>,
    },
    /// A TLS client certificate.
    Certificate {
        /// The `.p12` or PEM file.
        file: PathBuf,
        /// The private key, PEM, if it is not in `file`.
        key_file: Option<PathBuf>,
        /// The `.p12` file's password.
        password: Option<Secret>,
        /// The file that the password was read from, if it was a file.
        password_file: Option<PathBuf>,
    },
}

choice! {
    /// Kind of credential.
    CredentialKind {
        /// A `.p8` key.
        Token = "token",
        /// A certificate.
        Certificate = "certificate",
    }
}

impl Setting for Credential {
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self> {
        let at = |name: &str| join(key, name);
        match CredentialKind::read(reader, &at("kind"))? {
            CredentialKind::Token => {
                let key_file = Setting::read(reader, &at("key_file"));
                let key_id = Setting::read(reader, &at("key_id"));
                let team_id = Setting::read(reader, &at("team_id"));
                let environments: Option<Option<Vec<Environment>>> =
                    Setting::read(reader, &at("environments"));
                let topics: Option<Option<Vec<String>>> = Setting::read(reader, &at("topics"));
                Some(Self::Token {
                    key_file: key_file?,
                    key_id: key_id?,
                    team_id: team_id?,
                    environments: environments?.unwrap_or_default(),
                    topics: topics?.unwrap_or_default(),
                })
            }
            CredentialKind::Certificate => {
                let file = Setting::read(reader, &at("file"));
                let key_file = Setting::read(reader, &at("key_file"));
                let password = Setting::read(reader, &at("password"));
                let password_file = password_file(reader, &at("password"));
                Some(Self::Certificate {
                    file: file?,
                    key_file: key_file?,
                    password: password?,
                    password_file,
                })
            }
        }
    }

    #[cfg(test)]
    fn keys(key: &str, keys: &mut Vec<String>) {
        keys.extend(
            ["kind", "key_file", "key_id", "team_id", "environments", "topics", "file", "password"]
                .map(|name| join(key, name)),
        );
    }
}

/// The file behind a password, if that is where it came from; where the pool's files are elsewhere, it was not read.
fn password_file(reader: &Reader<'_>, password: &str) -> Option<PathBuf> {
    let entries = &reader.values.entries;
    let (password, file) = (entries.get(password), entries.get(&format!("{password}_file"))?);
    match &file.value {
        Value::Path(path) if password.is_none_or(|it| it.origin == file.origin) => Some(path.clone()),
        _ => None,
    }
}

section! {
    /// `[pools.<name>.proxy]`.
    Proxy {
        /// Its address; without a port, 80, or 443 for https.
        url: ServiceUrl,
        /// Roots that sign an https proxy's certificate, PEM.
        ca_file: Option<PathBuf>,
        /// User at the proxy.
        username: Option<String>,
        /// That user's password.
        password: Option<Secret>,
    }
}

impl Setting for Option<Proxy> {
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self> {
        read_optional_section(reader, key)
    }

    #[cfg(test)]
    fn keys(key: &str, keys: &mut Vec<String>) {
        Proxy::keys(key, keys);
    }
}

impl Setting for BTreeMap<String, Pool> {
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self> {
        let names = reader.values.pools();
        let pools: Vec<_> =
            names.into_iter().map(|name| (Pool::read(reader, &join(key, &name)), name)).collect();
        pools.into_iter().map(|(pool, name)| Some((name, pool?))).collect()
    }

    #[cfg(test)]
    fn keys(key: &str, keys: &mut Vec<String>) {
        Pool::keys(&join(key, POOL), keys);
    }
}
