//! What happens to a pool's credential: each event is one line of the log and one step of a counter.

use std::time::SystemTime;

use skein_apns::CredentialInfo;
use skein_core::PoolName;

use super::expiry::{Stage, days_left};
use crate::metrics::Metrics;

/// Why another credential was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its files changed.
    File,
    /// The configuration was read again.
    Configuration,
    /// An operator asked.
    Command,
}

impl Cause {
    /// The word in the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Configuration => "configuration",
            Self::Command => "command",
        }
    }
}

/// The events of one pool's credential.
pub struct Events<'a> {
    /// The counters.
    pub metrics: &'a Metrics,
    /// The pool.
    pub pool: &'a PoolName,
}

impl Events<'_> {
    fn count(&self, outcome: &str) {
        self.metrics.credential_rotation(self.pool, outcome);
    }

    /// A new credential is in place; the old one stays beside it until APNs has taken a push.
    pub fn rotated(&self, cause: Cause, info: &CredentialInfo) {
        self.count("rotated");
        tracing::info!(
            pool = %self.pool, cause = cause.label(), kind = info.kind, team = info.team_id, key = info.key_id,
            fingerprint = short(info), "a new credential is in place"
        );
    }

    /// APNs took a push of the new credential.
    pub fn taken(&self) {
        self.count("taken");
        tracing::info!(pool = %self.pool, "APNs takes the new credential; the old one's connections end");
    }

    /// A new credential can't be used: the old one stays.
    pub fn refused(&self, cause: Cause, why: &str) {
        self.count("refused");
        tracing::error!(
            pool = %self.pool, cause = cause.label(), why,
            "the new credential can't be used, the old one stays in place; correct its files and try `skein credential check`"
        );
    }

    /// APNs refused pushes of the new credential: the old one is back.
    pub fn reverted(&self, why: &str) {
        self.count("reverted");
        tracing::error!(
            pool = %self.pool, why,
            "APNs refuses the new credential, the old one is back in place; make a new one on Apple's developer site"
        );
    }

    /// Nothing could be found out for want of a connection.
    pub fn postponed(&self, why: &str) {
        self.count("postponed");
        tracing::warn!(
            pool = %self.pool, why,
            "the new credential can't be tried, APNs can't be reached; the old one stays until then"
        );
    }

    /// It runs out soon, or has.
    pub fn expiring(&self, stage: Stage, not_after: SystemTime, now: SystemTime) {
        self.metrics.credential_expiring(self.pool, stage.label());
        let days = days_left(not_after, now);
        match stage {
            Stage::Month | Stage::Fortnight => {
                tracing::warn!(pool = %self.pool, days, "the certificate runs out soon; renew it on Apple's developer site");
            }
            Stage::Week | Stage::Day => {
                tracing::error!(pool = %self.pool, days, "the certificate is about to run out; renew it on Apple's developer site now");
            }
            Stage::Expired => {
                tracing::error!(pool = %self.pool, "the certificate has run out: APNs takes no new connection with it; put a new one into its file");
            }
        }
    }
}

/// The first digits of a fingerprint, enough for people.
pub fn short(info: &CredentialInfo) -> &str {
    info.fingerprint.get(..16).unwrap_or(&info.fingerprint)
}
