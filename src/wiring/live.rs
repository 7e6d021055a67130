//! The live settings of a fleet: who follows them how, and what a sender keeps of them on its host.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use skein_backends::zookeeper::{LiveWatch, ZooKeeperLive};
use skein_config::{Config, Files, Live};

use crate::exit::Failure;

/// The live settings that a sender went by last, for its next start: without ZooKeeper, or before it answers.
#[derive(Debug, Clone)]
pub struct Notebook {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u64,
    settings: std::collections::BTreeMap<String, String>,
}

impl Notebook {
    /// A sender's, if it has a folder of its own.
    pub fn of(config: &Config) -> Option<Self> {
        let folder = config.sender.state_folder.as_ref()?;
        Some(Self { path: folder.join(format!("{}.live.json", super::sender::member(config))) })
    }

    /// What is kept, if it can be read.
    pub fn read(&self) -> Option<Live> {
        let kept: Kept = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        Some(Live { version: kept.version, settings: kept.settings, files: Files::Pools })
    }

    /// Keeps these in place of what was kept.
    pub fn keep(&self, live: &Live) {
        if let Err(error) = self.write(live) {
            tracing::warn!(%error, "the live settings are not kept on this host: a start without ZooKeeper goes by the files alone");
        }
    }

    fn write(&self, live: &Live) -> io::Result<()> {
        let text = serde_json::to_vec(&Kept { version: live.version, settings: live.settings.clone() })?;
        let beside = self.path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, &self.path)
    }
}

/// Follows the live settings as a gateway, which has no place in the fleet of its own; `None` if its configuration names no
/// ZooKeeper. Must be called within a runtime.
pub fn as_gateway(config: &Config) -> Result<Option<LiveWatch>, Failure> {
    let Some(options) = super::zookeeper::options(config)? else { return Ok(None) };
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = format!("{host}-{}", config.http.listen.port());
    Ok(Some(ZooKeeperLive::connect(options).watch("gateway", &name)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        assert!(Notebook::of(&config).is_none());
        config.sender.state_folder = Some(folder.path().to_owned());
        let notebook = Notebook::of(&config).unwrap();
        assert_eq!(notebook.read(), None);
        let settings = BTreeMap::from([("log.level".to_owned(), "debug".to_owned())]);
        let live = Live { version: 7, settings, files: Files::Pools };
        notebook.keep(&live);
        assert_eq!(notebook.read(), Some(live));
        fs::write(&notebook.path, "{").unwrap();
        assert_eq!(notebook.read(), None, "what is torn is not gone by");
    }
}
