//! SIGHUP: what a running process reads again.

use skein_core::seam::{Clock, Ledger, Submit};
use skein_gateway::Gateway;

use super::load;
use crate::args::Common;
use crate::exit::Failure;
use crate::signals::Signals;
use crate::wiring;
use crate::wiring::credentials::Credentials;

/// At each SIGHUP: the credentials of the pools anew. A configuration with faults changes nothing.
pub async fn credentials(credentials: &Credentials, common: &Common, signals: &mut Signals) {
    loop {
        signals.reload().await;
        match load(common) {
            Ok(loaded) => credentials.reconfigure(&loaded.config).await,
            Err(failure) => faulty(&failure),
        }
    }
}

fn faulty(failure: &Failure) {
    let label = failure.label();
    tracing::error!(label, "the configuration has faults: all stays as it is; run `skein config check`");
}

/// At each SIGHUP: the configuration's keys and topics anew, and the pools' credentials where this process sends. A
/// configuration with faults changes nothing.
pub async fn access<S: Submit, L: Ledger, C: Clock>(
    gateway: &Gateway<S, L, C>,
    common: &Common,
    signals: &mut Signals,
    credentials: Option<&Credentials>,
) {
    loop {
        signals.reload().await;
        let loaded = load(common).and_then(|loaded| Ok((wiring::access(&loaded.config)?, loaded.config)));
        match loaded {
            Ok((access, config)) => {
                tracing::info!(
                    keys = access.keys.len(),
                    pools = access.pools.len(),
                    "API keys, topics and rates are read again"
                );
                gateway.replace_access(access);
                gateway.replace_options(wiring::gateway_options(&config));
                if let Some(credentials) = credentials {
                    credentials.reconfigure(&config).await;
                }
            }
            Err(failure) => faulty(&failure),
        }
    }
}
