//! From the configuration to the keepers of the pools' credentials: one a pool, each harming only its own (P5).

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use skein_apns::CredentialError;
use skein_config::{Config, Pool};
use skein_core::PoolName;
use skein_sender::credential::events::Cause;
use skein_sender::credential::keeper::{Handle, Keeper, Outcome, Setup, Source};
use skein_sender::credential::slot::Slot;
use skein_sender::credential::view::CredentialView;
use skein_sender::metrics::Metrics;

use super::{apns, named};
use crate::exit::Failure;

/// The keepers of a process.
#[derive(Clone)]
pub struct Credentials(Arc<BTreeMap<PoolName, Handle>>);

impl Credentials {
    /// Reads every pool's credential and starts to keep it. Needs a runtime.
    ///
    /// One that only time has made unusable leaves its pool waiting: a restart must not stop the others for it. Any other
    /// fault is the operator's, who is there at a start, and nothing begins.
    pub fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, Failure> {
        let mut keepers = BTreeMap::new();
        for (name, pool) in &config.pools {
            check(name, pool)?;
        }
        for (name, pool) in &config.pools {
            let setup = Setup {
                pool: named(name)?,
                client: apns::client_config(config, name, pool)?,
                source: source(pool),
                look: config.sender.credential_look,
            };
            keepers.insert(named(name)?, Keeper::start(setup, Arc::clone(metrics)));
        }
        Ok(Self(Arc::new(keepers)))
    }

    /// Where a pool's transports find its credential.
    pub fn slot(&self, pool: &PoolName) -> Option<Arc<Slot>> {
        self.0.get(pool).map(Handle::slot)
    }

    /// Each pool's credential as it is now.
    pub fn views(&self) -> BTreeMap<String, CredentialView> {
        self.0.iter().map(|(pool, keeper)| (pool.to_string(), keeper.view())).collect()
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
        let keeper = self.0.iter().find(|(name, _)| name.as_str() == pool);
        keeper.is_some_and(|(_, keeper)| keeper.view().state == "none")
    }

    fn said(&self, of: impl Fn(&CredentialView) -> Option<String>) -> Option<String> {
        let said: Vec<String> =
            self.views().iter().filter_map(|(pool, view)| Some(format!("{pool}: {}", of(view)?))).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Looks for a new credential of a pool now; `None` if there is no such pool.
    pub async fn rotate(&self, pool: &str) -> Option<Outcome> {
        let (_, keeper) = self.0.iter().find(|(name, _)| name.as_str() == pool)?;
        Some(keeper.rotate(Cause::Command, None).await)
    }

    /// The configuration was read again: each pool's credential as it says now. Pools that it adds or leaves out need a
    /// restart.
    pub async fn reconfigure(&self, config: &Config) {
        for (name, keeper) in self.0.iter() {
            if let Some(pool) = config.pools.get(name.as_str()) {
                keeper.rotate(Cause::Configuration, Some(source(pool))).await;
            }
        }
        if !config.pools.keys().map(String::as_str).eq(self.0.keys().map(PoolName::as_str)) {
            tracing::warn!("the configuration has other pools than this process; restart it to take them up");
        }
    }
}

fn check(name: &str, pool: &Pool) -> Result<(), Failure> {
    let usage = |error: anyhow::Error| Failure::Usage(format!("pools.{name}: {error:#}"));
    let credential = apns::credential(&pool.credential).map_err(usage)?;
    match apns::check(&credential, pool) {
        Ok(()) | Err(CredentialError::NotValidNow { .. }) => Ok(()),
        Err(error) => Err(usage(error.into())),
    }
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
pub fn metrics(registry: &prometheus::Registry) -> Result<Arc<Metrics>, Failure> {
    Ok(Arc::new(Metrics::new(registry.clone()).context("the metrics cannot be registered")?))
}
