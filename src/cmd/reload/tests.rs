//! Live settings with a credential on trial, and a refusal of APNs that comes when everybody goes by them already.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use skein_backends::zookeeper::LiveDocument;
use skein_config::LogLevel;
use skein_sender::credential::judgement::Judge;

use super::*;

/// A sender's configuration with a key's file of each of these names.
fn site(folder: &Path, keys: &[&str]) -> Common {
    for key in keys {
        let path = folder.join(key);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let file = folder.join("skein.toml");
    let text = format!(
        "[sender]\nstate_folder = \"{}\"\n[pools.im]\nenvironment = \"sandbox\"\ntopics = [\"com.example.im\"]\n[pools.im.credential]\n\
         kind = \"token\"\nkey_file = \"old.p8\"\nkey_id = \"OLDKEY0001\"\nteam_id = \"TEAM567890\"\n",
        folder.display()
    );
    fs::write(&file, text).unwrap();
    Common { files: vec![file], settings: Vec::new(), json: false }
}

fn version(version: u64, settings: &[(&str, &str)]) -> LiveVersion {
    let settings = settings.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect();
    LiveVersion { version, document: Ok(LiveDocument { settings, ..LiveDocument::default() }) }
}

/// What a process does with a configuration: a pool whose credential changes is on trial.
struct Process {
    trials: Trials,
    judges: RefCell<Vec<Judge>>,
    applied: RefCell<Vec<(String, LogLevel)>>,
}

impl Process {
    fn new() -> Self {
        Self { trials: Trials::default(), judges: RefCell::default(), applied: RefCell::default() }
    }

    fn apply(&self, old: &Config, new: &Config) {
        let named = |config: &Config| format!("{:?}", config.pools["im"].credential.files());
        if named(old) != named(new) {
            let judge = Judge::begin();
            self.trials.put("im", judge.judgement());
            self.judges.borrow_mut().push(judge);
        }
        self.applied.borrow_mut().push((named(new), new.log.level));
    }

    fn judge(&self) -> Judge {
        self.judges.borrow_mut().pop().unwrap()
    }
}

struct Stage {
    process: Process,
    notebook: Notebook,
    folder: tempfile::TempDir,
    common: &'static Common,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let common = &*Box::leak(Box::new(site(folder.path(), &["old.p8", "new.p8"])));
        let config = load_with(common, None).unwrap().config;
        Self { process: Process::new(), notebook: Notebook::of(&config).unwrap(), folder, common }
    }

    fn reload(&self) -> Reload<'static> {
        let config = load_with(self.common, None).unwrap().config;
        let signals = Signals::listen().unwrap();
        let reload = Reload::new(self.common, &config, &signals, Files::SENDER);
        reload.keep(Some(self.notebook.clone()), None).on_trial(self.process.trials.clone())
    }

    fn key(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn kept(&self) -> Vec<u64> {
        self.notebook.read().iter().map(|live| live.version).collect()
    }
}

async fn take_up(reload: &mut Reload<'_>, stage: &Stage, version: LiveVersion) {
    let apply = async |old: &Config, new: &Config, _| {
        stage.process.apply(old, new);
        Ok(())
    };
    reload.take_up(version, &apply).await;
}

async fn judged(reload: &mut Reload<'_>) {
    let ended = reload.trials.ended().await;
    reload.judged(ended);
}

#[tokio::test]
async fn what_is_kept_for_the_next_life_waits_until_it_is_taken() {
    let stage = Stage::new();
    let (mut reload, new) = (stage.reload(), stage.key("new.p8"));
    take_up(&mut reload, &stage, version(1, &[("log.level", "debug")])).await;
    assert_eq!(stage.kept(), [1]);
    let two = [("log.level", "warn"), ("pools.im.credential.key_file", new.as_str())];
    take_up(&mut reload, &stage, version(2, &two)).await;
    assert_eq!(
        (reload.in_force.version, stage.kept()),
        (2, vec![1, 2]),
        "the second only where the first is of no use"
    );
    stage.process.judge().taken();
    judged(&mut reload).await;
    assert_eq!((reload.in_force.version, stage.kept()), (2, vec![2]));
    assert!(reload.refused.is_none());
}

#[tokio::test]
async fn a_refusal_that_comes_late_is_told_and_the_credential_is_as_before() {
    let stage = Stage::new();
    let (mut reload, new) = (stage.reload(), stage.key("new.p8"));
    take_up(&mut reload, &stage, version(1, &[("log.level", "debug")])).await;
    let two = [("log.level", "warn"), ("pools.im.credential.key_file", new.as_str())];
    take_up(&mut reload, &stage, version(2, &two)).await;
    stage.process.judge().given_back("InvalidProviderToken".to_owned());
    judged(&mut reload).await;
    assert_eq!((reload.in_force.version, stage.kept()), (1, vec![1]));
    let (of, refusal) = reload.refused.as_ref().unwrap();
    assert!(of.version == 2 && refusal.why.starts_with("pool im: InvalidProviderToken"), "{refusal:?}");
    let files = format!("{:?}", reload.config.pools["im"].credential.files());
    assert!(files.contains("old.p8") && reload.config.log.level == LogLevel::Warn, "{files}");
    assert!(stage.process.judges.borrow().is_empty(), "its keeper has the old one already");
    // Asked for again, it is tried again.
    let again = reload.refused.take().unwrap().0;
    take_up(&mut reload, &stage, again).await;
    assert_eq!((reload.in_force.version, stage.kept()), (2, vec![1, 2]));
}

/// P5: an idle pool's late refusal is nobody else's.
#[tokio::test]
async fn what_was_set_meanwhile_stays_and_is_kept() {
    let stage = Stage::new();
    let (mut reload, new) = (stage.reload(), stage.key("new.p8"));
    let key = ("pools.im.credential.key_file", new.as_str());
    take_up(&mut reload, &stage, version(1, &[key])).await;
    take_up(&mut reload, &stage, version(2, &[key, ("log.level", "warn")])).await;
    assert_eq!(stage.kept(), [0, 2]);
    let level = |live: &Live| live.settings.get("log.level").cloned();
    assert_eq!(level(&stage.notebook.read()[0]).as_deref(), Some("warn"), "the next life begins with it");
    stage.process.judge().given_back("InvalidProviderToken".to_owned());
    judged(&mut reload).await;
    assert_eq!((reload.in_force.version, stage.kept()), (0, vec![0]));
    assert_eq!((level(&reload.in_force).as_deref(), reload.in_force.settings.len()), (Some("warn"), 1));
    assert_eq!(reload.config.log.level, LogLevel::Warn);
    assert_eq!(reload.refused.as_ref().unwrap().0.version, 2);
}

#[test]
fn a_pools_credential_and_what_it_is_for_are_one() {
    for (key, is) in [
        ("pools.im.credential.key_file", true),
        ("pools.im.topics", true),
        ("pools.im.environment", true),
        ("pools.im.connections_max", false),
        ("pools.im2.credential.key_file", false),
        ("log.level", false),
    ] {
        assert_eq!(is_of_credential(key, "im"), is, "{key}");
    }
}
