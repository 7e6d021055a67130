//! From the configuration to the keepers of the pools' credentials: one a pool, each harming only its own (P5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use skein_apns::CredentialError;
use skein_config::{Config, Pool};
use skein_core::PoolName;
use skein_sender::credential::events::Cause;
use skein_sender::credential::keeper::{Handle, Keeper, Outcome, Setup, Source};
use skein_sender::credential::slot::Slot;
use skein_sender::credential::view::CredentialView;
use skein_sender::metrics::Metrics;

use super::trials::Trials;
use super::{apns, named};
use crate::cmd::reload::{self, Refusal};
use crate::exit::Failure;

/// Longest wait for a push with a new credential, and for APNs' word on it; without traffic there is none.
const TRIAL_LIMIT: Duration = Duration::from_secs(2);

/// The keepers of a process.
#[derive(Clone)]
pub struct Credentials {
    keepers: Arc<BTreeMap<PoolName, Handle>>,
    trials: Trials,
}

impl Credentials {
    /// Reads every pool's credential and starts to keep it. Needs a runtime.
    ///
    /// One that only time has made unusable leaves its pool waiting: a restart must not stop the others for it. Any other
    /// fault is the operator's, who is there at a start, and nothing begins.
    pub fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, Failure> {
        let mut keepers = BTreeMap::new();
        check(config)?;
        for (name, pool) in &config.pools {
            let setup = Setup {
                pool: named(name)?,
                client: apns::client_config(config, name, pool)?,
                source: source(pool),
                look: config.sender.credential_look,
            };
            keepers.insert(named(name)?, Keeper::start(setup, Arc::clone(metrics)));
        }
        Ok(Self { keepers: Arc::new(keepers), trials: Trials::default() })
    }

    /// Where a pool's transports find its credential.
    pub fn slot(&self, pool: &PoolName) -> Option<Arc<Slot>> {
        self.keepers.get(pool).map(Handle::slot)
    }

    /// What the configuration has ordered and APNs has yet to take.
    pub fn trials(&self) -> Trials {
        self.trials.clone()
    }

    /// Each pool's credential as it is now.
    pub fn views(&self) -> BTreeMap<String, CredentialView> {
        self.keepers.iter().map(|(pool, keeper)| (pool.to_string(), keeper.view())).collect()
    }

    /// What keeps pools from sending, in words.
    pub fn trouble(&self) -> Option<String> {
        self.said(CredentialView::stops)
    }

    /// What is worth knowing although it stops nothing, in words.
    pub fn note(&self) -> Option<String> {
        self.said(CredentialView::note)
    }

    /// Whether a pool has no credential to send with.
    pub fn is_missing(&self, pool: &str) -> bool {
        let keeper = self.keepers.iter().find(|(name, _)| name.as_str() == pool);
        keeper.is_some_and(|(_, keeper)| keeper.view().state == "none")
    }

    fn said(&self, of: impl Fn(&CredentialView) -> Option<String>) -> Option<String> {
        let said: Vec<String> =
            self.views().iter().filter_map(|(pool, view)| Some(format!("{pool}: {}", of(view)?))).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Looks for a new credential of a pool now; `None` if there is no such pool.
    pub async fn rotate(&self, pool: &str) -> Option<Outcome> {
        let (_, keeper) = self.keepers.iter().find(|(name, _)| name.as_str() == pool)?;
        Some(keeper.rotate(Cause::Command, None).await)
    }

    /// The configuration changed: each pool's credential as it says now, or all as they were. Pools that it adds or leaves out
    /// need a restart.
    ///
    /// # Errors
    /// When a credential that it names is refused, or can't be tried now: the others are put back. At a signal, what the same
    /// names hold now is taken up as well; that harms its own pool alone. A refusal that comes later is told by
    /// [`Self::trials`].
    pub async fn reconfigure(&self, old: &Config, new: &Config, cause: reload::Cause) -> Result<(), Refusal> {
        let mut changed = Vec::new();
        for (name, keeper) in self.keepers.iter() {
            let (before, now) = (old.pools.get(name.as_str()), new.pools.get(name.as_str()));
            let Some(now) = now else { continue };
            if before.is_some_and(|before| is_same(before, now)) {
                if cause == reload::Cause::Signal {
                    keeper.rotate(Cause::Configuration, Some(source(now))).await;
                }
                continue;
            }
            let refusal = match keeper.rotate(Cause::Configuration, Some(source(now))).await {
                Outcome::Rotated(judgement) => {
                    let judged = tokio::time::timeout(TRIAL_LIMIT, judgement.ended()).await;
                    match &judged {
                        Ok(Ok(())) => self.trials.end(name.as_str()),
                        Ok(Err(_)) => {}
                        Err(_) => self.trials.put(name.as_str(), judgement),
                    }
                    judged.ok().and_then(Result::err).map(|why| (why, false))
                }
                Outcome::Unchanged => {
                    if keeper.view().state != "on_trial" {
                        self.trials.end(name.as_str());
                    }
                    None
                }
                Outcome::Refused(why) => Some((why, false)),
                Outcome::Away(why) => Some((why, true)),
            };
            let Some((why, again)) = refusal else {
                changed.push((name, keeper, before));
                continue;
            };
            // Its keeper has the old one back in place; if it was not even tried, it must not go on trying.
            changed.extend(again.then_some((name, keeper, before)));
            for (name, keeper, before) in changed {
                let Some(before) = before else { continue };
                let back = keeper.rotate(Cause::Configuration, Some(source(before))).await;
                if let Outcome::Rotated(judgement) = back {
                    self.trials.put(name.as_str(), judgement);
                }
            }
            return Err(Refusal { why: format!("pool {name}: {why}"), again });
        }
        if !new.pools.keys().map(String::as_str).eq(self.keepers.keys().map(PoolName::as_str)) {
            tracing::warn!("the configuration has other pools than this process; restart it to take them up");
        }
        Ok(())
    }
}

/// Whether both mean the same credential for the same use.
fn is_same(a: &Pool, b: &Pool) -> bool {
    (&a.credential, a.environment, &a.topics) == (&b.credential, b.environment, &b.topics)
}

/// That a process can start with each pool's credential: that one has run out is no hindrance.
///
/// # Errors
/// The first fault.
pub fn check(config: &Config) -> Result<(), Failure> {
    for (name, pool) in &config.pools {
        let usage = |error: anyhow::Error| Failure::Usage(format!("pools.{name}: {error:#}"));
        let credential = apns::credential(&pool.credential).map_err(usage)?;
        match apns::check(&credential, pool) {
            Ok(()) | Err(CredentialError::NotValidNow { .. }) => {}
            Err(error) => return Err(usage(error.into())),
        }
    }
    Ok(())
}

/// Where a pool's credential is read from, and what it must fit.
fn source(pool: &Pool) -> Source {
    let pool = pool.clone();
    let files = pool.credential.files();
    let load = move || {
        let credential = apns::credential(&pool.credential).map_err(|error| format!("{error:#}"))?;
        apns::check(&credential, &pool).map_err(|error| error.to_string())?;
        Ok(credential)
    };
    Source { files, load: Box::new(load) }
}

/// The metrics of a sending process.
pub fn metrics(registry: &prometheus::Registry, config: &Config) -> Result<Arc<Metrics>, Failure> {
    let metrics = Metrics::new(registry.clone()).context("the metrics cannot be registered")?;
    metrics.name_apps(config.sender.apps.as_deref().unwrap_or_default());
    Ok(Arc::new(metrics))
}
