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
    /// What was gone by last without any of these: that is gone back to when one is given back.
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
            files,
            in_force: Live::nothing(files),
            config: config.clone(),
            trials: Trials::default(),
            proven: (Live::nothing(files), config.clone()),
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
                    self.judged(ended, &apply).await;
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

    /// What is gone by is known to be good, as soon as no credential of it is on trial; the next life begins with what is.
    fn settle(&mut self) {
        let on_trial = self.trials.is_open();
        if !on_trial {
            self.proven = (self.in_force.clone(), self.config.clone());
        }
        if let Some(notebook) = &self.notebook {
            notebook.keep(&self.proven.0, on_trial.then_some(&self.in_force));
        }
    }

    /// The trials have ended, or one of them by a refusal: then all is again as it was before them.
    async fn judged(
        &mut self,
        ended: Result<(), GivenBack>,
        apply: &impl AsyncFn(&Config, &Config, Cause) -> Result<(), Refusal>,
    ) {
        let Err(GivenBack { pool, why }) = ended else { return self.settle() };
        let (live, config) = self.proven.clone();
        // Its keeper has the old one in place.
        if let Some(before) = config.pools.get(&pool) {
            self.config.pools.insert(pool.clone(), before.clone());
        }
        let why = format!("pool {pool}: {why}");
        match apply(&self.config, &config, Cause::Live).await {
            Ok(()) => self.config = config,
            Err(Refusal { why, .. }) => {
                tracing::error!(why, "not all is as it was before the credential that was given back");
            }
        }
        if live.settings == self.in_force.settings {
            tracing::error!(why, "the configuration is not taken up: all is as it was before");
        } else {
            let version = live.version;
            tracing::error!(
                version,
                why,
                "the live settings are refused: all is as it was with this version"
            );
            let refusal = Refusal { why, again: false };
            self.refused = self.refused.take().or(self.taken_up.take().map(|version| (version, refusal)));
            self.in_force = live;
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
        let live = Live { version: version.version, settings: document.settings, files: self.files };
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
