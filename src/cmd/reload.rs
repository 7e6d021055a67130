//! What a process takes up while it runs: its configuration read again at SIGHUP, and the live settings of its fleet.
//!
//! One way for both: the whole is loaded and checked, then applied; what can't be used changes nothing, and is told.

use std::time::Duration;

use skein_backends::zookeeper::{LiveVersion, LiveWatch, Refused};
use skein_config::{Config, Files, Live, Origin};

use super::load_with;
use crate::args::Common;
use crate::exit::Failure;
use crate::signals::Signals;
use crate::wiring::live::Notebook;
use crate::wiring::trials::{GivenBack, Trials};

/// How soon what could not be tried, since a service was away, is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a configuration is not taken up.
#[derive(Debug)]
pub struct Refusal {
    /// In words.
    pub why: String,
    /// It may be taken up when a service answers again.
    pub again: bool,
}

impl Refusal {
    /// Nothing but another configuration helps.
    pub fn of(failure: &Failure) -> Self {
        Self { why: told(failure), again: false }
    }
}

/// Why the configuration is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// SIGHUP: what its files hold may have changed, too.
    Signal,
    /// The live settings changed.
    Live,
}

/// The configuration that a process goes by, and what may change it.
pub struct Reload<'a> {
    common: &'a Common,
    signals: Signals,
    live: Option<LiveWatch>,
    notebook: Option<Notebook>,
    /// Which files this process reads.
    files: Files,
    /// The live settings in force.
    in_force: Live,
    config: Config,
    /// Credentials of it that APNs has yet to take.
    trials: Trials,
    /// What is gone by, with the credentials of before in place of these: each is gone back to when it is given back.
    proven: (Live, Config),
    /// The version that was taken up last.
    taken_up: Option<LiveVersion>,
    /// The version that is not in force, with why, if there is one.
    refused: Option<(LiveVersion, Refusal)>,
}

impl<'a> Reload<'a> {
    /// For a process that began with this configuration and reads these files.
    pub fn new(common: &'a Common, config: &Config, signals: &Signals, files: Files) -> Self {
        Self {
            common,
            signals: signals.clone(),
            live: None,
            notebook: None,
            in_force: Live::nothing(files.clone()),
            config: config.clone(),
            trials: Trials::default(),
            proven: (Live::nothing(files.clone()), config.clone()),
            files,
            taken_up: None,
            refused: None,
        }
    }

    /// Follows the live settings of its fleet, too.
    pub fn follow(self, live: LiveWatch) -> Self {
        Self { live: Some(live), ..self }
    }

    /// It keeps them for its next life, and has begun with those of its last one, if it had kept any.
    pub fn keep(self, notebook: Option<Notebook>, begun: Option<Live>) -> Self {
        let in_force = begun.unwrap_or(self.in_force);
        Self { notebook, proven: (in_force.clone(), self.proven.1), in_force, ..self }
    }

    /// It uses credentials, and what is ordered is known to be good when APNs has taken it.
    pub fn on_trial(self, trials: Trials) -> Self {
        Self { trials, ..self }
    }

    /// Takes up what comes, as long as it is polled. `apply` changes the process from one configuration to another, or changes
    /// nothing and says why; it is not cancelled by what comes meanwhile.
    pub async fn run(mut self, apply: impl AsyncFn(&Config, &Config, Cause) -> Result<(), Refusal>) {
        loop {
            let again = self.refused.as_ref().is_some_and(|(_, refusal)| refusal.again);
            let version = tokio::select! {
                () = self.signals.reload() => None,
                version = changed(self.live.as_mut()) => Some(version),
                () = tokio::time::sleep(AGAIN), if again => self.refused.take().map(|(version, _)| version),
                ended = self.trials.ended(), if self.trials.is_open() => {
                    self.judged(ended);
                    continue;
                }
            };
            match version {
                Some(version) => self.take_up(version, &apply).await,
                None => {
                    self.read_again(&apply).await;
                    // What is missing may be there now.
                    if let Some((version, _)) = self.refused.take() {
                        self.take_up(version, &apply).await;
                    }
                }
            }
        }
    }

    async fn read_again(&mut self, apply: &impl AsyncFn(&Config, &Config, Cause) -> Result<(), Refusal>) {
        let loaded = match load_with(self.common, Some(self.in_force.clone())) {
            Ok(loaded) => loaded,
            Err(failure) => {
                let label = failure.label();
                tracing::error!(
                    label,
                    "the configuration has faults: all stays as it is; run `skein config check`"
                );
                return;
            }
        };
        match apply(&self.config, &loaded.config, Cause::Signal).await {
            Ok(()) => {
                tracing::info!("the configuration is read again");
                self.config = loaded.config;
                self.settle();
            }
            Err(Refusal { why, .. }) => {
                tracing::error!(why, "the configuration is not taken up: all stays as it is")
            }
        }
    }

    async fn take_up(
        &mut self,
        version: LiveVersion,
        apply: &impl AsyncFn(&Config, &Config, Cause) -> Result<(), Refusal>,
    ) {
        let (number, before) = (version.version, self.in_force.version);
        match self.tried(&version, apply).await {
            Ok(settings) => {
                if number != before {
                    tracing::info!(version = number, settings, "the live settings are in force");
                }
                self.in_force.version = number;
                self.settle();
                self.refused = None;
                self.taken_up = Some(version);
            }
            Err(refusal) => {
                let why = &refusal.why;
                tracing::error!(version = number, why, "the live settings are refused: all stays as it is");
                self.refused = Some((version, refusal));
            }
        }
        self.say();
    }

    /// What is gone by is known to be good, but for the credentials on trial: the next life begins with it, and theirs of before.
    fn settle(&mut self) {
        let on_trial = self.trials.pools();
        let mut proven = (self.in_force.clone(), self.config.clone());
        for pool in &on_trial {
            put_back((&mut proven.0, &mut proven.1), &self.proven, pool);
        }
        if !on_trial.is_empty() {
            proven.0.version = self.proven.0.version;
        }
        self.proven = proven;
        if let Some(notebook) = &self.notebook {
            notebook.keep(&self.proven.0, (!on_trial.is_empty()).then_some(&self.in_force));
        }
    }

    /// The trials have ended, or one of them by a refusal: then that pool's credential is the one of before, and all else as it was told
    /// since (P5).
    fn judged(&mut self, ended: Result<(), GivenBack>) {
        let Err(GivenBack { pool, why }) = ended else { return self.settle() };
        let told = self.in_force.settings.clone();
        // Its keeper has it in place.
        put_back((&mut self.in_force, &mut self.config), &self.proven, &pool);
        if self.in_force.settings == told {
            tracing::error!(pool, why, "its new credential is not taken up: the one of before is in use");
        } else {
            self.in_force.version = self.proven.0.version;
            let why = format!(
                "pool {pool}: {why}; its credential of before is in use, and all else of this version"
            );
            tracing::error!(why, "the live settings are refused");
            let refusal = Refusal { why, again: false };
            self.refused = self.refused.take().or(self.taken_up.take().map(|version| (version, refusal)));
        }
        self.settle();
        self.say();
    }

    fn say(&self) {
        let refused = self.refused.as_ref();
        let refused = refused.map(|(of, refusal)| Refused { version: of.version, why: refusal.why.clone() });
        if let Some(live) = &self.live {
            live.say(self.in_force.version, refused);
        }
    }

    /// Gives how many settings there are.
    async fn tried(
        &mut self,
        version: &LiveVersion,
        apply: &impl AsyncFn(&Config, &Config, Cause) -> Result<(), Refusal>,
    ) -> Result<usize, Refusal> {
        let never = |why| Refusal { why, again: false };
        let document = version.document.clone().map_err(never)?;
        let live = Live { version: version.version, settings: document.settings, files: self.files.clone() };
        let settings = live.settings.len();
        if live.settings == self.in_force.settings {
            return Ok(settings);
        }
        let loaded = load_with(self.common, Some(live.clone())).map_err(|failure| never(told(&failure)))?;
        apply(&self.config, &loaded.config, Cause::Live).await?;
        self.config = loaded.config;
        self.in_force = live;
        Ok(settings)
    }
}

/// A pool's credential, and what it is for, as they were before.
fn put_back((live, config): (&mut Live, &mut Config), before: &(Live, Config), pool: &str) {
    live.settings.retain(|key, _| !is_of_credential(key, pool));
    let theirs = before.0.settings.iter().filter(|(key, _)| is_of_credential(key, pool));
    live.settings.extend(theirs.map(|(key, text)| (key.clone(), text.clone())));
    if let (Some(now), Some(before)) = (config.pools.get_mut(pool), before.1.pools.get(pool)) {
        now.credential.clone_from(&before.credential);
        now.environment = before.environment;
        now.topics.clone_from(&before.topics);
    }
}

/// Whether a setting says which credential a pool has, or what it is for.
fn is_of_credential(key: &str, pool: &str) -> bool {
    let of_pool = key.strip_prefix("pools.").and_then(|rest| rest.strip_prefix(pool)?.strip_prefix('.'));
    let name = of_pool.and_then(|name| name.split('.').next());
    matches!(name, Some("credential" | "environment" | "topics"))
}

async fn changed(live: Option<&mut LiveWatch>) -> LiveVersion {
    match live {
        Some(live) => live.changed().await,
        None => std::future::pending().await,
    }
}

/// The faults of the live settings; those of the files are this host's own matter, and may quote what no other should read.
fn told(failure: &Failure) -> String {
    let elsewhere =
        || "the configuration of this process has faults; run `skein config check` there".to_owned();
    let Failure::Config(faults) = failure else { return elsewhere() };
    let of_live = faults.0.iter().filter(|fault| matches!(fault.origin, Some(Origin::Live { .. })));
    let said: Vec<String> = of_live.map(|fault| format!("{} {}", fault.key, fault.what)).collect();
    if said.is_empty() { elsewhere() } else { said.join("; ") }
}

#[cfg(test)]
mod tests;
