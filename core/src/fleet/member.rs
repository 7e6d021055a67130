//! A member of the fleet: what one sender says of itself in its ephemeral node.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::pool::PoolName;
use crate::time::Timestamp;

/// The longest member id, in bytes.
pub const MEMBER_ID_BYTES_MAX: usize = 64;

/// The stable id of a member: the same after a restart in place, never shared by two processes that live at once. 1 to 64 letters,
/// digits, `-`, `_` and `.`, the first a letter or a digit: fit for a path, a file name and the name of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MemberId(Arc<str>);

/// A text is not a member id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a member id; use 1 to 64 letters, digits, '-', '_' and '.', the first a letter or a digit")]
pub struct NotAMemberId;

impl MemberId {
    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, NotAMemberId> {
        let fits = text.len() <= MEMBER_ID_BYTES_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits { Ok(Self(text.into())) } else { Err(NotAMemberId) }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One life of a member, from process start to its end. Compared for equality only: no order is read into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Uuid);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a member says of something it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It answers.
    #[default]
    Healthy,
    /// It does not answer this member: the way to it is cut.
    CutOff,
    /// It answers, and refuses: the credential is expired, revoked or wrong. Another member with the same credential fares no
    /// better, unless it is this one's copy of it, or its clock, that is wrong.
    Refused,
}

impl Health {
    /// The word in metric, table and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::CutOff => "cut_off",
            Self::Refused => "refused",
        }
    }
}

/// A pool that a member has the credential for, and how APNs answers it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedPool {
    /// The pool.
    pub pool: PoolName,
    /// How APNs answers this member with the pool's credential.
    #[serde(default)]
    pub apns: Health,
}

/// What a member carries, measured over its last few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Notifications written to APNs a second.
    pub per_second: u32,
    /// Written and not yet answered.
    pub in_flight: u32,
    /// Taken and waiting: in a lane, or held for a retry.
    pub held: u32,
    /// From submission to the first write, the mean of the last second in which anything was written, in milliseconds.
    pub delay_ms: u32,
}

/// One sender, as it describes itself. Rewritten as a whole whenever a part of it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which member.
    pub id: MemberId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// This incarnation holds the file lock of its id: the kernel vouches that every earlier one on this host is dead.
    #[serde(default)]
    pub holds_lock: bool,
    /// The host it runs on.
    pub host: String,
    /// The zone the host is in; queues of a pool are spread over zones.
    #[serde(default)]
    pub zone: Option<String>,
    /// The version of its program.
    pub version: String,
    /// The pools it can serve, each once. A queue of any other pool is never its own.
    pub pools: Vec<ServedPool>,
    /// How the ledger answers it. It goes on sending without it, so nothing moves for this.
    #[serde(default)]
    pub ledger: Health,
    /// How the broker answers it. Cut off, it waits; the broker may not have noticed yet.
    #[serde(default)]
    pub broker: Health,
    /// What it says for people.
    #[serde(default)]
    pub report: super::Report,
    /// What it carries.
    #[serde(default)]
    pub load: Load,
    /// It wants to leave: its queues are handed over and it gets no more.
    #[serde(default)]
    pub draining: bool,
    /// Whose place it takes: that life's queues are handed straight to it (successor-first rolling restart). A later life of the
    /// same member is not meant.
    #[serde(default)]
    pub succeeds: Option<super::Owner>,
    /// How the names of its connections to the broker begin: what tells the monitor whose connection was closed.
    pub connection_prefix: String,
    /// When this incarnation began, by its host's wall clock. For people; no decision reads it.
    pub since: Timestamp,
}

impl Member {
    /// The name that fences: this life of this member.
    pub fn owner(&self) -> super::Owner {
        super::Owner { member: self.id.clone(), incarnation: self.incarnation }
    }

    /// How APNs answers it for a pool; `None` if it has no credential for it.
    pub fn apns(&self, pool: &PoolName) -> Option<Health> {
        self.pools.iter().find(|served| served.pool == *pool).map(|served| served.apns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for good in ["a", "sender-0", "10.0.0.7_2", "S1"] {
            assert_eq!(MemberId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "a:1", &"a".repeat(65)] {
            assert_eq!(MemberId::parse(bad), Err(NotAMemberId), "{bad}");
        }
        assert!(
            serde_json::from_str::<MemberId>("\"a/b\"").is_err(),
            "a path never comes out of a stored id"
        );
    }

    #[test]
    fn an_older_member_can_be_read() {
        let text = r#"{"id":"s1","incarnation":"00000000-0000-0000-0000-000000000001","host":"h","version":"0.1.0",
            "pools":[{"pool":"im"}],"connection_prefix":"skein:s1:","since":"2026-11-21T12:00:00Z","new_field":1}"#;
        let member: Member = serde_json::from_str(text).unwrap();
        assert!(!member.draining && !member.holds_lock && member.zone.is_none() && member.succeeds.is_none());
        assert_eq!(member.apns(&PoolName::parse("im").unwrap()), Some(Health::Healthy));
        assert_eq!(member.apns(&PoolName::parse("dev").unwrap()), None, "P5: no credential, no service");
        let again: Member = serde_json::from_str(&serde_json::to_string(&member).unwrap()).unwrap();
        assert_eq!(again, member);
    }
}
