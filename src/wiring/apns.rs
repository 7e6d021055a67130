//! From a pool's settings to its APNs client: credential, endpoint, roots, proxy; checked before anything connects.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use skein_apns::{
    ClientCertificate, ClientConfig, Credential, CredentialError, Endpoint, Environment, Proxy, Roots,
    Secret, TokenKey,
};
use skein_config::{Config, CredentialBytes, Pool};
use skein_core::seam::Windows;

use super::{count, read, system_roots};
use crate::exit::Failure;

/// How long a request may wait for a connection once the gate was looked at. The lease and this stay under the grace.
const UNSENT_MAX: Duration = Duration::from_millis(250);
/// Ports of a proxy that names none.
const PROXY_PORT: u16 = 80;
const PROXY_TLS_PORT: u16 = 443;

/// A pool's environment in the client's words.
pub fn environment(pool: &Pool) -> Environment {
    match pool.environment {
        skein_config::Environment::Production => Environment::Production,
        skein_config::Environment::Sandbox => Environment::Sandbox,
    }
}

/// How a pool's clients connect: one a shard.
pub fn client_config(config: &Config, name: &str, pool: &Pool) -> Result<ClientConfig, Failure> {
    let usage = |error: anyhow::Error| usage(name, &error);
    let (host, port) = pool.host_and_port();
    let endpoint = Endpoint::custom(&host, port, environment(pool)).map_err(|error| usage(anyhow!(error)))?;
    let roots = match &pool.ca_file {
        Some(path) => roots(path).map_err(usage)?,
        None => Roots::apple(),
    };
    let proxy = pool.proxy.as_ref().map(proxy).transpose().map_err(usage)?;
    let Windows { connections_max, in_flight_max } = windows(config, pool);
    Ok(ClientConfig {
        roots,
        proxy,
        connections_max,
        in_flight_max,
        unsent_max: UNSENT_MAX,
        request_timeout: pool.request_deadline,
        ..ClientConfig::new(endpoint)
    })
}

/// What each client of a pool may have open.
pub fn windows(config: &Config, pool: &Pool) -> Windows {
    let shards = super::sender::shards(config);
    let share = |whole: u32| count(whole).div_ceil(shards).max(1);
    let in_flight_max = share(pool.in_flight_max.get());
    Windows { connections_max: share(pool.connections_max.get()), in_flight_max }
}

/// A pool's credential as its files are now, checked against the pool's environment, topics and the time.
pub fn checked_credential(name: &str, pool: &Pool) -> Result<Credential, Failure> {
    let credential = credential(&pool.credential).map_err(|error| usage(name, &error))?;
    check(&credential, pool).map_err(|error| usage(name, &anyhow!(error)))?;
    Ok(credential)
}

/// Whether a credential fits a pool, now.
pub fn check(credential: &Credential, pool: &Pool) -> Result<(), CredentialError> {
    let topics: Vec<&str> = pool.topics.iter().map(String::as_str).collect();
    credential.check(environment(pool), &topics, SystemTime::now())
}

fn usage(name: &str, error: &anyhow::Error) -> Failure {
    Failure::Usage(format!("pools.{name}: {error:#}"))
}

fn roots(path: &Path) -> anyhow::Result<Roots> {
    Roots::from_pem(&read(path)?).with_context(|| format!("{}", path.display()))
}

fn proxy(proxy: &skein_config::Proxy) -> anyhow::Result<Proxy> {
    let url = &proxy.url;
    let password = url.password.as_ref().or(proxy.password.as_ref());
    let user = url.username.as_ref().or(proxy.username.as_ref()).map(|user| {
        let password = password.map(|p| p.expose().as_bytes().to_vec()).unwrap_or_default();
        (user.as_str().into(), Secret::new(password))
    });
    let over_tls = url.scheme == "https";
    let tls = match &proxy.ca_file {
        _ if !over_tls => None,
        Some(path) => Some(roots(path)?),
        None => {
            let bundle =
                system_roots().context("this system has no bundle of public roots; set proxy.ca_file")?;
            Some(roots(bundle)?)
        }
    };
    let port = url.port.unwrap_or(if over_tls { PROXY_TLS_PORT } else { PROXY_PORT });
    Ok(Proxy { user, tls, ..Proxy::new(&url.host, port) })
}

/// Reads a credential's files as they are now.
pub fn credential(settings: &skein_config::Credential) -> anyhow::Result<Credential> {
    let CredentialBytes { main, key, password } = settings.read().map_err(|why| anyhow!(why))?;
    let named = || settings.files().first().map(|file| file.display().to_string()).unwrap_or_default();
    match settings {
        skein_config::Credential::Token { key_id, team_id, environments, topics, .. } => {
            let key = TokenKey::from_p8(&main, key_id, team_id).with_context(named)?;
            let environments = environments.iter().map(|environment| match environment {
                skein_config::Environment::Production => Environment::Production,
                skein_config::Environment::Sandbox => Environment::Sandbox,
            });
            let key = key.for_environments(environments.collect()).for_topics(topics.clone());
            Ok(Credential::Token(key))
        }
        skein_config::Credential::Certificate { .. } => {
            let password = password.as_ref().map_or("", |password| password.expose());
            let certificate = certificate(&main, key.as_ref().map(|key| key.as_slice()), password);
            Ok(Credential::Certificate(certificate.with_context(named)?))
        }
    }
}

/// A certificate from PEM, or from a `.p12`; which of them its first bytes tell.
pub fn certificate(
    main: &[u8],
    key: Option<&[u8]>,
    password: &str,
) -> Result<ClientCertificate, CredentialError> {
    match key {
        Some(key) => ClientCertificate::from_pem(main, key),
        None if is_pem(main) => ClientCertificate::from_pem(main, main),
        None => ClientCertificate::from_p12(main, password),
    }
}

/// PEM may begin with other text, as `openssl pkcs12` writes it; a `.p12` begins with a byte that no text has there.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ") && str::from_utf8(bytes).is_ok()
}
