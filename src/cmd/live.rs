//! Changing the live settings of a fleet: checked, written, and waited for until every process goes by them or says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;
use skein_backends::zookeeper::{
    InForce, LIVE_HISTORY_MAX, LiveDocument, LiveVersion, ZooKeeperFleet, ZooKeeperLive,
};
use skein_config::{Config, Engine, Files, Live as Layer};
use skein_core::fleet::{Decision, Member};
use skein_core::seam::{CoordinatorError, FleetStore as _};
use tokio::time::Instant;

use super::config::live::changes;
use super::fleet::operator;
use super::load_with;
use crate::args::{Changing, Common};
use crate::exit::{Exit, Failure};
use crate::output::{Output, note};
use crate::wiring;
use crate::wiring::apns::checked_credential;

/// How often it is looked who has it in force.
const LOOK: Duration = Duration::from_millis(50);

/// How the names of settings begin that gateways alone go by.
const OF_GATEWAYS: &str = "gateway.";
/// The setting that names a file and is no credential's.
const API_KEYS: &str = "gateway.api_keys_file";
/// A gateway's role, as it says it.
const GATEWAY: &str = "gateway";

/// The live settings of a fleet, reached from a command.
pub struct Access {
    live: ZooKeeperLive,
    store: ZooKeeperFleet,
    servers: String,
}

/// Who goes by which version.
#[derive(Debug, Default)]
pub struct Fleet {
    /// What each process says.
    pub processes: Vec<InForce>,
    /// Senders and monitors that are there and say nothing, as those of an older version.
    pub silent: Vec<String>,
}

impl Access {
    /// Begins to connect. Must be called within a runtime.
    ///
    /// # Errors
    /// When the configuration names no fleet.
    pub fn begin(config: &Config) -> Result<Self, Failure> {
        let none = |why: &str| {
            Failure::Usage(format!(
                "{why}: there are no live settings; change the configuration file and send SIGHUP"
            ))
        };
        if config.engine != Engine::Cluster {
            return Err(none("engine is \"embedded\""));
        }
        let Some(options) = wiring::zookeeper::options(config)? else {
            return Err(none("coordinator.servers is not set"));
        };
        Ok(Self {
            servers: options.servers.join(", "),
            live: ZooKeeperLive::connect(options.clone()),
            store: ZooKeeperFleet::connect(options, operator()),
        })
    }

    /// The latest version.
    pub async fn latest(&self) -> Result<LiveVersion, Failure> {
        self.live.read().await.map_err(|error| self.failure(&error))
    }

    /// The versions that are kept, the newest first.
    pub async fn history(&self) -> Result<Vec<LiveVersion>, Failure> {
        self.live.history().await.map_err(|error| self.failure(&error))
    }

    /// What operators decided of queues and senders, the latest first.
    pub async fn decisions(&self) -> Result<Vec<Decision>, Failure> {
        self.store.decisions().await.map_err(|error| self.failure(&error))
    }

    /// One version, if it is kept and can be read.
    pub async fn version(&self, number: u64) -> Result<LiveDocument, Failure> {
        if number == 0 {
            return Ok(LiveDocument::default());
        }
        let kept = self.history().await?.into_iter().find(|version| version.version == number);
        let Some(kept) = kept else {
            let why = format!(
                "version {number} is not kept: the last {LIVE_HISTORY_MAX} are; see `skein config live history`"
            );
            return Err(Failure::Usage(why));
        };
        kept.document.map_err(|why| Failure::Failed(anyhow!("version {number} can't be read: {why}")))
    }

    /// Who goes by which version.
    pub async fn fleet(&self) -> Result<Fleet, Failure> {
        let (processes, view, monitors) =
            tokio::try_join!(self.live.in_force(), self.store.read(), self.store.monitors())
                .map_err(|error| self.failure(&error))?;
        let senders = view.members.iter().map(|member| format!("sender {}", member.id));
        let there: BTreeSet<String> =
            senders.chain(monitors.into_iter().map(|name| format!("monitor {name}"))).collect();
        let speaks = |name: &String| processes.iter().any(|process| named(process) == *name);
        let silent = there.iter().filter(|name| !speaks(name)).cloned().collect();
        Ok(Fleet { processes, silent })
    }

    /// What every sender says of itself.
    pub async fn members(&self) -> Result<Vec<Member>, Failure> {
        self.store.read().await.map(|view| view.members).map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &CoordinatorError) -> Failure {
        match error {
            CoordinatorError::Away(why) => Failure::Away(format!(
                "ZooKeeper does not answer at {} ({why}); every process goes on with what it has in force",
                self.servers
            )),
            CoordinatorError::Refused(why) => Failure::Usage(format!("ZooKeeper refuses: {why}")),
            CoordinatorError::Overtaken(why) => Failure::Failed(anyhow!("{why}; nothing is changed")),
        }
    }
}

fn named(process: &InForce) -> String {
    format!("{} {}", process.role, process.name)
}

impl Fleet {
    /// Whether somebody does not go by this version.
    pub fn has_trouble(&self, version: u64) -> bool {
        !self.silent.is_empty() || self.processes.iter().any(|process| process.version != version)
    }

    /// Whether everybody who says anything has decided about this version.
    fn has_decided(&self, version: u64) -> bool {
        let decided = |process: &InForce| {
            process.version >= version
                || process.refused.as_ref().is_some_and(|refused| refused.version >= version)
        };
        self.processes.iter().all(decided) && self.silent.is_empty()
    }

    /// What is to be said of these settings, if only gateways go by some of them and none is known to follow. One without a login at
    /// ZooKeeper leaves no trace there: whether there are such is not known.
    pub fn unheard<'a>(&self, settings: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let theirs: Vec<&str> = settings.into_iter().filter(|key| key.starts_with(OF_GATEWAYS)).collect();
        let follows = self.processes.iter().any(|process| process.role == GATEWAY);
        (!theirs.is_empty() && !follows).then(|| {
            format!(
                "no gateway says that it follows the live settings, so {} may be in force at none; whether one runs is not known: \
                 give each the login that `skein cluster init` makes for gateways (coordinator.username and its password) and restart \
                 it, or change its configuration file and send it SIGHUP",
                theirs.join(", ")
            )
        })
    }

    /// One line, and one for each process that does not go by this version.
    pub fn summary(&self, version: u64) -> (String, Vec<String>) {
        let total = self.processes.len() + self.silent.len();
        let there = self.processes.iter().filter(|process| process.version == version).count();
        let late = self.processes.iter().filter(|process| process.version != version).map(|process| {
            let (name, old) = (named(process), process.version);
            match &process.refused {
                Some(refused) if refused.version == version => {
                    format!("{name} refuses it and goes by version {old}: {}", refused.why)
                }
                _ => format!("{name} goes by version {old}"),
            }
        });
        let silent =
            self.silent.iter().map(|name| format!("{name} does not say; is it of an older version?"));
        (format!("version {version} is in force on {there} of {total}"), late.chain(silent).collect())
    }
}

/// The pool whose credential a setting is about: part of it, or what it must fit.
fn pool_of_credential(key: &str) -> Option<&str> {
    let (pool, setting) = key.strip_prefix("pools.")?.split_once('.')?;
    (setting == "topics" || setting.starts_with("credential.")).then_some(pool)
}

/// A change to be made.
pub struct Change<'a> {
    /// The command's.
    pub common: &'a Common,
    /// What it is made over.
    pub latest: &'a LiveVersion,
    /// What all live settings are then.
    pub next: BTreeMap<String, String>,
    /// By whom, why, and how.
    pub with: &'a Changing,
}

impl Change<'_> {
    /// Checks it, writes it and waits.
    ///
    /// # Errors
    /// When it is refused here: nothing is written.
    pub async fn make(self, access: &Access, output: Output) -> Result<Exit, Failure> {
        let Self { latest, next, with, .. } = &self;
        if let Some(expected) = with.expect.filter(|expected| *expected != latest.version) {
            let why =
                format!("version {expected} is not the latest, {} is; nothing is changed", latest.version);
            return Err(Failure::Failed(anyhow!(why)));
        }
        let before = latest.document.clone().unwrap_or_default().settings;
        let changes = changes(&before, next);
        if changes.is_empty() && latest.document.is_ok() {
            output.line("nothing changes", &json!({"version": latest.version, "changes": []}));
            return Ok(Exit::Done);
        }
        self.check(&changes.keys().collect())?;
        if with.dry_run {
            output.table(["setting", "before", "after"], &changes.rows(), &changes.values());
            return Ok(Exit::Done);
        }
        let document = LiveDocument {
            settings: next.clone(),
            author: with.author.clone().unwrap_or_else(operator),
            reason: with.reason.clone(),
            at: Some(wiring::now()),
        };
        let began = Instant::now();
        let version =
            access.live.write(latest.version, &document).await.map_err(|error| access.failure(&error))?;
        if with.wait.is_zero() {
            output
                .line(format!("version {version} is written; not waited for"), &json!({"version": version}));
            return Ok(Exit::Done);
        }
        let fleet = loop {
            let fleet = access.fleet().await?;
            if fleet.has_decided(version) || began.elapsed() >= with.wait {
                break fleet;
            }
            tokio::time::sleep(LOOK).await;
        };
        let seconds = began.elapsed().as_secs_f64();
        let (summary, mut troubles) = fleet.summary(version);
        let unheard = fleet.unheard(changes.keys());
        let is_done = !fleet.has_trouble(version) && unheard.is_none();
        troubles.extend(unheard);
        let text: Vec<String> = std::iter::once(format!("{summary} after {seconds:.2} s"))
            .chain(troubles.iter().map(|trouble| format!("! {trouble}")))
            .collect();
        output.line(
            text.join("\n"),
            &json!({
                "version": version, "summary": summary, "seconds": seconds, "troubles": troubles,
                "processes": fleet.processes, "silent": fleet.silent, "changes": changes.values(),
            }),
        );
        Ok(if is_done { Exit::Done } else { Exit::Failed })
    }

    /// The whole as a process would load it; and the files of what it changes, unless they are elsewhere.
    fn check(&self, changed: &BTreeSet<&str>) -> Result<(), Failure> {
        let load = |files| {
            let settings = self.next.clone();
            load_with(self.common, Some(Layer { version: self.latest.version + 1, settings, files }))
        };
        let here = || changed.iter().filter(|_| !self.with.files_elsewhere);
        let pools: BTreeSet<String> =
            here().filter_map(|key| pool_of_credential(key)).map(str::to_owned).collect();
        let mut files = Files::of_pools(pools.clone());
        if here().any(|key| *key == API_KEYS && self.next.contains_key(*key)) {
            files = files.and_front_door();
        }
        let loaded = load(files).inspect_err(|_| {
            if load(Files::NONE).is_ok() {
                note("where the files of what is changed are on other hosts alone, say --files-elsewhere: the processes there check them");
            }
        })?;
        let known = &loaded.config.pools;
        let mut named = self.next.keys().filter_map(|key| Layer::pool_of(key));
        if let Some(pool) = named.find(|pool| !known.contains_key(*pool)) {
            let known = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!(
                "there is no pool {pool:?} in the configuration; there are: {known}"
            )));
        }
        // One that is taken back may be of a pool that is there no more.
        let mut changed = pools.iter().filter_map(|pool| known.get_key_value(pool));
        changed.try_for_each(|(name, pool)| checked_credential(name, pool).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::begin::tests::{key, private};
    use crate::cmd::credential::tests::CONFIG;
    use crate::output::reason;

    /// Only what the change is about must be on the operator's host; what is not needs a word.
    #[test]
    fn a_change_looks_at_the_files_that_it_is_about() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let other = r#"
            [pools.other]
            environment = "sandbox"
            topics = ["com.example.other"]
            credential = { kind = "certificate", file = "not-here.p12", password_file = "not-here.password" }
        "#;
        std::fs::write(at("skein.toml"), [CONFIG, other].concat()).unwrap();
        let common = Common { files: vec![at("skein.toml")], settings: Vec::new(), json: false };
        let latest = LiveVersion { version: 3, document: Ok(LiveDocument::default()) };
        let check = |setting: (&str, &str), files_elsewhere| {
            let with = Changing {
                reason: "a test".to_owned(),
                author: None,
                expect: None,
                dry_run: false,
                files_elsewhere,
                wait: Duration::ZERO,
            };
            let (setting, value) = (setting.0.to_owned(), setting.1.to_owned());
            let next = [(setting.clone(), value)].into();
            let change = Change { common: &common, latest: &latest, next, with: &with };
            change.check(&[setting.as_str()].into()).map_err(|failure| reason(&failure))
        };
        let topics = ("pools.im.topics", "com.example.im,com.example.im.voip");
        let key_id = ("pools.im.credential.key_id", "IMKEY00002");
        let keys = at("gateway-keys").display().to_string();
        let keys = (API_KEYS, keys.as_str());
        assert_eq!(check(("log.level", "debug"), false), Ok(()));
        for setting in [topics, key_id, keys] {
            let why = check(setting, false).unwrap_err();
            assert!(["im.p8", "gateway-keys"].iter().any(|file| why.contains(file)), "{setting:?}: {why}");
            assert_eq!(check(setting, true), Ok(()), "{setting:?}");
        }
        private(&at("im.p8"), "no key");
        let why = check(topics, false).unwrap_err();
        assert!(why.contains("pools.im"), "{why}");
        private(&at("im.p8"), &key());
        assert_eq!((check(topics, false), check(key_id, false)), (Ok(()), Ok(())));
        let why = check(("pools.nobody.topics", "com.example.im"), true).unwrap_err();
        assert!(why.contains("there is no pool"), "{why}");
    }
}
