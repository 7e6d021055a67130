//! The files of a fleet: the configuration of its sender, and keys made for this run alone.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use skein_core::NotificationId;

use super::{DATABASE_FILE, Setup};
use crate::arguments::Engine;
use crate::ledger::Database;
use crate::rabbitmq::{Address, Vhost};
use crate::traffic::{POOL, TOPIC};

pub(super) const CONFIG: &str = "skein.toml";
pub(super) const CA: &str = "apns-ca.pem";
pub(super) const LOG: &str = "simulator.pushes";
pub(super) const LIST: &str = "confirmed.list";
const API_KEYS: &str = "gateway-keys";
const PROVIDER_KEY: &str = "provider.p8";

/// Writes them all; gives the gateway's API key.
pub(super) fn write(
    folder: &Path,
    setup: &Setup,
    cluster: Option<&(Vhost, Database)>,
    endpoint: &str,
    ca: &Path,
) -> Result<String> {
    let provider_key = rcgen::KeyPair::generate().context("cannot make a provider key")?.serialize_pem();
    private(&folder.join(PROVIDER_KEY), &provider_key)?;
    let api_key = format!("{}{}", NotificationId::now(), NotificationId::now());
    let line = format!("bench = {}\n", blake3::hash(api_key.as_bytes()).to_hex());
    private(&folder.join(API_KEYS), &line)?;
    for name in ["fingerprint.key", "parking.key"] {
        let key = blake3::hash(format!("{api_key}{name}").as_bytes()).to_hex();
        private(&folder.join(name), &format!("{key}\n"))?;
    }
    private(&folder.join(CONFIG), &config(setup, cluster, endpoint, ca)?)?;
    Ok(api_key)
}

fn private(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn config(setup: &Setup, cluster: Option<&(Vhost, Database)>, endpoint: &str, ca: &Path) -> Result<String> {
    let mut text = format!("engine = \"{}\"\n", setup.engine.label());
    text += "[log]\nlevel = \"warn\"\n[http]\nlisten = \"127.0.0.1:0\"\n[sender]\nmember = \"bench\"\n";
    match cluster {
        None => {
            text += &format!("[embedded]\npath = \"{DATABASE_FILE}\"\n");
            text += &format!("[gateway]\nlisten = \"127.0.0.1:0\"\napi_keys_file = \"{API_KEYS}\"\n");
            // One caller is the whole load here.
            text += "rate_max = 10000000\nrate_burst = 10000000\n";
        }
        Some((vhost, database)) => {
            let broker = address(vhost.url())?;
            text += &format!("[broker]\nurls = [\"{}://{}\"]\n", broker.scheme, broker.host);
            text +=
                &format!("vhost = \"{}\"\nusername = \"{}\"\n", vhost.name(), login(broker.user, "guest"));
            let server = address(database.server())?;
            text += &format!("[ledger]\nurl = \"{}://{}/{}\"\n", server.scheme, server.host, database.name());
            text +=
                &format!("username = \"{}\"\ntls = {{ mode = \"off\" }}\n", login(server.user, "postgres"));
        }
    }
    if setup.engine == Engine::Embedded {
        text += "[ledger]\n";
    }
    text += "fingerprint_key_file = \"fingerprint.key\"\nparking_key_file = \"parking.key\"\n";
    text += &format!(
        "[pools.{POOL}]\nenvironment = \"sandbox\"\ntopics = [\"{TOPIC}\"]\nqueues = {}\n",
        setup.queues
    );
    text += &format!("endpoint = \"{endpoint}\"\nca_file = \"{}\"\n", ca.display());
    text += &format!(
        "credential = {{ kind = \"token\", key_file = \"{PROVIDER_KEY}\", key_id = \"ABCDE12345\", team_id = \"TEAM123456\" }}\n"
    );
    Ok(text)
}

fn address(url: &str) -> Result<Address<'_>> {
    Address::read(url).context("a service's address is not scheme://user:password@host:port")
}

fn login<'a>(given: &'a str, usual: &'a str) -> &'a str {
    if given.is_empty() { usual } else { given }
}

/// Passwords, which no file of ours holds.
pub(super) fn secrets(setup: &Setup) -> Vec<(&'static str, String)> {
    let services = &setup.services;
    let password =
        |url: &Option<String>| url.as_deref().and_then(Address::read).map(|a| a.password.to_owned());
    let named = [
        ("SKEIN_BROKER__PASSWORD", password(&services.rabbitmq_url)),
        ("SKEIN_LEDGER__PASSWORD", password(&services.database_url)),
    ];
    let given = |(name, value): (_, Option<String>)| value.filter(|v| !v.is_empty()).map(|v| (name, v));
    if setup.engine == Engine::Embedded { Vec::new() } else { named.into_iter().filter_map(given).collect() }
}
