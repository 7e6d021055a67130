//! The embedded engine: one SQLite file, with a key of its own beside it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use skein_backends::sqlite::{Embedded, EmbeddedOptions, OpenError, Synchronous};
use skein_backends::token_cipher::TokenCipher;
use skein_config::Config;
use skein_core::FingerprintKey;

use super::sender::pools;
use crate::exit::Failure;

/// The open engine and the key of its fingerprints.
pub struct Engine {
    /// The engine.
    pub embedded: Embedded,
    /// The key of all fingerprints.
    pub fingerprint_key: FingerprintKey,
}

/// Opens the file of the configuration, and makes it and its key where there is none.
pub async fn open(config: &Config) -> Result<Engine, Failure> {
    // The file holds tokens and payloads that wait: it and what belongs to it are for their owner alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let settings = &config.embedded;
    if let Some(folder) = settings.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let own = own_key(&settings.path)?;
    let fingerprint = config.ledger.fingerprint_key.as_ref().map_or(own, |key| *key.expose());
    let parking = config.ledger.parking_key.as_ref().map_or(own, |key| *key.expose());
    let options = EmbeddedOptions {
        queue_bytes_max: settings.queue_bytes_max.bytes(),
        disk_free_min: settings.disk_free_min.bytes(),
        batch_rows_max: settings.batch_rows_max,
        synchronous: match settings.synchronous {
            skein_config::Synchronous::Full => Synchronous::Full,
            skein_config::Synchronous::Extra => Synchronous::Extra,
        },
        ..EmbeddedOptions::new(&settings.path, pools(config)?)
    };
    let embedded = Embedded::open(options, TokenCipher::new(parking)).await.map_err(|error| match error {
        OpenError::Database { .. } => Failure::Failed(anyhow!(error)),
        other => Failure::Usage(other.to_string()),
    })?;
    Ok(Engine { embedded, fingerprint_key: FingerprintKey::new(fingerprint) })
}

/// The key in `<file>.key`: 32 bytes as hexadecimal text, for its owner alone; made at the first start. Whoever loses it can no
/// longer find what the ledger holds by token or user.
fn own_key(database: &Path) -> Result<[u8; 32], Failure> {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    let path = PathBuf::from(path);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => make_key(&path)?,
        Err(error) => return Err(Failure::Usage(format!("cannot read {}: {error}", path.display()))),
    };
    let bytes: Option<Vec<u8>> = (0..64)
        .step_by(2)
        .map(|i| text.trim().get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Failure::Usage(format!(
            "{} holds no key of 64 hexadecimal digits; restore it from a backup",
            path.display()
        ))
    })
}

fn make_key(path: &Path) -> Result<String, Failure> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}
