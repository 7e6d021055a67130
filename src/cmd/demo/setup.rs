//! What the demo runs on: a folder of its own, a key of its own, a simulator, and an ordinary configuration.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skein_apns_sim::log::LogMode;
use skein_apns_sim::{Faults, Handle, Simulator, SimulatorConfig, realistic};
use skein_config::{Config, Sources};
use skein_core::PoolName;
use tempfile::TempDir;

use crate::args::Demo;
use crate::exit::Failure;

/// The demo's pool.
const POOL: &str = "demo";

/// Everything the demo stands on; its folder goes with it.
pub struct Stage {
    /// An ordinary configuration.
    pub config: Config,
    /// The simulator.
    pub simulator: Handle,
    _folder: TempDir,
}

/// The demo's pool.
pub fn pool() -> PoolName {
    PoolName::parse(POOL).unwrap_or_else(|_| unreachable!("a constant name"))
}

impl Stage {
    /// Prepares it.
    pub fn new(arguments: &Demo) -> Result<Self, Failure> {
        let folder =
            tempfile::Builder::new().prefix("skein-demo-").tempdir().context("cannot make a folder")?;
        let faults =
            Faults { seed: arguments.seed, ..if arguments.calm { Faults::default() } else { realistic() } };
        let ca = folder.path().join("ca.pem");
        let simulator = Simulator::start(SimulatorConfig {
            ca_out: Some(ca.clone()),
            faults,
            log: LogMode::Memory { rows_max: arguments.notifications.saturating_mul(4).max(100_000) },
            ..SimulatorConfig::default()
        })
        .map_err(|error| anyhow!(error))?;
        let file = folder.path().join("skein.toml");
        write_key(&folder.path().join("demo.p8"))?;
        let text = configuration(folder.path(), simulator.addr().port());
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let sources = Sources { files: vec![file], flags: arguments.settings.clone(), ..Sources::default() };
        Ok(Self { config: Config::load(&sources)?.config, simulator, _folder: folder })
    }

    /// What runs, in words.
    pub fn introduction(&self, arguments: &Demo) -> String {
        let mood = if arguments.calm { "without faults" } else { "with the faults of a bad day" };
        format!(
            "{} notifications for {} devices, through the embedded engine (SQLite, synchronous=FULL), to an APNs simulator {mood}\n",
            arguments.notifications, arguments.tokens
        )
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"engine = "embedded"
[log]
level = "error"
[embedded]
path = "{folder}/skein.db"
disk_free_min = "64MiB"
[pools.{POOL}]
environment = "sandbox"
topics = ["com.example.im"]
endpoint = "localhost:{port}"
ca_file = "{folder}/ca.pem"
credential = {{ kind = "token", key_file = "{folder}/demo.p8", key_id = "DEMOKEY001", team_id = "DEMOTEAM01" }}
"#
    )
}

/// A signing key as Apple's `.p8`: PKCS#8 in PEM.
pub fn write_key(path: &Path) -> Result<(), Failure> {
    let key =
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| anyhow!("cannot make a key"))?;
    let der = key.to_pkcs8v1().map_err(|_| anyhow!("cannot make a key"))?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.with_context(|| format!("cannot make {}", path.display()))?;
    Ok(file.write_all(pem.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?)
}
