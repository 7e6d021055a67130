//! From a pool's settings to its APNs client: credential, endpoint, roots, proxy; checked before anything connects.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use skein_apns::{
    Client, ClientCertificate, ClientConfig, Credential, Endpoint, Environment, Proxy, Roots, Secret,
    TokenKey,
};
use skein_config::{Config, Pool};

use super::{count, read};
use crate::exit::Failure;

/// How long a request may wait for a connection once the gate was looked at. The lease and this stay under the grace.
const UNSENT_MAX: Duration = Duration::from_millis(250);

/// What makes the clients of a pool: one a shard.
#[derive(Clone)]
pub struct PoolClients {
    config: ClientConfig,
    credential: Credential,
}

impl PoolClients {
    /// Checks a pool's credential against its environment and topics.
    pub fn new(config: &Config, name: &str, pool: &Pool) -> Result<Self, Failure> {
        let usage = |error: anyhow::Error| Failure::Usage(format!("pools.{name}: {error:#}"));
        let environment = match pool.environment {
            skein_config::Environment::Production => Environment::Production,
            skein_config::Environment::Sandbox => Environment::Sandbox,
        };
        let credential = credential(&pool.credential).map_err(usage)?;
        let topics: Vec<&str> = pool.topics.iter().map(String::as_str).collect();
        credential.check(environment, &topics, SystemTime::now()).map_err(|error| usage(anyhow!(error)))?;
        let (host, port) = pool.host_and_port();
        let endpoint = Endpoint::custom(&host, port, environment).map_err(|error| usage(anyhow!(error)))?;
        let roots = match &pool.ca_file {
            Some(path) => roots(path).map_err(usage)?,
            None => Roots::apple(),
        };
        let shards = super::sender::shards(config);
        let share = |whole: u32| count(whole).div_ceil(shards).max(1);
        let connections_max = share(pool.connections_max.get());
        let streams = share(pool.in_flight_max.get()).div_ceil(connections_max);
        let config = ClientConfig {
            roots,
            proxy: pool.proxy.as_ref().map(proxy),
            connections_max,
            streams_max: u32::try_from(streams).unwrap_or(u32::MAX),
            unsent_max: UNSENT_MAX,
            request_timeout: pool.request_deadline,
            ..ClientConfig::new(endpoint)
        };
        Ok(Self { config, credential })
    }

    /// A client for the current shard; it connects by itself.
    pub fn client(&self) -> Client {
        Client::new(self.config.clone(), self.credential.clone())
    }
}

fn roots(path: &Path) -> anyhow::Result<Roots> {
    Roots::from_pem(&read(path)?).with_context(|| format!("{}", path.display()))
}

fn proxy(proxy: &skein_config::Proxy) -> Proxy {
    let user = proxy.username.as_ref().map(|user| {
        let password = proxy.password.as_ref().map(|p| p.expose().as_bytes().to_vec()).unwrap_or_default();
        (user.as_str().into(), Secret::new(password))
    });
    Proxy { host: proxy.url.host.as_str().into(), port: proxy.url.port.unwrap_or(80), user, tls: None }
}

fn credential(credential: &skein_config::Credential) -> anyhow::Result<Credential> {
    match credential {
        skein_config::Credential::Token { key_file, key_id, team_id } => {
            let key = TokenKey::from_p8(&read(key_file)?, key_id, team_id)
                .with_context(|| format!("{}", key_file.display()))?;
            Ok(Credential::Token(key))
        }
        skein_config::Credential::Certificate { file, key_file, password } => {
            let bytes = read(file)?;
            let certificate = match key_file {
                Some(key_file) => ClientCertificate::from_pem(&bytes, &read(key_file)?),
                None if bytes.starts_with(b"-----") => ClientCertificate::from_pem(&bytes, &bytes),
                None => ClientCertificate::from_p12(
                    &bytes,
                    password.as_ref().map_or("", |password| password.expose()),
                ),
            };
            Ok(Credential::Certificate(certificate.with_context(|| format!("{}", file.display()))?))
        }
    }
}
