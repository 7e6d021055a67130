//! From the configuration to each room's options: the only place that knows which engine runs.

pub mod apns;
pub mod credentials;
pub mod embedded;
pub mod live;
pub mod member;
pub mod monitor;
pub mod sender;
mod spans;
pub mod succession;
pub mod trials;
pub mod zookeeper;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use skein_backends::clock::SystemClock;
use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_backends::token_cipher::TokenCipher;
use skein_config::{Config, GatewayTls, Key32, ServiceUrl, TlsMode};
use skein_core::seam::{Clock, Ledger, Submit};
use skein_core::wire::FRONT_DOOR_APP_ID;
use skein_core::{FingerprintKey, PoolName, Timestamp};
use skein_gateway::{Access, ApiKey, Gateway, MemoryStore, Options, PoolRule, ServeOptions};
use skein_producer::{BrokerAddress, LinkOptions, Producer, ProducerOptions, Wait, tls_config};

use crate::exit::Failure;

/// Where systems keep the certificates they trust, for a broker whose configuration names no root.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The gateway's bounds.
pub fn gateway_options(config: &Config) -> Options {
    let gateway = &config.gateway;
    Options {
        body_bytes_max: bytes(gateway.max_body.bytes()),
        items_max: count(gateway.items_max.get()),
        requests_max: count(gateway.requests_max.get()),
        rate_max: gateway.rate_max.get(),
        rate_burst: gateway.rate_burst.get(),
        request_deadline: gateway.request_deadline,
        ..Options::default()
    }
}

/// Who may come in, and to which pools.
pub fn access(config: &Config) -> Result<Access, Failure> {
    let Some(keys) = &config.gateway.api_keys else {
        let why = "gateway.api_keys_file is not set, so nobody could come in; make a key with \
                   `skein config new-key NAME --append FILE` and name that file";
        return Err(Failure::Usage(why.to_owned()));
    };
    let keys = keys.iter().map(|key| ApiKey { name: key.name.as_str().into(), hash: key.hash, pools: None });
    let rules =
        config.pools.iter().map(|(name, pool)| Ok((named(name)?, PoolRule { topics: pool.topics.clone() })));
    Ok(Access { keys: keys.collect(), pools: rules.collect::<Result<BTreeMap<_, _>, Failure>>()? })
}

/// A running gateway goes by other keys, topics and bounds.
pub fn take_up<S: Submit, L: Ledger, C: Clock>(
    gateway: &Gateway<S, L, C>,
    config: &Config,
) -> Result<(), Failure> {
    gateway.replace_access(access(config)?);
    gateway.replace_options(gateway_options(config));
    Ok(())
}

/// The memory of Idempotency-Keys.
pub fn idempotency_store(config: &Config) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(config.gateway.idempotency_keep, config.gateway.idempotency_keys_max))
}

/// The bounds of the front door's listener, with its TLS.
pub fn front_door(config: &Config) -> Result<ServeOptions, Failure> {
    let tls =
        server_tls(&config.gateway.tls).map_err(|error| Failure::Usage(format!("gateway.tls: {error:#}")))?;
    Ok(ServeOptions { tls, drain_deadline: config.sender.drain_deadline, ..ServeOptions::default() })
}

fn server_tls(tls: &GatewayTls) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
    let (Some(chain), Some(key)) = (&tls.cert_file, &tls.key_file) else { return Ok(None) };
    let chain = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| anyhow!("{} is no PEM", chain.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| anyhow!("{} holds no private key as PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and its key do not belong together")?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(server)))
}

/// The key of all fingerprints of this installation.
pub fn fingerprint_key(config: &Config) -> Result<FingerprintKey, Failure> {
    Ok(FingerprintKey::new(*key(&config.ledger.fingerprint_key, "ledger.fingerprint_key_file")?.expose()))
}

fn key<'a>(key: &'a Option<Key32>, setting: &str) -> Result<&'a Key32, Failure> {
    key.as_ref().ok_or_else(|| {
        Failure::Usage(format!(
            "{setting} is not set; make one with `openssl rand -hex 32` and keep it for good"
        ))
    })
}

/// The cluster's ledger. Makes no connection yet.
pub fn postgres_ledger(config: &Config) -> Result<PostgresLedger, Failure> {
    PostgresLedger::new(postgres_options(config)?).map_err(|error| Failure::Usage(error.to_string()))
}

/// What seals device tokens, for who registers them.
pub fn token_cipher(config: &Config) -> Result<TokenCipher, Failure> {
    Ok(TokenCipher::new(*key(&config.ledger.parking_key, "ledger.parking_key_file")?.expose()))
}

/// How the cluster's database is reached.
pub fn postgres_options(config: &Config) -> Result<PostgresOptions, Failure> {
    let ledger = &config.ledger;
    let url = ledger.url.as_ref().ok_or_else(|| Failure::Usage("ledger.url is not set".into()))?;
    let password = ledger.password.as_ref();
    Ok(PostgresOptions {
        tls: ledger.tls.mode == TlsMode::Verify,
        ca_file: ledger.tls.ca_file.clone(),
        client_certificate: pair(&ledger.tls.cert_file, &ledger.tls.key_file),
        connections: ledger.connections.get(),
        connect_timeout: ledger.connect_timeout,
        ..PostgresOptions::new(url.with_login(ledger.username.as_deref(), password, "").expose())
    })
}

fn pair(chain: &Option<PathBuf>, key: &Option<PathBuf>) -> Option<(PathBuf, PathBuf)> {
    Some((chain.clone()?, key.clone()?))
}

/// A producer into the cluster, for submitting. Begins to connect at once; `name` is what the broker shows.
///
/// Must be called within a runtime.
pub fn producer(config: &Config, name: &'static str) -> Result<Producer, Failure> {
    let broker = &config.broker;
    let pools = config.pools.keys().map(|pool| named(pool)).collect::<Result<Vec<_>, _>>()?;
    let options = ProducerOptions {
        window: count(broker.publish_window.get()),
        wait: Wait::For(config.gateway.request_deadline / 2),
        outcome_limit: broker.confirm_timeout,
        backoff_first: broker.backoff_min,
        backoff_max: broker.backoff_max,
        app_id: (name == FRONT_DOOR_APP_ID).then_some(name),
        ..ProducerOptions::new(link(config, name)?, pools)
    };
    Ok(Producer::connect(options))
}

/// How the broker is reached; `name` is what it shows for the connection.
pub fn link(config: &Config, name: &str) -> Result<LinkOptions, Failure> {
    let broker = &config.broker;
    let urls = broker.urls.as_deref().unwrap_or_default();
    let brokers = urls.iter().map(|url| address(config, url)).collect::<Result<Vec<_>, _>>()?;
    let encrypted = urls.iter().any(|url| url.scheme == "amqps");
    let tls = if encrypted {
        let tls = broker_tls(config).map_err(|error| Failure::Usage(format!("broker.tls: {error:#}")))?;
        Some(tls)
    } else {
        None
    };
    Ok(LinkOptions {
        tls,
        heartbeat: broker.heartbeat,
        connect_limit: broker.connect_timeout,
        ..LinkOptions::new(brokers, name)
    })
}

fn address(config: &Config, url: &ServiceUrl) -> Result<BrokerAddress, Failure> {
    let broker = &config.broker;
    let vhost = format!("/{}", broker.vhost.replace('%', "%25").replace('/', "%2F"));
    let whole = url.with_login(broker.username.as_deref(), broker.password.as_ref(), &vhost);
    whole.expose().parse().map_err(|error| Failure::Usage(format!("broker.urls: {url}: {error}")))
}

fn broker_tls(config: &Config) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let tls = &config.broker.tls;
    let (roots, client) = tls_files("broker.tls", &tls.ca_file, &tls.cert_file, &tls.key_file)?;
    Ok(tls_config(&roots, client.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice())))?)
}

/// A client certificate's chain and its key, PEM.
type ClientPem = (Vec<u8>, Vec<u8>);

/// The files of a section: whom to trust, and who we are, if that is set.
fn tls_files(
    section: &str,
    ca: &Option<PathBuf>,
    chain: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> anyhow::Result<(Vec<u8>, Option<ClientPem>)> {
    let roots =
        match ca {
            Some(path) => read(path)?,
            None => read(system_roots().with_context(|| {
                format!("this system has no bundle of public roots; set {section}.ca_file")
            })?)?,
        };
    let client = match pair(chain, key) {
        Some((chain, key)) => Some((read(&chain)?, read(&key)?)),
        None => None,
    };
    Ok((roots, client))
}

/// The system's bundle of public roots, if it has one.
fn system_roots() -> Option<&'static Path> {
    SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The wall clock.
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// A pool's name; the configuration has checked its form.
pub fn named(pool: &str) -> Result<PoolName, Failure> {
    PoolName::parse(pool).map_err(|error| Failure::Usage(format!("{pool}: {error}")))
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn bytes(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_config::Sources;

    #[test]
    fn the_gateways_defaults_are_those_of_the_configuration() {
        assert_eq!(gateway_options(&Config::default()), Options::default());
    }

    #[tokio::test]
    async fn the_broker_gets_its_login_and_virtual_host() {
        let flags = [
            "engine=cluster",
            "broker.urls=amqp://mq1:5673,amqp://mq2",
            "broker.vhost=/",
            "broker.username=me",
        ]
        .map(str::to_owned)
        .to_vec();
        let environment = BTreeMap::from([
            ("SKEIN_BROKER__PASSWORD".to_owned(), "p/w".to_owned()),
            ("SKEIN_LEDGER__URL".to_owned(), "postgres://db/skein".to_owned()),
            ("SKEIN_LEDGER__FINGERPRINT_KEY".to_owned(), "ab".repeat(32)),
            ("SKEIN_LEDGER__PARKING_KEY".to_owned(), "cd".repeat(32)),
        ]);
        let loaded = Config::load(&Sources { flags, environment, ..Sources::default() });
        let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
        let link = link(&config, "test").expect("a link");
        let shown: Vec<String> = link.brokers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["mq1:5673", "mq2:5672"]);
        assert!(fingerprint_key(&config).is_ok());
        assert!(postgres_ledger(&config).is_ok_and(|_| true));
    }

    #[test]
    fn what_is_missing_is_named() {
        let config = Config::default();
        let Err(Failure::Usage(why)) = access(&config) else { panic!("no keys are refused") };
        assert!(why.contains("gateway.api_keys_file"), "{why}");
        let Err(Failure::Usage(why)) = postgres_ledger(&config) else { panic!("no address is refused") };
        assert!(why.contains("ledger.url"), "{why}");
    }
}
