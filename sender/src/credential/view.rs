//! What the pages say of a pool's credential. No secret.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use skein_apns::{CredentialInfo, Environment};
use skein_core::Timestamp;

use super::expiry::days_left;

/// A pool's credential as it is now.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialView {
    /// `in_use`, `on_trial` (no push of it is answered yet), or `none` (the pool waits).
    pub state: &'static str,
    /// `token` or `certificate`.
    pub kind: Option<&'static str>,
    /// The team.
    pub team: Option<String>,
    /// A token key's id.
    pub key: Option<String>,
    /// SHA-256 of the certificate or public key.
    pub fingerprint: Option<String>,
    /// Environments, as far as it says.
    pub environments: Vec<&'static str>,
    /// Topics, as far as it says.
    pub topics: Vec<String>,
    /// Until when it is valid, RFC 3339; a token key has no end.
    pub expires_at: Option<String>,
    /// Whole days until then.
    pub days_left: Option<u64>,
    /// Why the latest new one is not in use.
    pub trouble: Option<String>,
}

impl CredentialView {
    /// As it is at `now`.
    pub fn new(
        info: Option<CredentialInfo>,
        on_trial: bool,
        trouble: Option<String>,
        now: SystemTime,
    ) -> Self {
        let Some(info) = info else { return Self { state: "none", trouble, ..Self::default() } };
        Self {
            state: if on_trial { "on_trial" } else { "in_use" },
            kind: Some(info.kind),
            team: info.team_id,
            key: info.key_id,
            fingerprint: Some(info.fingerprint),
            environments: info.environments.into_iter().map(Environment::label).collect(),
            topics: info.topics,
            expires_at: info.not_after.map(rfc3339),
            days_left: info.not_after.map(|end| days_left(end, now)),
            trouble,
        }
    }

    /// What keeps its pool from sending, if anything of it does.
    pub fn stops(&self) -> Option<String> {
        let why = self.trouble.as_deref().unwrap_or("it can't be read");
        (self.state == "none").then(|| format!("there is no credential to send with: {why}"))
    }
}

/// A time as people and programs read it.
pub fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_millis(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)).to_string()
}
