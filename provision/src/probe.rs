//! Proof that each role has no right more: it logs in as itself and tries what it must not do, in ways that harm nothing if it may;
//! and, so that a service which refuses everything is no proof, something that it must be able to do.

use serde::Serialize;

use crate::step::Service;

mod broker;
mod coordinator;
mod ledger;

pub use broker::{probe_broker, probe_broker_as};
pub use coordinator::{probe_coordinator, probe_coordinator_as};
pub use ledger::{probe_ledger, probe_ledger_as};

/// What an attempt must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proved {
    /// Tried and refused, as it must be.
    Refused,
    /// Tried and done, as it must be.
    Allowed,
    /// It must be refused, and is allowed.
    Forbidden,
    /// It must be allowed, and is refused.
    Lacking,
    /// Neither is known: the service answered in another way.
    Unclear,
}

/// One attempt and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub service: Service,
    /// As whom.
    pub who: String,
    /// What was tried.
    pub what: String,
    /// What came of it.
    pub outcome: Proved,
    /// The service's word where it is not as it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Finding {
    /// Whether it is as it must be.
    pub const fn is_right(&self) -> bool {
        matches!(self.outcome, Proved::Refused | Proved::Allowed)
    }
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Refuse,
    Allow,
}

/// What a service answered.
enum Said {
    Refused(String),
    Done,
    Other(String),
}

fn finding(service: Service, who: &str, what: String, must: Must, said: Said) -> Finding {
    let (outcome, why) = match (must, said) {
        (Must::Refuse, Said::Refused(_)) => (Proved::Refused, None),
        (Must::Allow, Said::Done) => (Proved::Allowed, None),
        (Must::Refuse, Said::Done) => (Proved::Forbidden, None),
        (Must::Allow, Said::Refused(why)) => (Proved::Lacking, Some(why)),
        (_, Said::Other(why)) => (Proved::Unclear, Some(why)),
    };
    Finding { service, who: who.to_owned(), what, outcome, why }
}
