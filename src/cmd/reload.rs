//! SIGHUP: what a running front door reads again.

use skein_core::seam::{Clock, Ledger, Submit};
use skein_gateway::Gateway;

use super::load;
use crate::args::Common;
use crate::signals::Signals;
use crate::wiring;

/// At each SIGHUP: the configuration's keys and topics anew. A configuration with faults changes nothing.
pub async fn access<S: Submit, L: Ledger, C: Clock>(
    gateway: &Gateway<S, L, C>,
    common: &Common,
    signals: &mut Signals,
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
            }
            Err(failure) => {
                let label = failure.label();
                tracing::error!(
                    label,
                    "the configuration has faults: the old keys stay; run `skein config check`"
                );
            }
        }
    }
}
