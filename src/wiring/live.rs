//! The live settings of a fleet: who follows them how, and what a sender keeps of them on its host.

use std::collections::BTreeMap;
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
    #[serde(flatten)]
    proven: Settings,
    /// What it went by instead, while a credential of it was on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_trial: Option<Settings>,
}

#[derive(Serialize, Deserialize)]
struct Settings {
    version: u64,
    settings: BTreeMap<String, String>,
}

impl Notebook {
    /// A sender's, if it has a folder of its own.
    pub fn of(config: &Config) -> Option<Self> {
        let folder = config.sender.state_folder.as_ref()?;
        Some(Self { path: folder.join(format!("{}.live.json", super::sender::member(config))) })
    }

    /// What is kept and can be read, the best first: no credential of it was on trial.
    pub fn read(&self) -> Vec<Live> {
        let kept = fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let Some(Kept { proven, on_trial }) = kept else { return Vec::new() };
        std::iter::once(proven).chain(on_trial).map(Settings::live).collect()
    }

    /// Keeps these in place of what was kept: those of which no credential is on trial, and those it goes by, if that is others.
    pub fn keep(&self, proven: &Live, on_trial: Option<&Live>) {
        if self.read().iter().eq(std::iter::once(proven).chain(on_trial)) {
            return;
        }
        let kept = Kept { proven: Settings::of(proven), on_trial: on_trial.map(Settings::of) };
        if let Err(error) = self.write(&kept) {
            tracing::warn!(%error, "the live settings are not kept on this host: a start without ZooKeeper goes by the files alone");
        }
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let text = serde_json::to_vec(kept)?;
        let beside = self.path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, &self.path)
    }
}

impl Settings {
    fn of(live: &Live) -> Self {
        Self { version: live.version, settings: live.settings.clone() }
    }

    fn live(self) -> Live {
        Live { version: self.version, settings: self.settings, files: Files::SENDER }
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
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        assert!(Notebook::of(&config).is_none());
        config.sender.state_folder = Some(folder.path().to_owned());
        let notebook = Notebook::of(&config).unwrap();
        assert_eq!(notebook.read(), []);
        let live = |version, level: &str| {
            let settings = BTreeMap::from([("log.level".to_owned(), level.to_owned())]);
            Live { version, settings, files: Files::SENDER }
        };
        let (proven, on_trial) = (live(7, "debug"), live(8, "warn"));
        notebook.keep(&proven, Some(&on_trial));
        assert_eq!(notebook.read(), [proven.clone(), on_trial]);
        notebook.keep(&proven, None);
        assert_eq!(notebook.read(), [proven]);
        fs::write(&notebook.path, r#"{"version":6,"settings":{"log.level":"info"}}"#).unwrap();
        assert_eq!(notebook.read(), [live(6, "info")], "as an earlier version wrote it");
        fs::write(&notebook.path, "{").unwrap();
        assert_eq!(notebook.read(), [], "what is torn is not gone by");
    }
}
