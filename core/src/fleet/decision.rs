//! What operators decided, kept for who looks later: by whom, why and when. The plan reads none of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::member::MemberId;
use super::wish::Wanted;
use crate::time::Timestamp;

/// Who decides, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Because {
    /// Who.
    pub by: String,
    /// Why; empty where nobody asks for it.
    pub reason: String,
}

impl From<&str> for Because {
    /// Somebody's, without a reason.
    fn from(by: &str) -> Self {
        Self { by: by.to_owned(), reason: String::new() }
    }
}

/// A decision, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub by: String,
    /// When, by that one's wall clock.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What.
    pub decided: Decided,
}

/// What an operator can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Decided {
    /// A wish for the leading monitor.
    Wish(Wanted),
    /// Who is kept out.
    Keep(Keep),
}

/// Whether a member is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Keep {
    /// It is, from now on.
    Quarantine {
        /// Which.
        member: MemberId,
    },
    /// No more.
    Lift {
        /// Which.
        member: MemberId,
    },
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wish(wanted) => wanted.fmt(f),
            Self::Keep(Keep::Quarantine { member }) => write!(f, "quarantine {member}"),
            Self::Keep(Keep::Lift { member }) => write!(f, "lift the quarantine of {member}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_json_form_each() {
        let member = MemberId::parse("s2").unwrap();
        for (decided, json, text) in [
            (Decided::Wish(Wanted::Rebalance), r#"{"do":"rebalance"}"#, "rebalance"),
            (
                Decided::Wish(Wanted::Drain { member: member.clone() }),
                r#"{"do":"drain","member":"s2"}"#,
                "drain s2",
            ),
            (
                Decided::Keep(Keep::Quarantine { member: member.clone() }),
                r#"{"do":"quarantine","member":"s2"}"#,
                "quarantine s2",
            ),
            (
                Decided::Keep(Keep::Lift { member }),
                r#"{"do":"lift","member":"s2"}"#,
                "lift the quarantine of s2",
            ),
        ] {
            assert_eq!(serde_json::to_string(&decided).unwrap(), json);
            assert_eq!(serde_json::from_str::<Decided>(json).unwrap(), decided);
            assert_eq!(decided.to_string(), text);
        }
        assert!(serde_json::from_str::<Decided>(r#"{"do":"something later"}"#).is_err());
    }
}
