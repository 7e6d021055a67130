//! What a sender says of itself for people, beyond what decisions read: its attachments and its credentials. No secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pool::PoolName;
use crate::time::Timestamp;

/// A sender's word on its attachments and credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Owned queues that it is attached to: its right to write is renewed there.
    pub attached: u32,
    /// Owned queues that it is not attached to.
    pub unattached: u32,
    /// Its credentials, by pool.
    pub credentials: BTreeMap<PoolName, CredentialReport>,
}

/// A credential, as its sender has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CredentialReport {
    /// `in_use`, `on_trial` (no push of it is answered yet), or `none` (the pool waits).
    pub state: String,
    /// `production` or `sandbox`.
    pub environment: String,
    /// The topics that the pool sends for.
    pub topics: Vec<String>,
    /// `token` or `certificate`.
    pub kind: Option<String>,
    /// Until when it is valid; a token key has no end.
    pub expires_at: Option<Timestamp>,
    /// Whole days until then.
    pub days_left: Option<u64>,
    /// Why the pool's breaker is open, if it is: APNs refuses the credential or a setting of the pool.
    pub paused: Option<String>,
    /// Why the latest new credential is not in use.
    pub trouble: Option<String>,
}
